"""Segmenting files: masks in native size, their names and measurements, and what happens to inputs that can't be used.

The network here is a threshold at mid-grey, made of stock layers: what it must find is known exactly.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from conftest import needs_camus
from pydicom import examples

from benchmarks.real_data import CAMUS
from lvseg import files
from lvseg.backend import keras
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.inference import onnx_file
from lvseg.inference.predict import ejection_fractions, predict
from lvseg.inference.segmenter import Segmenter
from lvseg.readers import open_path

SIZE = 96
EXPERIMENT = Experiment.of_profile("smoke", size=SIZE, clahe="none")


def threshold_network(size: int = SIZE, channels: int = 1) -> keras.Model:
    """Probability 1 where the image is brighter than mid-grey, else 0, with a steep passage between."""
    inputs = keras.Input((size, size, channels))
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid")
    network = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.full((1, 1, channels, 1), 40 / channels, "float32"), np.array([-20], "float32")])
    return network


def ellipse(shape: tuple[int, int], centre: tuple[float, float], half: tuple[float, float]) -> np.ndarray:
    """A bool mask: the ellipse around `centre` (row, column) with half axes `half` (down, across), in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / half[0]) ** 2 + ((columns - centre[1]) / half[1]) ** 2 < 1


def grey(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 220, 30).astype(np.uint8)


def write_nifti(path: Path, frames: np.ndarray, spacing_mm: tuple[float, float]) -> None:
    """Upright frames (height, width) or (n, height, width), stored x first as CAMUS does."""
    row, column = spacing_mm
    image = nibabel.Nifti1Image(np.ascontiguousarray(frames.T), np.eye(4))
    image.header.set_zooms((column, row, 1.0)[: frames.ndim])
    nibabel.save(image, path)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


def read_mask(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture.ndim == 2 and set(np.unique(picture)) <= {0, 255}
    return picture > 0


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threshold_network().predict_on_batch, EXPERIMENT)


@pytest.fixture(scope="module")
def cine() -> Path:
    """The echo cine that comes with pydicom: 30 frames of 240 x 320."""
    return Path(examples.get_path("ybr_color"))


TRUTH = ellipse((150, 220), (60, 150), (40, 25))  # off the middle on a wide picture: a turned mask would show


@pytest.mark.parametrize("ending", [".png", ".jpg", ".nii", ".nii.gz"])
def test_the_mask_stands_upright_in_native_size(segmenter, tmp_path, ending):
    path = tmp_path / f"heart{ending}"
    if ".nii" in ending:
        write_nifti(path, grey(TRUTH), (0.3, 0.3))
    else:
        cv2.imwrite(str(path), grey(TRUTH))
    predict(segmenter, [path], tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "heart_mask.png", "heart_overlay.png", "measurements.csv"
    }  # fmt: skip
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
    assert table.row_mm[0] == pytest.approx(10 * region.PhysicalDeltaY, rel=1e-5)
    pixels = pydicom.pixels.pixel_array(cine, index=16)
    luma = pixels.astype(float) @ (0.299, 0.587, 0.114)  # pydicom gives RGB
    mask = read_mask(tmp_path / f"{names[16]}_mask.png")
    assert mask.shape == (240, 320) and dice(mask, luma > 127.5) > 0.5  # thin bright structures, seen at 96 x 96
    assert luma[mask].mean() > 2 * luma[~mask].mean()


def test_frames_go_through_the_network_in_batches():
    sizes = []

    def forward(images):
        sizes.append(len(images))
        return np.ones((*images.shape[:3], 1), np.float32)

    images = [np.zeros((30 + i, 40), np.uint8) for i in range(20)]
    masks = list(Segmenter(forward, EXPERIMENT).masks(iter(images)))
    assert sizes == [16, 4]
    assert [mask.shape for mask in masks] == [image.shape for image in images] and all(mask.all() for mask in masks)


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
        "good_mask.png", "good_overlay.png", "volume_mask.png", "volume_overlay.png", "measurements.csv"
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


# Loading


def save(folder: Path, network: keras.Model, ending: str = ".keras") -> Path:
    network.save(folder / "net.keras")
    onnx_file.to_onnx(network, folder / "net.onnx")
    files.write_json(folder / "net.json", EXPERIMENT.model_dump())
    return folder / f"net{ending}"


def test_keras_and_onnx_files_and_a_runs_folder_load_alike(tmp_path):
    file = save(tmp_path, threshold_network())
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(file.with_suffix(".onnx"), run / "weights.onnx")
    shutil.copy(file.with_suffix(".json"), run / "experiment.json")
    image = grey(TRUTH)
    for weights in (file, file.with_suffix(".onnx"), run):
        loaded = Segmenter.load(weights)
        assert loaded.experiment == EXPERIMENT
        assert dice(next(loaded.masks([image])), TRUTH) > 0.97


@pytest.mark.parametrize("ending", [".keras", ".onnx"])
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda net: net.unlink(), "net"),
        (lambda net: net.with_suffix(".json").unlink(), "net.json"),
        (lambda net: net.write_text("no archive"), "net"),
        (lambda net: net.write_bytes(net.read_bytes()[:150]), "net"),
        (lambda net: net.with_suffix(".json").write_text("{"), "net.json"),
        (lambda net: net.with_suffix(".json").write_text("[1, 2]"), "net.json"),
        (lambda net: net.with_suffix(".json").write_text('{"sice": 96}'), "net.json"),
        (lambda net: files.write_json(net.with_suffix(".json"), {**EXPERIMENT.model_dump(), "size": 64}), "net"),
        (lambda net: files.write_json(net.with_suffix(".json"), {**EXPERIMENT.model_dump(), "channels": 3}), "net"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, spoil, named, ending):
    weights = save(tmp_path, threshold_network(), ending)
    spoil(weights)
    with pytest.raises(DataError, match=re.escape(named if "." in named else named + ending)) as refused:
        Segmenter.load(weights)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_network_with_code_inside_is_refused(tmp_path):
    """A Lambda layer would run whatever its author wrote."""
    inputs = keras.Input((SIZE, SIZE, 1))
    network = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    network.save(tmp_path / "net.keras")
    files.write_json(tmp_path / "net.json", EXPERIMENT.model_dump())
    with pytest.raises(DataError, match=r"net\.keras"):
        Segmenter.load(tmp_path / "net.keras")


def test_the_shipped_weights_segment_the_cine_of_pydicom(cine, tmp_path):
    images = [frame.read().image for frame in open_path(cine)[:4]]
    for mask in Segmenter.load().masks(images):
        assert 0.005 < mask.mean() < 0.5
