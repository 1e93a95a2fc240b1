"""Phantoms shuffled among real frames in one picture: could you tell?"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lvseg.errors import ConfigError
from lvseg.files import CHECKOUT, write_text
from lvseg.masks import write_png
from lvseg.phantom.heart import sample_patient
from lvseg.phantom.scanner import render
from lvseg.readers.record import Frame


def write_sheet(real: list[Frame], picture: Path, seed: int = 0) -> None:
    """Write one picture of 16 adult phantoms shuffled among 16 real frames, and which is which in a CSV beside it.

    For telling them apart by eye. Real frames are of 16 patients where there are so many, at any phase; phantoms at
    end-diastole and end-systole. Raises `ConfigError` for a picture inside lvseg's own folder, where real patients'
    frames must not lie, for a name that doesn't end in .png, and where there are fewer than 16 frames.
    """
    if CHECKOUT in picture.resolve().parents:
        raise ConfigError(f"{picture}: lies in lvseg's own folder, where no real frame may be; choose another place")
    if picture.suffix.lower() != ".png":
        raise ConfigError(f"{picture}: is no name of a picture; let it end in .png")
    if len(real) < 16:
        raise ConfigError(f"{len(real)} real frames are too few for a sheet; give a data set of 16 or more")
    rng = np.random.default_rng(seed)
    shuffled = [real[i] for i in rng.permutation(len(real))]
    first_of = {frame.patient: frame for frame in shuffled}
    tiles = [(frame.name, frame.read().shown) for frame in [*first_of.values(), *shuffled][:16]]
    for number in range(16):
        patient = sample_patient(int(rng.integers(2**31)), "adult")
        tiles.append((f"phantom {patient.seed}", render(patient, patient.systole * (number % 2)).image))
    tiles = [tiles[i] for i in rng.permutation(32)]
    rows = [np.hstack([_tile(image) for _, image in tiles[i : i + 8]]) for i in range(0, 32, 8)]
    lines = [f"{i // 8 + 1},{i % 8 + 1},{name}" for i, (name, _) in enumerate(tiles)]
    write_png(picture, np.vstack(rows))
    write_text(picture.with_suffix(".csv"), "\n".join(["row,column,frame", *lines, ""]))


def _tile(image: np.ndarray, side: int = 300) -> np.ndarray:
    """The image shrunk into the middle of a black square."""
    scale = side / max(image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:side, :side]
    tile = np.zeros((side, side), np.uint8)
    top, left = ((side - n) // 2 for n in small.shape)
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
