"""Segmenting files: masks in native size, names, measurements, and inputs that can't be used."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest

from benchmarks.real_data import CAMUS
from lvseg.errors import DataError
from lvseg.inference.predict import ejection_fractions, predict
from tests.inference.support import TRUTH, dice, ellipse, grey, read_mask, write_nifti
from tests.support import needs_camus


@pytest.mark.parametrize("ending", [".png", ".jpg", ".nii", ".nii.gz"])
def test_the_mask_stands_upright_in_native_size(segmenter, tmp_path, ending):
    path = tmp_path / f"heart{ending}"
    if ".nii" in ending:
        write_nifti(path, grey(TRUTH), (0.3, 0.3))
    else:
        cv2.imwrite(str(path), grey(TRUTH))
    predict(segmenter, [path], tmp_path / "out")
    written = {"heart_mask.png", "heart_overlay.png", "measurements.csv"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == written | (
        {"heart_mask.nii.gz"} if ".nii" in ending else set()
    )
    mask = read_mask(tmp_path / "out" / "heart_mask.png")
    assert mask.shape == TRUTH.shape and dice(mask, TRUTH) > 0.97
    overlay = cv2.imread(str(tmp_path / "out" / "heart_overlay.png"))
    coloured = np.ptp(overlay, axis=2) > 40
    assert overlay.shape == (*TRUTH.shape, 3) and coloured.any()
    near_edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
    assert not (coloured & ~near_edge).any()


def test_measurements_of_an_ellipsoid_are_its_formulas(segmenter, tmp_path):
    """Half axes 40 and 25 pixels of 0.5 x 0.4 mm: 20 mm down, 10 mm across."""
    path = tmp_path / "heart.nii.gz"
    write_nifti(path, grey(TRUTH), (0.5, 0.4))
    returned, problems = predict(segmenter, [path], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "measurements.csv")
    assert problems == {} and len(table) == 1
    pd.testing.assert_frame_equal(returned, table, check_dtype=False, rtol=1e-5)
    row = table.iloc[0]
    assert (row.file, row.frame, row.height, row.width) == (str(path), "heart", 150, 220)
    assert (row.row_mm, row.column_mm) == (0.5, 0.4)
    assert row.lv_pixels == read_mask(tmp_path / "out" / "heart_mask.png").sum()
    assert row.area_mm2 == pytest.approx(row.lv_pixels * 0.5 * 0.4, rel=1e-5)
    assert row.area_mm2 == pytest.approx(math.pi * 20 * 10, rel=0.04)
    assert row.length_mm == pytest.approx(40, rel=0.04)
    assert row.volume_ml == pytest.approx(4 / 3 * math.pi * 20 * 10**2 / 1000, rel=0.06)


def test_without_spacing_nothing_is_measured_in_mm(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    table, _ = predict(segmenter, [tmp_path / "heart.png"], tmp_path / "out")
    assert table.loc[0, ["row_mm", "column_mm", "area_mm2", "length_mm", "volume_ml"]].isna().all()
    assert table.lv_pixels[0] > 0 and ejection_fractions(table).empty


def test_an_image_without_lv_gives_an_empty_mask_and_no_volume(segmenter, tmp_path):
    write_nifti(tmp_path / "dark.nii", np.zeros((60, 80), np.uint8), (0.3, 0.3))
    table, problems = predict(segmenter, [tmp_path / "dark.nii"], tmp_path / "out")
    assert problems == {} and table.lv_pixels[0] == 0 and np.isnan(table.volume_ml[0])
    assert not read_mask(tmp_path / "out" / "dark_mask.png").any()


def test_ejection_fraction_of_a_beating_ellipsoid(segmenter, tmp_path):
    """Half axes (40, 24) in end-diastole, frame 2, and (32, 16) in end-systole, frame 5; frame 3 shows nothing."""
    halves = [(38, 22), (40, 24), (0.1, 0.1), (34, 18), (32, 16), (36, 20)]
    frames = np.stack([grey(ellipse((150, 200), (70.5, 100.5), half)) for half in halves])
    write_nifti(tmp_path / "beat.nii.gz", frames, (0.5, 0.5))
    table, _ = predict(segmenter, [tmp_path / "beat.nii.gz"], tmp_path / "out")
    found = ejection_fractions(table)
    assert list(found.ed_frame) == ["beat_0002"] and list(found.es_frame) == ["beat_0005"]
    assert found.ef_percent[0] == pytest.approx(100 * (1 - 32 * 16**2 / (40 * 24**2)), abs=2)
    assert found.edv_ml[0] == pytest.approx(4 / 3 * math.pi * 20 * 12**2 / 1000, rel=0.06)


def test_a_dicom_cine_gives_a_numbered_mask_per_frame(segmenter, cine, tmp_path):
    table, problems = predict(segmenter, [cine], tmp_path)
    names = [f"{cine.stem}_{n:04d}" for n in range(1, 31)]
    assert problems == {} and list(table.frame) == names and set(table.file) == {str(cine)}
    assert sorted(p.name for p in tmp_path.glob("*_overlay.png")) == [f"{name}_overlay.png" for name in names]
    region = pydicom.dcmread(cine).SequenceOfUltrasoundRegions[0]
    assert region.RegionLocationMaxX1 > 320 and np.isnan(table.row_mm).all()  # halved after its scale was stated
    pixels = pydicom.pixels.pixel_array(cine, index=16)
    luma = pixels.astype(float) @ (0.299, 0.587, 0.114)  # pydicom gives RGB
    mask = read_mask(tmp_path / f"{names[16]}_mask.png")
    assert mask.shape == (240, 320) and dice(mask, luma > 127.5) > 0.5  # thin bright structures, seen at 96 x 96
    assert luma[mask].mean() > 2 * luma[~mask].mean()


@pytest.mark.parametrize(
    "stem",
    ["two words", "[bold]x", "<script>&", "Herz-Ü 心", "a.b,c;'\"", "%s {0}", "line\nbreak", "=1+1", "-o"],
)
def test_any_file_name_stays_as_it_is(segmenter, tmp_path, stem):
    cv2.imwrite(str(tmp_path / "x.png"), grey(TRUTH))
    (tmp_path / "x.png").rename(tmp_path / f"{stem}.png")
    _, problems = predict(segmenter, [tmp_path / f"{stem}.png"], tmp_path / "out")
    assert problems == {}
    assert read_mask(tmp_path / "out" / f"{stem}_mask.png").any()
    assert list(pd.read_csv(tmp_path / "out" / "measurements.csv").frame) == [stem]


def test_a_name_that_is_no_utf8_is_segmented_too(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), grey(TRUTH))
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    (tmp_path / "x.png").rename(path)
    assert predict(segmenter, [path], tmp_path / "out")[1] == {}
    assert os.fsencode(tmp_path / "out") + b"/caf\xe9_mask.png" in map(os.fsencode, (tmp_path / "out").iterdir())
    assert list(pd.read_csv(tmp_path / "out" / "measurements.csv").frame) == ["caf?"]


@pytest.fixture
def mixed(tmp_path, cine) -> Path:
    """A folder with a good picture, a good volume, three damaged files, and what isn't to be segmented."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    cv2.imwrite(str(folder / "good.png"), grey(TRUTH))
    write_nifti(folder / "volume.nii.gz", grey(TRUTH), (0.3, 0.3))
    (folder / "torn.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "cut.nii.gz").write_bytes((folder / "volume.nii.gz").read_bytes()[:400])
    (folder / "empty.nii.gz").touch()
    shutil.copy(folder / "good.png", folder / "good_mask.png")
    shutil.copy(folder / "volume.nii.gz", folder / "volume_gt.nii.gz")
    shutil.copy(folder / "good.png", folder / ".hidden.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / "deeper").mkdir()
    return folder


def test_bad_files_of_a_folder_are_named_and_the_good_ones_kept(segmenter, mixed, tmp_path):
    table, problems = predict(segmenter, [mixed, tmp_path / "missing.png"], tmp_path / "out")
    assert sorted(table.frame) == ["good", "volume"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "good_mask.png", "good_overlay.png", "volume_mask.png", "volume_overlay.png", "volume_mask.nii.gz",
        "measurements.csv",
    }  # fmt: skip
    for name in ("torn.png", "cut.nii.gz", "empty.nii.gz", "missing.png"):
        assert sum(name in sentence for sentence in problems.values()) == 1, name
    assert len(problems) == 4


def test_a_damaged_cine_gives_its_good_frames_and_one_sentence(segmenter, cine, tmp_path):
    path = tmp_path / "torn.dcm"
    path.write_bytes(cine.read_bytes()[:100_000])  # of 30 frames, the first ten are whole
    table, problems = predict(segmenter, [path], tmp_path / "out")
    assert list(table.frame) == [f"torn_{n:04d}" for n in range(1, 11)]
    assert list(problems) == [str(path)]


@pytest.mark.parametrize("inputs", [["torn.png", "empty.nii.gz"], ["deeper"], ["notes.txt"], ["nowhere"]])
def test_nothing_is_made_where_nothing_can_be_read(segmenter, mixed, tmp_path, inputs):
    table, problems = predict(segmenter, [mixed / name for name in inputs], tmp_path / "out")
    assert len(table) == 0 and len(problems) == len(inputs)
    assert all(str(mixed / name) in problems[str(mixed / name)] for name in inputs)
    assert not (tmp_path / "out").exists()


def test_two_inputs_of_one_name_are_not_written_over_each_other(segmenter, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "heart.png"), grey(TRUTH if folder == "a" else ~TRUTH))
    table, problems = predict(segmenter, [tmp_path / "a", tmp_path / "b" / "heart.png"], tmp_path / "out")
    assert list(table.file) == [str(tmp_path / "a" / "heart.png")]
    assert list(problems) == [str(tmp_path / "b" / "heart.png")] and "rename" in str(problems)
    assert dice(read_mask(tmp_path / "out" / "heart_mask.png"), TRUTH) > 0.9


def test_an_input_named_twice_is_segmented_once(segmenter, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    monkeypatch.chdir(tmp_path)
    table, problems = predict(segmenter, [tmp_path, Path("heart.png")], tmp_path / "out")
    assert len(table) == 1 and problems == {}


def test_a_mask_that_somebody_drew_is_not_overwritten(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    (tmp_path / "heart_mask.png").write_bytes(b"hours of work")
    table, problems = predict(segmenter, [tmp_path / "heart.png"], tmp_path)
    assert len(table) == 0 and "heart_mask.png" in problems[str(tmp_path / "heart.png")]
    assert (tmp_path / "heart_mask.png").read_bytes() == b"hours of work"


def test_output_beside_the_input_can_be_made_anew(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    for _ in range(2):
        table, problems = predict(segmenter, [tmp_path], tmp_path)
        assert list(table.frame) == ["heart"] and problems == {}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_written_is_refused_by_name(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    with pytest.raises((DataError, OSError), match=r"heart\.png"):
        predict(segmenter, [tmp_path / "heart.png"], tmp_path / "heart.png" / "out")


@needs_camus
def test_camus_is_segmented_in_its_own_geometry(segmenter, tmp_path):
    path = CAMUS / "database_nifti" / "patient0001" / "patient0001_4CH_ED.nii.gz"
    table, problems = predict(segmenter, [path], tmp_path)
    stored = nibabel.load(path)
    width, height = stored.shape
    assert problems == {} and (table.height[0], table.width[0]) == (height, width)
    assert table.row_mm[0] == pytest.approx(stored.header.get_zooms()[1], rel=1e-4)
    mask = read_mask(tmp_path / "patient0001_4CH_ED_mask.png")
    upright = np.asarray(stored.dataobj).T
    assert upright[mask].mean() > 2 * upright[~mask].mean()
