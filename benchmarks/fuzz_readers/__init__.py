"""Files to try readers on: `hostile` ones, damaged or made to harm, and `plausible` ones, valid and wrong.

`python -m benchmarks.fuzz_readers plausible 17` tries case 17 again and says what came of it; so does `hostile 17`.
"""

from __future__ import annotations

from typing import Any

from benchmarks.fuzz_readers import hostile, plausible
from benchmarks.fuzz_readers.hostile import (
    BYTES,
    CORNERS,
    PICTURE,
    SECONDS,
    SOURCES,
    _original,
    complaint,
    make_case,
    png,
    png_bomb,
    region,
    sweep,
    valid,
    write_camus,
    write_camus_cine,
    write_dicom,
    write_echonet,
    write_labelme,
    write_mhd,
    write_nifti,
    write_pediatric,
    write_picture,
    write_video,
)

__all__ = [
    "BYTES", "CORNERS", "PICTURE", "SECONDS", "SOURCES", "_original", "complaint", "make_case", "measure", "png",
    "png_bomb", "region", "sweep", "valid", "write_camus", "write_camus_cine", "write_dicom", "write_echonet",
    "write_labelme", "write_mhd", "write_nifti", "write_pediatric", "write_picture", "write_video",
]  # fmt: skip


def measure() -> list[dict[str, Any]]:
    """A row for the hostile files, and one for each kind of plausible ones."""
    return [hostile.measure(), *plausible.measure()]
