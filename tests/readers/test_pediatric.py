"""EchoNet-Pediatric's two views under one patient, made here with outlines of known area."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fuzz_readers import write_pediatric
from lvseg.data.source import open_source


def test_echonet_pediatric(tmp_path: Path) -> None:
    frames = open_source(f"pediatric:{write_pediatric(tmp_path)}")
    assert frames[0].facts == {"ef_percent": 61.0, "age_years": 3.0, "sex": "F"}
    assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
        ("A4C_CR1-CR2-000039_0003", "CR1-CR2", "4CH", "", "fold7"),
        ("PSAX_CR1-CR2-000041_0003", "CR1-CR2", "PSAX", "", "fold7"),
    ]
    image, mask, _ = frames[1].read()
    expected = np.zeros((112, 112), bool)
    expected[20:60, 10:40] = True
    np.testing.assert_array_equal(mask, expected)
    assert np.abs(image.astype(int) - 100).max() <= 3
