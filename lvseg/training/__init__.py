"""One experiment: `run` (from start to receipt), `fit` (the steps), `state`, `devices`, `folder` (what is kept)."""
