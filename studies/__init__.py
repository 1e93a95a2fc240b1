"""Questions that were answered once, each by a script that can be run again. `benchmarks` measures what changes."""
