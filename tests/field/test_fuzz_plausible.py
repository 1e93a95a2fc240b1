"""The plausible files show what they say that they show, and a reader that gets them wrong in silence is caught."""

from __future__ import annotations

import ast
import base64
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageOps

from benchmarks.fuzz_readers import cases, faults_dicom, faults_pictures, faults_sets, faults_volumes, plausible
from benchmarks.fuzz_readers.cases import Case, Truth
from lvseg.errors import DataError, DataWarning
from lvseg.readers import Frame, Pixels

Read = Callable[[Path], list[Frame]]


def picture(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("L"))


def dicom(path: Path) -> np.ndarray:
    data = pydicom.dcmread(path)
    values = data.pixel_array.astype(float)
    if data.SamplesPerPixel == 3:
        values = values[..., 0]  # of a grey picture red is as bright as the whole
    if data.PhotometricInterpretation == "MONOCHROME1":
        values = 255 - values
    return np.rint(values / 16 if data.BitsAllocated == 16 else values).astype(np.uint8)


def video(path: Path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    return np.stack(frames)


def nifti(path: Path) -> np.ndarray:
    values = np.asarray(nibabel.load(path).dataobj)
    return np.swapaxes(values, 0, 1) if values.ndim == 2 else values.transpose(2, 1, 0)


def metaimage(path: Path) -> np.ndarray:
    fields = dict(line.split(" = ") for line in path.read_text().splitlines())
    width, height, _ = map(int, fields["DimSize"].split())
    return np.fromfile(path.parent / fields["ElementDataFile"], np.uint8).reshape(height, width)


def filled(outline: list, size: tuple[int, int]) -> np.ndarray:
    """An outline from the first pixel's corner, filled at eight times the resolution."""
    mask = Image.new("L", (8 * size[1], 8 * size[0]))
    ImageDraw.Draw(mask).polygon([(8 * x, 8 * y) for x, y in outline], fill=1)
    return np.array(mask)[4::8, 4::8] > 0


def within(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of a file, by other means than lvseg's."""
    by_ending = {".avi": video, ".mp4": video, ".nii": nifti, ".gz": nifti, ".mhd": metaimage}
    pictures = dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"), picture)
    frames = (by_ending | pictures).get(path.suffix, dicom)(path)
    return list(frames) if frames.ndim == 3 else [frames]


def outlined(case: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and masks of a sound data set, in their names' order."""
    root = case.path
    found = []
    if case.door == "labelme":
        for path in sorted(root.rglob("*.json"), key=str):
            content = json.loads(path.read_text())
            name = path.parent / content["imagePath"]
            image = picture(name) if name.exists() else np.array(within(content["imageData"]))
            lv = content["shapes"][0]
            if lv["shape_type"] == "mask":
                (left, top), _ = lv["points"]
                patch = np.array(within(lv["mask"])) > 0
                mask = np.zeros(image.shape, bool)
                mask[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
            else:
                mask = filled(lv["points"], image.shape)
            found.append((image, mask))
    elif case.door == "camus":
        for path in sorted(root.rglob("*_gt.nii.gz")):
            found.append((nifti(path.with_name(path.name.replace("_gt", ""))), nifti(path) == 1))
    elif case.door == "echonet":
        table = pd.read_csv(root / "VolumeTracings.csv")
        for (name, frame), rows in table.groupby(["FileName", "Frame"]):
            chords = rows[["X1", "Y1", "X2", "Y2"]].to_numpy()[1:]
            outline = np.concatenate([chords[:, :2], chords[::-1, 2:]]) + 0.5
            found.append((video(root / "Videos" / name)[frame], filled(outline.tolist(), (112, 112))))
    else:
        for path in sorted(root.rglob("*.*"), key=lambda p: p.relative_to(root).as_posix().replace("/", "_")):
            apart = "images" in path.parts
            if "_mask" in path.name or "masks" in path.parts:
                continue
            mask = Path(str(path).replace("/images/", "/masks/")) if apart else path.with_stem(f"{path.stem}_mask")
            found.append((picture(path), picture(mask.with_suffix(".png")) > 0))
    return found


@pytest.mark.parametrize("number", range(3, 4 * len(plausible.SOUND), 4))
def test_sound_files_show_what_their_truth_says(number: int, tmp_path: Path) -> None:
    case = plausible.make_case(number, tmp_path)
    assert not case.fault
    if case.door == "compare":
        pairs = [(picture(p), picture(case.path / "true" / p.name.replace("_mask", "")))
                 for p in sorted((case.path / "pred").iterdir())]  # fmt: skip
        assert case.dice == pytest.approx([cases.dice(a > 127, b > 127) for a, b in pairs])
        return
    if case.door in ("open", "predict"):
        shown = [(image, None) for image in decoded(case.path)]
    elif case.door == "dicom":
        shown = [(dicom(path), None) for path in sorted(case.path.rglob("*.dcm"))]
    else:
        shown = outlined(case)
    assert len(shown) == len(case.truths)
    for (image, mask), truth in zip(shown, case.truths, strict=True):
        assert plausible.alike(image, truth.image)
        assert mask is None or cases.dice(mask, truth.mask) > 0.985


def turned_back(path: Path) -> np.ndarray:
    """A picture as EXIF wants it shown; a TIFF from its one strip of bytes, since Pillow has its own way with those."""
    opened = Image.open(path)
    if path.suffix != ".tif":
        return np.array(ImageOps.exif_transpose(opened).convert("L"))
    width, height, (place,), way = (opened.tag_v2[tag] for tag in (256, 257, 273, 274))
    stored = np.frombuffer(path.read_bytes()[place : place + width * height], np.uint8).reshape(height, width)
    if way in (3, 4, 6, 7):
        stored = stored[::-1]
    if way in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    return stored.T if way > 4 else stored


@pytest.mark.parametrize("seed", range(16))
def test_turned_files_show_the_truth_once_they_are_turned_back(seed: int, tmp_path: Path) -> None:
    """By Pillow's and nibabel's word; CAMUS's columns run to the left and its rows to the back."""
    rng = np.random.default_rng(seed)
    case = faults_pictures.turned(rng, tmp_path)
    assert plausible.alike(turned_back(case.path), case.truths[0].image)
    case = faults_sets.turned(rng, tmp_path / "labelme")
    content = json.loads((case.path / "p1_a.json").read_text())
    stored = within(content["imageData"]) if content["imageData"] else Image.open(case.path / "p1_a.jpg")
    assert plausible.alike(np.array(ImageOps.exif_transpose(stored)), case.truths[0].image)
    case = faults_volumes.turned_volume(rng, tmp_path)
    volume = nibabel.Nifti1Image(nifti(case.path).T[..., None], nibabel.load(case.path).affine)
    right_to_left = np.asarray(nibabel.as_closest_canonical(volume).dataobj)[::-1, ::-1, 0]
    assert np.array_equal(right_to_left.T, case.truths[0].image)


def test_a_case_is_drawn_from_its_number(tmp_path: Path) -> None:
    def content(root: Path) -> dict[Path, bytes]:
        return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    for number in (0, 21, 64, 85):
        first, second = (plausible.make_case(number, tmp_path / f"{number}{turn}") for turn in "ab")
        assert first.fault == second.fault
        one, other = content(tmp_path / f"{number}a"), content(tmp_path / f"{number}b")
        assert one.keys() == other.keys()
        packed = (".gz", ".dcm", ".mp4")  # these hold the time of writing
        assert all(one[path] == other[path] for path in one if path.suffix not in packed)


def test_three_in_four_are_wrong_and_all_kinds_are_there(tmp_path: Path) -> None:
    made = [plausible.make_case(number, tmp_path / str(number)) for number in range(160)]
    assert sum(not case.fault for case in made) == 40
    assert {case.kind for case in made if case.fault} == {f"K{i}" for i in range(1, 9)}
    assert all(case.words for case in made if case.fault)


def test_generators_know_nothing_of_the_readers() -> None:
    for module in (cases, faults_dicom, faults_pictures, faults_sets, faults_volumes):
        tree = ast.parse(Path(module.__file__).read_text())
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        ours = {name for name in names if name.startswith(("lvseg", "benchmarks"))}
        assert all(name.startswith(("lvseg.phantom", "benchmarks.fuzz_readers.")) for name in ours)
        assert not any("hostile" in name for name in ours)


# Broken readers


def case_of(truth: Truth, path: Path, fault: str, words: str = "turned") -> Case:
    return Case("K2", fault, "open", path, [truth], words)


def reader(read: Callable[[], Pixels]) -> Read:
    return lambda path: [Frame("a", "a", read, files=(path,))]


def told(truth: Truth, sentence: str, error: bool) -> Read:
    def read() -> Pixels:
        if error:
            raise DataError(sentence)
        warnings.warn(DataWarning(sentence), stacklevel=1)
        return Pixels(truth.image[::-1], None, truth.spacing)

    return reader(read)


TRUTH = cases.hearts()[0][0].scaled()
RIGHT = Pixels(TRUTH.image, None, TRUTH.spacing)
DOUBLE = (2 * TRUTH.spacing[0], 2 * TRUTH.spacing[1]) if TRUTH.spacing else None


@pytest.mark.parametrize(
    ("read", "faulty", "sound"),
    [
        (reader(lambda: RIGHT), "right", "right"),
        (reader(lambda: RIGHT._replace(image=TRUTH.image[:, ::-1])), "silent", "silent"),
        (reader(lambda: RIGHT._replace(image=np.full_like(TRUTH.image, 9))), "silent", "silent"),
        (reader(lambda: RIGHT._replace(spacing_mm=DOUBLE)), "silent", "silent"),
        (reader(lambda: RIGHT._replace(spacing_mm=None)), "silent", "silent"),
        (lambda path: [], "silent", "silent"),
        (lambda path: 1 / 0, "silent", "silent"),
        (told(TRUTH, "/a.jpg: is stored turned; save it upright", error=True), "told", "false alarm"),
        (told(TRUTH, "/a.jpg: is stored turned; taken as it is", error=False), "told", "false alarm"),
        (told(TRUTH, "/a.jpg: has grey levels", error=True), "silent", "false alarm"),
        (told(TRUTH, "/a.jpg: is stored turned; restore it from its source", error=True), "silent", "false alarm"),
        (told(TRUTH, "/a.jpg: turned (ValueError: turned)", error=True), "silent", "false alarm"),
    ],
)
def test_the_outcome_of_a_reader(
    read: Read, faulty: str, sound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plausible, "open_path", read)
    for fault, expected in (("stored turned", faulty), ("", sound)):
        assert plausible.judge(case_of(TRUTH, tmp_path / "a.jpg", fault), tmp_path / "out")[0] == expected


def test_a_files_name_is_no_word_of_its_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "turned.jpg"
    monkeypatch.setattr(plausible, "open_path", told(TRUTH, f"{path}: has grey levels", error=True))
    assert plausible.judge(case_of(TRUTH, path, "stored turned"), tmp_path)[0] == "silent"


def test_a_good_item_beside_a_bad_one_must_be_read_and_the_bad_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = replace(case_of(TRUTH, tmp_path, "one is bad", "odd"), among=True)
    good, bad = reader(lambda: RIGHT), told(TRUTH, "/odd.jpg: is text", error=True)
    for read, expected in (
        (lambda path: good(path) + bad(path), "told"),
        (good, "silent"),
        (bad, "false alarm"),
    ):
        monkeypatch.setattr(plausible, "open_path", read)
        assert plausible.judge(case, tmp_path / "out")[0] == expected


def test_a_measurement_that_cannot_be_is_silent_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale ten times too large, through `predict`: with a word of it in the table it is told."""
    case = plausible.make_case(21, tmp_path / "data")
    assert case.kind == "K1" and "10 times" in case.fault
    line = {"frame": "a", "row_mm": 10 * case.truths[0].spacing[0], "column_mm": 10 * case.truths[0].spacing[1]}
    for doubt, expected in (("", "silent"), ("a volume of 40 litres can't be", "told")):

        def measured(segmenter: object, inputs: object, out: Path, said: str = doubt) -> tuple[pd.DataFrame, dict]:
            mask = next(segmenter.masks([case.truths[0].image]))
            cases.save(out / "a_mask.png", cases.white(mask))
            return pd.DataFrame([line | {"area_mm2": 1.0, "doubt": said}]), {}

        monkeypatch.setattr(plausible, "predict", measured)
        assert plausible.judge(case, tmp_path / "out")[0] == expected


def test_a_rule_of_the_readers_that_is_switched_off_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NIfTI of values below zero is told of; with the check on grey levels gone, it is silent."""
    case = Case("K5", "below zero", "open", tmp_path / "a.nii", [TRUTH], "values|range")
    cases.write_nifti(case.path, (-TRUTH.image.T.astype(np.int16)), cases.upright_affine(TRUTH.spacing))
    assert plausible.judge(case, tmp_path)[0] == "told"
    monkeypatch.setattr("lvseg.readers.volumes.grey_levels", lambda path, values, *_: values.astype(np.uint8))
    assert plausible.judge(case, tmp_path)[0] == "silent"


def test_rows_by_kind_and_the_numbers_to_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [(n, Case(kind, fault, "open", Path("a")), result, "") for n, (kind, fault, result) in enumerate(
        [("K1", "x", "silent"), ("K1", "x", "told"), ("K2", "", "false alarm"), ("K2", "x", "right")])]  # fmt: skip
    monkeypatch.setattr(plausible, "sweep", lambda numbers: tried)
    rows = {row["case"]: row for row in plausible.measure(4)}
    assert list(rows) == ["K1", "K2", "sound"]
    assert rows["K1"]["value"] == 0.5 and rows["K1"]["cases"] == [0] and rows["K1"]["told"] == 1
    assert rows["sound"]["value"] == 1 and rows["K2"]["cases"] == []
