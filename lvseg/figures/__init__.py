"""Every picture: `plots` of data, `diagrams` of networks, and `graph`, the numbers read off a built network."""
