"""What can't be a left ventricle isn't measured, not learnt from, and said once: whatever the file is."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from lvseg.data import plausible
from lvseg.data.check import check
from lvseg.data.prepared import prepare
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.experiment import Experiment
from lvseg.inference.predict import ejection_fractions, predict
from lvseg.inference.segmenter import Segmenter
from lvseg.phantom.heart import Patient, outline, sample_patient, ventricle, volume_fraction
from lvseg.readers.record import Pixels
from tests.field.support import grey
from tests.inference.support import EXPERIMENT, TRUTH, ellipse, threshold_network, write_nifti
from tests.support import lvseg


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threshold_network().predict_on_batch, EXPERIMENT)


def dicom(path: Path, picture: np.ndarray, spacing_mm: float) -> Path:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    content = pydicom.Dataset()
    content.file_meta = meta
    content.SOPClassUID, content.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    content.Rows, content.Columns = picture.shape
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.BitsAllocated = content.BitsStored = 8
    content.HighBit, content.PixelRepresentation = 7, 0
    content.PixelSpacing = [spacing_mm, spacing_mm]
    content.BurnedInAnnotation = "NO"
    content.PixelData = picture.tobytes()
    content.save_as(path, enforce_file_format=True)
    return path


def huge_nifti(folder: Path) -> Path:
    """At 3.5 mm a pixel the ventricle of `TRUTH` would hold more than two litres."""
    write_nifti(folder / "heart.nii.gz", grey(TRUTH), (3.5, 3.5))
    return folder / "heart.nii.gz"


def huge_dicom(folder: Path) -> Path:
    return dicom(folder / "heart.dcm", grey(TRUTH), 3.5)


def inverted_png(folder: Path) -> Path:
    cv2.imwrite(str(folder / "heart.png"), grey(~TRUTH))
    return folder / "heart.png"


def told(segmenter: Segmenter, path: Path, out: Path) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table, problems = predict(segmenter, [path], out)
    assert problems == {}
    said = [str(w.message) for w in caught if w.category is DataWarning and "not measured" in str(w.message)]
    return table, said


FINDS = {huge_nifti: "area", huge_dicom: "area", inverted_png: "% of the picture"}


@pytest.mark.parametrize("make", FINDS)
def test_what_cannot_be_is_not_printed_as_a_number(segmenter, tmp_path, make):
    path = make(tmp_path)
    table, said = told(segmenter, path, tmp_path / "out")
    written = pd.read_csv(tmp_path / "out" / "measurements.csv")
    assert written.loc[0, ["area_mm2", "length_mm", "volume_ml"]].isna().all()
    assert FINDS[make] in written.doubt[0] and written.lv_pixels[0] > 0
    assert len(said) == 1 and said[0].startswith(str(path)) and table.doubt[0] in said[0]


@pytest.mark.parametrize("make", FINDS)
def test_the_rule_is_what_finds_it(segmenter, tmp_path, make, monkeypatch):
    monkeypatch.setattr(plausible, "doubt", lambda *_: "")
    monkeypatch.setattr(plausible, "size_doubt", lambda *_: "")
    table, said = told(segmenter, make(tmp_path), tmp_path / "out")
    assert table.doubt.isna().all() and said == []


@pytest.mark.parametrize("half", [(40, 25), (70, 40), (30, 12)])
@pytest.mark.parametrize("scale", [0.4, 0.8])
def test_hearts_of_children_and_adults_are_not_doubted(segmenter, tmp_path, half, scale):
    picture = grey(ellipse((200, 260), (90, 140), half))
    write_nifti(tmp_path / "heart.nii", picture, (scale, scale))
    table, said = told(segmenter, tmp_path / "heart.nii", tmp_path / "out")
    assert table.doubt.isna().all() and table.volume_ml.notna().all() and said == []
    assert pd.read_csv(tmp_path / "out" / "measurements.csv").doubt.isna().all()


FULL = np.ones((100, 120), bool)
RING = FULL ^ ellipse((100, 120), (50, 60), (47, 57))
REGION = (slice(20, 80), slice(30, 90))


@pytest.mark.parametrize(
    ("mask", "region", "said"),
    [
        (FULL, None, "100 % of the picture"),
        (~ellipse((100, 120), (50, 60), (20, 10)), None, "of the picture"),
        (RING, None, "all four edges"),
        (np.zeros((100, 120), bool), None, "no left ventricle"),
        (ellipse((100, 120), (50, 60), (2, 2)), None, "pixels"),
        (np.ones((400, 1), bool), None, "1 x 400"),
        (ellipse((100, 120), (50, 60), (20, 10)), REGION, ""),
        (ellipse((100, 120), (50, 60), (20, 10)), None, ""),
        (ellipse((100, 120), (20, 30), (20, 10)), REGION, "outside the two-dimensional region"),
        (ellipse((100, 120), (50, 60), (29.9, 29.9)), REGION, "of its two-dimensional region"),
    ],
)
def test_what_a_mask_cannot_be(mask, region, said):
    found = plausible.doubt(mask, region)
    assert said in found and bool(said) == bool(found)


def test_area_length_and_volume_have_ranges():
    good = (1500.0, 70.0, 60.0)
    assert plausible.size_doubt(*good, (0.3, 0.3)) == ""
    for place, what, values in ((0, "area", (50, 20_000)), (1, "long axis", (5, 200)), (2, "volume", (0.2, 2000))):
        for value in (*values, np.nan):
            said = plausible.size_doubt(*good[:place], value, *good[place + 1 :], (0.3, 0.3))
            assert f"its {what} would be" in said and "0.3 x 0.3 mm" in said


def test_of_a_cine_the_frame_that_jumps_is_doubted_and_the_others_measured(segmenter, tmp_path):
    halves = [(40, 24), (39, 23), (20, 12), (38, 22), (36, 20), (34, 18)]
    frames = np.stack([grey(ellipse((150, 200), (70.5, 100.5), half)) for half in halves])
    write_nifti(tmp_path / "beat.nii.gz", frames, (0.5, 0.5))
    table, said = told(segmenter, tmp_path / "beat.nii.gz", tmp_path / "out")
    assert list(table.frame[table.doubt.notna()]) == ["beat_0003"] and "jumps" in table.doubt[2]
    assert table.volume_ml.notna().sum() == 5 and len(said) == 1 and "1 of 6 frames" in said[0]
    found = ejection_fractions(table)
    assert list(found.es_frame) == ["beat_0006"] and found.ef_percent[0] < 60


def test_areas_of_one_beat_do_not_jump():
    beat = 1000 * (0.7 + 0.3 * np.cos(np.linspace(0, 2 * np.pi, 12)))
    assert plausible.jumps(beat) == {} and plausible.jumps([1000, 400]) == {} and plausible.jumps([0, 500]) == {}
    assert set(plausible.jumps([1000, 200])) == {0, 1} and set(plausible.jumps([900, 0, 100, 950, 940])) == {2}


@pytest.mark.parametrize("population", ["child", "adult", "random"])
def test_no_beat_of_a_virtual_patient_jumps_at_any_rate(population: str) -> None:
    """At 10 to 60 frames a second, and of end-diastole and end-systole alone; children and adults also at the largest
    ejection fraction, where the random population's odd shapes, which no heart has, would reach 3.5."""
    largest = plausible.MOST_EF_PERCENT / 100
    for seed in range(4):
        drawn = sample_patient(seed, population)
        hyperdynamic = [] if population == "random" else [replace(drawn, ejection_fraction=largest)]
        for patient in (drawn, *hyperdynamic):
            seconds = 60 / patient.heart_rate_bpm
            for rate in (10, 15, 25, 40, 60):
                for late in (0, 0.5):  # the first frame, as a share of the time between two
                    phases = (np.arange(late, 3 * seconds * rate) / (seconds * rate)) % 1
                    assert plausible.jumps([area(patient, phase) for phase in phases]) == {}
            ends = [area(patient, 0), area(patient, patient.systole)]
            assert plausible.jumps(ends) == {} and (patient is drawn or ends[0] / ends[1] > 0.9 * plausible.JUMP)


def area(patient: Patient, phase: float) -> float:
    """The cavity's, in mm²."""
    contour = outline(ventricle(patient, volume_fraction(patient, phase)))
    return cv2.contourArea(contour.astype(np.float32))


def test_an_ejection_fraction_from_nearly_nothing_is_not_given():
    volumes = pd.DataFrame(
        {"file": "a", "frame": ["a_1", "a_2"], "lv_pixels": [900, 400], "area_mm2": [900.0, 400.0]}
        | {"volume_ml": [50.0, 2.0], "doubt": [np.nan, np.nan]}
    )
    found = ejection_fractions(volumes)
    assert np.isnan(found.ef_percent[0]) and "96 %" in found.doubt[0]
    mostly = pd.concat([volumes, volumes.assign(volume_ml=np.nan), volumes.assign(volume_ml=np.nan)])
    assert ejection_fractions(mostly).empty


def pairs(folder: Path, spoil) -> Path:
    """Three patients' pictures with masks; the second's mask is spoilt."""
    folder.mkdir()
    for number in range(3):
        truth = ellipse((150, 220), (60 + 5 * number, 150), (40, 25))
        cv2.imwrite(str(folder / f"p{number}_ED.png"), grey(truth) + np.uint8(number))
        mask = spoil(truth) if number == 1 else truth
        cv2.imwrite(str(folder / f"p{number}_ED_mask.png"), mask.astype(np.uint8) * 255)
    return folder


@pytest.mark.parametrize("spoil", [np.logical_not, np.ones_like], ids=["inverted", "full"])
def test_an_inverted_mask_is_named_by_data_check_and_refused_by_training(tmp_path, spoil, monkeypatch):
    source = f"images:{pairs(tmp_path / 'data', spoil)}"
    found = check(source)
    assert list(found.bad) == ["p1_ED"] and "inverted" in found.bad["p1_ED"] and found.frames == 3
    experiment = Experiment.of_profile("smoke", data=source)
    with pytest.raises(DataError, match=r"p1_ED.*inverted"):
        prepare(experiment)
    monkeypatch.setattr(plausible, "check_outlined", lambda *_: None)
    assert check(source).bad == {} and prepare(experiment)


def ring(mask: np.ndarray) -> np.ndarray:
    """The contour of a mask, some three pixels wide."""
    return mask & ~cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)


def test_an_outline_that_was_not_filled_is_doubted_and_refused_by_training(tmp_path):
    assert "wasn't filled" in plausible.doubt(ring(TRUTH)) and plausible.doubt(TRUTH) == ""
    pierced = TRUTH & ~ellipse(TRUTH.shape, np.argwhere(TRUTH).mean(axis=0), (3, 3))
    assert plausible.doubt(pierced) == ""
    source = f"images:{pairs(tmp_path / 'data', ring)}"
    found = check(source)
    assert list(found.bad) == ["p1_ED"] and "wasn't filled" in found.bad["p1_ED"]
    with pytest.raises(DataError, match=r"p1_ED.*fill the outline"):
        prepare(Experiment.of_profile("smoke", data=source))


def test_a_tiny_mask_is_listed_by_data_check(tmp_path):
    source = f"images:{pairs(tmp_path / 'data', lambda mask: ellipse(mask.shape, (60, 150), (3, 3)))}"
    found = check(source)
    assert found.bad == {} and list(found.doubtful) == ["p1_ED"]


def test_an_outline_at_an_impossible_scale_is_doubted():
    assert "mask or scale" in plausible.outlined_doubt(Pixels(grey(TRUTH), TRUTH, (3.5, 3.5)))
    assert plausible.outlined_doubt(Pixels(grey(TRUTH), TRUTH, (0.4, 0.4))) == ""
    assert plausible.outlined_doubt(Pixels(grey(TRUTH), ~FULL, (0.4, 0.4))) == ""  # it says that there is none


def test_no_virtual_patient_is_doubted():
    for source in ("phantom:child:6x2", "phantom:adult:6x2", "phantom:random:12x2"):
        for frame in open_source(source):
            assert plausible.outlined_doubt(frame.read()) == ""


def test_the_console_says_it_once(tmp_path):
    path = huge_dicom(tmp_path)
    cv2.imwrite(str(tmp_path / "noise.png"), np.zeros((60, 80), np.uint8))
    done = lvseg("predict", path, tmp_path / "noise.png", "--out", tmp_path / "out")
    assert done.returncode == 0 and done.stderr.count("not measured") == 2
    assert not done.stderr.replace("lvseg: ", "").isspace() and "Warning" not in done.stderr
