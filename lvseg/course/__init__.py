"""The course: its `notebooks` headless, what moves in them (`live`), and the whole reproduction (`reproduce`)."""
