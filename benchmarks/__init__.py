"""Speed and memory, measured side by side with a peer in the same run: `make bench`, or `make bench BENCH=name`."""
