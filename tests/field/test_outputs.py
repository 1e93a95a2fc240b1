"""What goes on from a prediction: NIfTI in the file's own geometry, LabelMe to correct, numbers, a first look."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest

from lvseg import files
from lvseg.data.source import open_source
from lvseg.inference import outputs
from lvseg.inference.predict import predict
from lvseg.inference.segmenter import Segmenter
from tests.field.support import grey
from tests.inference.support import EXPERIMENT, TRUTH, dice, ellipse, read_mask, threshold_network, write_nifti
from tests.support import lvseg


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threshold_network().predict_on_batch, EXPERIMENT)


AFFINES = {
    "plain": np.diag([0.4, 0.5, 1, 1]),
    "half a turn": np.diag([-0.4, -0.5, 1, 1]) + np.array([[0, 0, 0, 7], [0, 0, 0, 9], [0] * 4, [0] * 4]),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.filterwarnings("ignore")
def test_a_nifti_file_gets_its_masks_in_its_own_geometry(segmenter, tmp_path, affine, frames):
    stored = np.stack([grey(ellipse((150, 220), (60 + 3 * i, 150), (40, 25))).T for i in range(frames)], axis=-1)
    image = nibabel.Nifti1Image(stored if frames > 1 else stored[..., 0], affine)
    image.header["descrip"] = b"Jane Doe"
    nibabel.save(image, tmp_path / "heart.nii.gz")
    _, problems = predict(segmenter, [tmp_path / "heart.nii.gz"], tmp_path / "out")
    mask = nibabel.load(tmp_path / "out" / "heart_mask.nii.gz")
    assert problems == {} and mask.shape == image.shape and mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(mask.affine, affine, atol=1e-6)
    assert mask.header.get_zooms() == image.header.get_zooms()
    values = np.asarray(mask.dataobj)
    assert set(np.unique(values)) == {0, 1} and dice(values > 0, np.asarray(image.dataobj) > 127) > 0.97
    assert b"Jane" not in mask.to_bytes()
    assert predict(segmenter, [tmp_path / "out"], tmp_path / "again")[0].empty  # masks aren't taken for images


def test_a_nifti_mask_that_somebody_drew_is_not_overwritten(segmenter, tmp_path):
    write_nifti(tmp_path / "heart.nii.gz", grey(TRUTH), (0.5, 0.4))
    (tmp_path / "heart_mask.nii.gz").write_bytes(b"hours of work")
    table, problems = predict(segmenter, [tmp_path / "heart.nii.gz"], tmp_path)
    assert table.empty and "heart_mask.nii.gz" in problems[str(tmp_path / "heart.nii.gz")]
    assert (tmp_path / "heart_mask.nii.gz").read_bytes() == b"hours of work"


def test_pictures_get_no_nifti(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    predict(segmenter, [tmp_path / "heart.png"], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.nii*"))


@pytest.mark.filterwarnings("ignore")
def test_labelme_outlines_can_be_corrected_and_trained_on(segmenter, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("p1_ED", "p2_ED"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), grey(TRUTH))
    cv2.imwrite(str(tmp_path / "in" / "dark.png"), np.zeros((90, 90), np.uint8))
    predict(segmenter, [tmp_path / "in"], tmp_path / "out", labelme=True)
    told = json.loads((tmp_path / "out" / "labelme" / "p1" / "p1_ED.json").read_text())
    assert told["shapes"][0]["label"] == "LV" and told["imagePath"] == "p1_ED.png"
    assert (told["imageHeight"], told["imageWidth"]) == TRUTH.shape
    frames = open_source(f"labelme:{tmp_path / 'out' / 'labelme'}")
    assert [frame.patient for frame in frames] == ["p1", "p2"]
    assert (frames[0].read().image == grey(TRUTH)).all()
    assert dice(frames[0].read().mask, read_mask(tmp_path / "out" / "p1_ED_mask.png")) > 0.995
    assert (tmp_path / "out" / "labelme" / "dark" / "dark.png").exists()  # nothing found: to be outlined by hand


@pytest.mark.filterwarnings("ignore")
def test_anonymous_output_names_nobody(segmenter, tmp_path):
    source = tmp_path / "Doe_Jane"
    source.mkdir()
    cv2.imwrite(str(source / "DoeJane_A.png"), grey(TRUTH))
    write_nifti(source / "DoeJane_beat.nii", np.stack([grey(TRUTH)] * 2), (0.5, 0.5))
    out = tmp_path / "out"
    table, problems = predict(segmenter, [source], out, anonymous=True, labelme=True, quality=True)
    assert problems == {} and list(table.frame) == ["0001", "0002_0001", "0002_0002"]
    for path in out.rglob("*"):
        assert "doe" not in path.name.lower() and "jane" not in path.name.lower()
        if path.is_file() and path.name != outputs.KEY:
            assert b"doe" not in path.read_bytes().lower() and b"jane" not in path.read_bytes().lower(), path
    key = pd.read_csv(out / outputs.KEY, dtype=str)
    assert set(key.name) == {str(path) for path in source.iterdir()} and set(key.file) == {"0001", "0002"}
    assert list(pd.read_csv(out / "measurements.csv", dtype=str).file) == list(table.file)


def test_names_stay_without_the_option(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "DoeJane.png"), grey(TRUTH))
    predict(segmenter, [tmp_path / "DoeJane.png"], tmp_path / "out")
    assert (tmp_path / "out" / "DoeJane_mask.png").exists() and not (tmp_path / "out" / outputs.KEY).exists()


@pytest.mark.filterwarnings("ignore")
def test_the_least_trusted_comes_first(tmp_path):
    """A network that marks a place of the picture, whatever is there, agrees least with itself when it is shifted."""

    def by_place(images: np.ndarray) -> np.ndarray:
        rows = np.arange(images.shape[1])[None, :, None, None]
        there = (rows > 30) & (rows < 40) & (np.arange(images.shape[2])[None, None, :, None] < 60)
        bright = images.mean(axis=(1, 2, 3), keepdims=True) > 0.4
        return np.where(bright, there, images > 0.5).astype(np.float32)

    placed = Segmenter(by_place, EXPERIMENT)
    cv2.imwrite(str(tmp_path / "by_content.png"), grey(TRUTH))
    cv2.imwrite(str(tmp_path / "by_place.png"), np.full((150, 220), 180, np.uint8))
    cv2.imwrite(str(tmp_path / "nothing.png"), np.zeros((150, 220), np.uint8))
    table, _ = predict(placed, [tmp_path], tmp_path / "out", quality=True)
    trust = table.set_index("frame").trust
    assert trust["by_content"] > 0.97 > 0.9 > trust["by_place"] > trust["nothing"] == 0
    assert list(pd.read_csv(tmp_path / "out" / "measurements.csv").trust) == pytest.approx(list(table.trust), rel=1e-4)
    sheet = cv2.imread(str(tmp_path / "out" / outputs.OVERVIEW))
    tiles = [sheet[:100, left : left + 150].mean() for left in (0, 200, 400)]
    assert sheet.shape == (200, 600, 3) and tiles[0] < 5 and tiles[1] > 150 and 20 < tiles[2] < 100


def test_without_quality_there_is_no_trust(segmenter, tmp_path):
    cv2.imwrite(str(tmp_path / "heart.png"), grey(TRUTH))
    table, _ = predict(segmenter, [tmp_path / "heart.png"], tmp_path / "out")
    assert "trust" not in table and not (tmp_path / "out" / outputs.OVERVIEW).exists()


def test_the_cache_is_told_and_cleared_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    for name in (f"{'a1' * 16}.pixels", f"{'a1' * 16}.json", f"{'b2' * 16}.dicom.json"):
        (tmp_path / name).write_bytes(b"x" * 500_000)
    (tmp_path / "thesis.json").write_text("years of work")
    done = lvseg("cache")
    assert done.returncode == 0 and f"{tmp_path}: 3 files, 1.5 MB" in done.stdout and len(files.kept()) == 3
    done = lvseg("cache", "--clear")
    assert done.returncode == 0 and [path.name for path in Path(tmp_path).iterdir()] == ["thesis.json"]
    assert "0 files" in lvseg("cache").stdout
