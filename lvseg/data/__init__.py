"""From a data set's name to batches: `source`, `splits`, `prepared`, `batches`; and `check`, what is wrong with it."""
