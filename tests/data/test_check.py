"""The report on a data set counts and names what is wrong; what is alike on both sides of a split is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.fuzz_readers import PICTURE, write_camus, write_dicom, write_picture
from benchmarks.real_data import CAMUS
from lvseg.data import splits
from lvseg.data.check import check, near_duplicates, nearest_similarity
from lvseg.data.source import open_source
from lvseg.experiment import Experiment
from lvseg.readers import Pixels
from tests.data.support import discs
from tests.support import needs_camus

RNG = np.random.default_rng(7)


def test_check_counts_and_names_what_is_wrong(tmp_path: Path) -> None:
    smooth = [cv2.GaussianBlur(RNG.integers(0, 256, (64, 80), np.uint8), (0, 0), 6) for _ in range(4)]
    noisy = np.clip(smooth[0].astype(int) + RNG.integers(-2, 3, (64, 80)), 0, 255).astype(np.uint8)
    pictures = {
        "p1_ED": smooth[0],
        "p2_ED": cv2.resize(noisy, (160, 128)),
        "p2_ES": smooth[1],
        "p3_ED": smooth[2],
    }
    for name, values in pictures.items():
        write_picture(tmp_path / f"{name}.png", values)
        write_picture(tmp_path / f"{name}_mask.png", np.zeros(values.shape, np.uint8))
    write_picture(tmp_path / "p3_ES.png", smooth[3])
    (tmp_path / "p4_ES.png").write_bytes(b"damaged")
    write_picture(tmp_path / "p4_ES_mask.png")
    report = check(f"images:{tmp_path}")
    assert (report.frames, report.patients) == (6, 4)
    assert (report.views, report.phases, report.subsets) == ({"": 6}, {"ED": 3, "ES": 3}, {"": 6})
    assert report.missing == [tmp_path / "p3_ES_mask.png"]
    assert set(report.bad) == {"p3_ES", "p4_ES"} and "p4_ES.png" in report.bad["p4_ES"]
    assert report.twins == [("p1_ED", "p2_ED")]
    assert (report.empty, report.divided, report.spaced) == (["p1_ED", "p2_ED", "p2_ES", "p3_ED"], [], 0)


def test_check_names_masks_in_several_parts(tmp_path: Path) -> None:
    for name, columns in (("one", [5, 6]), ("two", [5, 9]), ("corner", [])):
        mask = np.zeros((24, 32), np.uint8)
        mask[3, columns] = 255
        if name == "corner":  # parts that touch at a corner are one
            mask[3, 4] = mask[4, 5] = 255
        write_picture(tmp_path / f"{name}.png", RNG.integers(0, 256, (24, 32), np.uint8))
        write_picture(tmp_path / f"{name}_mask.png", mask)
    report = check(f"images:{tmp_path}")
    assert (report.divided, report.empty) == (["two"], [])


def test_check_counts_known_pixel_sizes(tmp_path: Path) -> None:
    write_camus(tmp_path)
    assert check(f"camus:{tmp_path}").spaced == 2


def test_check_takes_neighbours_in_a_cine_for_twins_only_where_identical(tmp_path: Path) -> None:
    cine = np.stack([np.roll(PICTURE, shift, axis=1) for shift in (0, 0, 1)])
    write_dicom(tmp_path / "a.dcm", cine)
    assert check(f"dicom:{tmp_path}").twins == [("a_0001", "a_0002")]


@needs_camus
def test_check_finds_camus_twins_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = open_source(f"camus:{CAMUS}")[:160]  # the whole set gives the same, but takes long
    monkeypatch.setattr("lvseg.data.check.open_source", lambda *_: frames)
    report = check(f"camus:{CAMUS}")
    assert (report.frames, report.patients, report.missing, report.bad) == (160, 79, [], {})
    assert report.twins == [
        ("patient0033_4CH_ED", "patient0068_4CH_ED")
    ]  # one patient to us, so only what is identical


def test_one_picture_on_both_sides_of_a_split_is_named():
    frames = discs(10, 1)
    split = splits.split_frames(frames, "patient")
    assert near_duplicates(frames, split) == []
    test, train = split.test[0], split.train[3]
    shown = {frame.name: frame.read() for frame in frames}
    faint = np.clip(shown[train].image.astype(int) + np.random.default_rng(0).integers(-3, 4, (90, 120)), 0, 255)
    copied = [
        replace(f, load=lambda: Pixels(faint.astype(np.uint8), None, None)) if f.name == test else f for f in frames
    ]
    ((one, other, similarity),) = near_duplicates(copied, split)
    assert (one, other) == (test, train) and 0.99 < similarity <= 1 + 1e-6


def test_nearest_similarity_finds_the_leak():
    frames = discs(10, 5)
    by = {kind: Experiment.of_profile("smoke", split=kind, max_frames=40) for kind in ("patient", "frame")}
    leak = {kind: nearest_similarity(frames, experiment).mean() for kind, experiment in by.items()}
    assert leak["frame"] > leak["patient"] and leak["frame"] <= 1 + 1e-9
