"""Nobody's name leaves a DICOM: no tag's value, and no text burnt into the screen around the two-dimensional image."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.tag import Tag

from benchmarks.fuzz_readers import PICTURE, write_dicom
from lvseg import cli
from lvseg.errors import DataError, DataWarning
from lvseg.inference.predict import predict
from lvseg.phantom.sheet import write_sheet
from lvseg.readers import open_path
from lvseg.readers.record import Frame, Pixels
from tests.field.dicom_support import THRESHOLD, burnt, heart, opened, region

SECRET = "QZX"
_SECRETS = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"), SECRET),
    "AS": "047Y",
    "DA": "19470813",
    "DT": "19470813",
    "TM": "194708.13",
    "UI": "1.2.194708134711",
    "DS": "4711.25",
    "IS": "19470813",
}
_NOT_THESE = (0x0000, 0x0002, 0x0028, 0x7FE0)
"""Groups of how the file and its pixels are stored."""


def spilt(text: str) -> bool:
    return any(secret in text for secret in (SECRET, "194708", "4711", "047Y"))


def write_secrets(path: Path) -> Path:
    """Each tag of the dictionary whose value is text, a date or a number in text, but for how pixels are stored."""
    data = pydicom.dcmread(write_dicom(path, heart(), PixelSpacing=[0.3, 0.3]))
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        if kind in _SECRETS and keyword not in ("", "SOPClassUID") and Tag(tag).group not in _NOT_THESE:
            data.add_new(tag, kind, _SECRETS[kind])
    assert len(data) > 2400
    data.save_as(path, enforce_file_format=False)
    return path


def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, *arguments: object) -> str:
    """What a command prints, whatever becomes of it."""
    monkeypatch.setattr(sys, "argv", ["lvseg", *map(str, arguments)])
    with warnings.catch_warnings(), suppress(SystemExit):
        cli.main()
    return "".join(capfd.readouterr())


def test_no_value_of_any_tag_leaves_a_file(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "cache"))
    path = write_secrets(tmp_path / "data" / "p1" / "a.dcm")
    said = command(monkeypatch, capfd, "predict", path, "--out", tmp_path / "out")
    said += command(monkeypatch, capfd, "data", "check", f"dicom:{tmp_path / 'data'}")
    assert "1 frames segmented" in said
    frame = open_path(path)[0]
    said += repr(frame) + repr(frame.facts) + repr(frame.read())
    made = [file for folder in ("out", "cache") for file in (tmp_path / folder).rglob("*") if file.is_file()]
    assert len(made) == 4
    for file in made:
        said += file.name + file.read_bytes().decode("latin-1")
    assert not spilt(said)


TEXTS = [tag for tag, (kind, *_, name) in DicomDictionary.items() if kind in _SECRETS and tag >> 16 == 0x0028 and name]


@pytest.mark.parametrize("tag", [*TEXTS, 0x00020010, 0x00080016], ids=hex)
def test_no_value_of_a_tag_that_is_parsed_is_quoted(tmp_path: Path, tag: int) -> None:
    data = pydicom.dcmread(write_dicom(tmp_path / "a", PICTURE))
    holder = data.file_meta if tag >> 16 == 2 else data
    kind = DicomDictionary[tag][0]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        holder.add_new(tag, kind, SECRET if kind not in ("DS", "IS", "UI") else _SECRETS[kind])
        data.save_as(tmp_path / "a", enforce_file_format=False, implicit_vr=False, little_endian=True)
        said.clear()
        try:
            told = repr(open_path(tmp_path / "a")[0].read())
        except DataError as error:
            told = f"{error} {error.__cause__}"
    assert not spilt(told + repr([str(one.message) for one in said]))


def screen_with_name() -> np.ndarray:
    screen = np.zeros((200, 300), np.uint8)
    screen[60:156, 80:208] = heart()
    return burnt(burnt(screen, "DOE JANE 1970", (5, 15)), "MRN 4711", (5, 190))


def test_a_name_burnt_into_the_screen_is_not_in_the_overlay(tmp_path: Path) -> None:
    screen = screen_with_name()
    assert (screen[:20] > 200).sum() > 100 and (screen[175:] > 200).sum() > 100
    path = write_dicom(tmp_path / "a", screen, SequenceOfUltrasoundRegions=[region(80, 60, 207, 155)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)  # nothing to be told
        predict(THRESHOLD, [path], tmp_path / "out")
    overlay = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))
    mask = cv2.imread(str(tmp_path / "out" / "a_mask.png"), cv2.IMREAD_GRAYSCALE)
    assert overlay.shape == (96, 128, 3) and mask.shape == (200, 300)
    assert not mask[:60].any() and not mask[156:].any()  # nor is a letter taken for a ventricle
    coloured = np.ptp(overlay, axis=2) > 40
    assert (overlay[~coloured][:, 0] == heart()[~coloured]).all()


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({}, True),
        ({"BurnedInAnnotation": "YES"}, True),
        ({"BurnedInAnnotation": "NO"}, False),
        ({"SequenceOfUltrasoundRegions": [region(80, 60, 207, 155)]}, False),
        ({"BurnedInAnnotation": "YES", "SequenceOfUltrasoundRegions": [region(80, 60, 207, 155)]}, False),
        ({"SequenceOfUltrasoundRegions": [region(0, 0, 299, 199)]}, False),
        ({"BurnedInAnnotation": "YES", "SequenceOfUltrasoundRegions": [region(80, 60, 900, 900)]}, True),
    ],
)
def test_where_a_name_may_be_shown_that_is_told_once(tmp_path: Path, tags: dict, told: bool) -> None:
    path = write_dicom(tmp_path / "a", np.stack([screen_with_name()] * 2), **tags)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predict(THRESHOLD, [path], tmp_path / "out")
    names = [str(one.message) for one in said if "look for names" in str(one.message)]
    assert len(names) == told and all(str(path) in one for one in names)
    assert not any("look for names" in one for one in opened(path)[1])  # nothing leaves where nothing is drawn


def test_a_sheet_shows_the_two_dimensional_image_alone(tmp_path: Path) -> None:
    pixels = Pixels(screen_with_name(), None, None, (slice(60, 156), slice(80, 208)))
    blank = np.zeros_like(pixels.image)
    blank[pixels.region] = pixels.shown
    sheets = []
    for name, image in (("named", pixels.image), ("blank", blank)):
        frames = [Frame(f"f{i}", f"p{i}", lambda image=image: pixels._replace(image=image)) for i in range(16)]
        write_sheet(frames, tmp_path / f"{name}.png")
        sheets.append(cv2.imread(str(tmp_path / f"{name}.png")))
    np.testing.assert_array_equal(*sheets)
