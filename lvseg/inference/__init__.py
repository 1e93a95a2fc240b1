"""A trained network at work: `segmenter` (image to mask), `predict` (files to masks), `onnx_file` (to take along)."""
