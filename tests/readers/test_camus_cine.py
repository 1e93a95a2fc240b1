"""CAMUS's half sequences: a cine with a mask for each frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fuzz_readers import PICTURE, write_camus_cine
from lvseg.data.source import open_source
from tests.readers.support import refused


def test_camus_half_sequences_are_a_cine_with_a_mask_for_each_frame(tmp_path: Path) -> None:
    folder = write_camus_cine(tmp_path)
    frames = open_source(f"camus_cine:{tmp_path}")
    assert [(f.name, f.patient, f.phase) for f in frames] == [
        ("patient0001_4CH_half_sequence_0001", "patient0001", "ED"),
        ("patient0001_4CH_half_sequence_0002", "patient0001", ""),
        ("patient0001_4CH_half_sequence_0003", "patient0001", "ES"),
    ]
    for shift, frame in enumerate(frames):
        image, mask, _ = frame.read()
        np.testing.assert_array_equal(image, np.roll(PICTURE, shift, axis=1))
        np.testing.assert_array_equal(mask, image > 128)
    (folder / "patient0001_4CH_half_sequence_gt.nii.gz").unlink()
    refused(frames[0].read, folder / "patient0001_4CH_half_sequence_gt.nii.gz", "no such file")
