"""What the study reads: both data sets' preprocessed frames, as one compressed file each.

`python -m studies.paper_on_gpu.data FOLDER [--camus CAMUS_FOLDER] [--tiny]`
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lvseg import files
from lvseg.data.prepared import Arrays, arrays_of, prepare
from lvseg.experiment import Experiment

SPLIT_OF = {"phantom": "patient", "camus": "own"}
TINY = {"width": 4, "size": 32, "max_frames": 16, "epochs": 3}
"""To try the study on a processor."""


class Outlined(NamedTuple):
    """A test frame: its record, its preprocessed image (size, size) uint8, and its native mask (height, width) bool."""

    frame: str
    patient: str
    view: str
    phase: str
    spacing_mm: tuple[float, float]
    image: np.ndarray
    truth: np.ndarray


class Data(NamedTuple):
    """A data set's training frames and its test frames."""

    train: Arrays
    test: list[Outlined]


def experiment(data: str, model: str, tiny: bool) -> Experiment:
    """The paper's protocol in bfloat16, on `phantom` or `camus`; `data` may name a folder too."""
    split = SPLIT_OF[data.partition(":")[0]]
    changes = TINY if tiny else {}
    return Experiment.of_profile("paper", model=model, data=data, split=split, precision="bfloat16", **changes)


def save(path: Path, chosen: Experiment) -> None:
    """Prepare the experiment's frames and write them: images as lossless WebP, which is a quarter smaller than zip."""
    prepared = prepare(chosen)
    tested = prepared.tested
    train, masks = prepared.arrays.pick(slice(None))
    pixels = [frame.read() for frame in tested]
    images = arrays_of(tested, chosen).image
    columns = {
        "records": np.array([(f.name, f.patient, f.view or "", f.phase or "") for f in tested]),
        "spacing_mm": np.array([p.spacing_mm or (np.nan, np.nan) for p in pixels]),
        "shape": np.array([p.mask.shape for p in pixels]),
        "truth": np.concatenate([np.packbits(p.mask) for p in pixels]),
    }
    with files.atomic(path) as temporary:
        np.savez_compressed(
            temporary, allow_pickle=False, **columns, **_packed("train", train), **_packed("test", images),
            mask=masks,
        )  # fmt: skip


def _packed(name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    coded = [cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].ravel() for image in images]
    return {name: np.concatenate(coded), f"{name}_bytes": np.array([len(code) for code in coded])}


def _unpacked(name: str, stored: Mapping[str, np.ndarray]) -> np.ndarray:
    parts = np.split(stored[name], np.cumsum(stored[f"{name}_bytes"])[:-1])
    return np.stack([cv2.imdecode(part, cv2.IMREAD_GRAYSCALE) for part in parts])


def load(path: Path) -> Data:
    """What `save` wrote."""
    with np.load(path) as stored:
        image, tested = (_unpacked(name, stored) for name in ("train", "test"))
        train = Arrays(image, stored["mask"])
        masks, start = [], 0
        for height, width in stored["shape"]:
            end = start - (-height * width // 8)
            bits = np.unpackbits(stored["truth"][start:end], count=height * width)
            masks.append(bits.reshape(height, width).astype(bool))
            start = end
        rows = zip(stored["records"], stored["spacing_mm"].tolist(), tested, masks, strict=True)
        outlined = [Outlined(*map(str, record), tuple(spacing), *sides) for record, spacing, *sides in rows]
    return Data(train, outlined)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--camus", type=Path, help="CAMUS's folder; without it, virtual patients only")
    parser.add_argument("--tiny", action="store_true", help="a few small frames")
    chosen = parser.parse_args()
    for data in ["phantom", *([f"camus:{chosen.camus}"] if chosen.camus else [])]:
        path = chosen.folder / f"{data.partition(':')[0]}.npz"
        save(path, experiment(data, "unet", chosen.tiny))
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
