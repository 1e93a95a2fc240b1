"""DICOM's colours, spacings and frame rates by hand and against Pillow; nothing personal is given away."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.examples import get_path
from pydicom.uid import DeflatedExplicitVRLittleEndian

from benchmarks.fuzz_readers import PICTURE, region, write_dicom
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import open_path
from tests.readers.support import only, refused

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("pixels", "colour", "tags", "expected"),
    [
        (PICTURE, "MONOCHROME2", {}, PICTURE),
        (PICTURE, "MONOCHROME1", {}, 255 - PICTURE),
        (PICTURE, "MONOCHROME2", {"WindowCenter": 128, "WindowWidth": 256}, PICTURE),
        (
            PICTURE,
            "MONOCHROME2",
            {"WindowCenter": 100.5, "WindowWidth": 101},
            np.clip((PICTURE - 50.0) * 2.55, 0, 255),
        ),
        (PICTURE.astype(np.uint16) * 257, "MONOCHROME2", {}, PICTURE),
        (
            PICTURE.astype(np.uint16) * 16,
            "MONOCHROME2",
            {"BitsStored": 12, "HighBit": 11},
            PICTURE * (16 * 255 / 4095),
        ),
        (PICTURE.astype(np.int16) - 128, "MONOCHROME2", {"WindowCenter": 0, "WindowWidth": 256}, PICTURE),
        (
            PICTURE.astype(np.uint16),
            "MONOCHROME2",
            {"RescaleSlope": 2, "RescaleIntercept": -10, "WindowCenter": 246, "WindowWidth": 511},
            PICTURE,
        ),
        (np.stack([PICTURE] * 3, axis=-1), "RGB", {}, PICTURE),
        (np.dstack([PICTURE, PICTURE * 0, PICTURE * 0]), "RGB", {}, 0.299 * PICTURE),
        (np.dstack([PICTURE, PICTURE * 0 + 128, PICTURE * 0 + 128]), "YBR_FULL", {}, PICTURE),
    ],
)
def test_dicom_colour_models(tmp_path: Path, pixels: np.ndarray, colour: str, tags: dict, expected: np.ndarray) -> None:
    image = only(open_path(write_dicom(tmp_path / "IM0001", pixels, colour, **tags))).image
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image, expected, atol=1)


def test_dicom_palette_colour(tmp_path: Path) -> None:
    table = (255 - np.arange(256)).astype("<u2") * 256
    tags = {}
    for channel in ("Red", "Green", "Blue"):
        tags[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{channel}PaletteColorLookupTableData"] = table.tobytes()
    image = only(open_path(write_dicom(tmp_path / "a.dcm", PICTURE, "PALETTE COLOR", **tags))).image
    np.testing.assert_array_equal(image, 255 - PICTURE)


def test_the_cine_that_pydicom_ships() -> None:
    path = Path(get_path("ybr_color"))  # YBR_FULL_422 in JPEG, 30 frames of 240 x 320
    frames = open_path(path)
    assert len(frames) == 30 and frames[29].name == f"{path.stem}_0030"
    data = pydicom.dcmread(path)
    for index in (0, 17, 29):
        image, mask, spacing, *_ = frames[index].read()
        jpeg = Image.open(io.BytesIO(get_frame(data.PixelData, index, number_of_frames=30))).convert("L")
        np.testing.assert_allclose(image.astype(float), np.array(jpeg, float), atol=3)
        assert mask is None and spacing is None  # its region of 0.51 mm reaches beyond the picture, which was halved


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [0.4, 0.3]}, (0.4, 0.3)),
        ({"SequenceOfUltrasoundRegions": [region(0.05, 0.04)], "PixelSpacing": [9, 9]}, (0.5, 0.4)),
        (
            {
                "SequenceOfUltrasoundRegions": [
                    region(1, 1, form=2),
                    region(1, 1, units=4),
                    region(0.02, 0.03),
                ]
            },
            (0.2, 0.3),
        ),
        ({"SequenceOfUltrasoundRegions": []}, None),
    ],
)
def test_dicom_spacing(tmp_path: Path, tags: dict, spacing: tuple[float, float] | None) -> None:
    assert only(open_path(write_dicom(tmp_path / "a.dcm", PICTURE, **tags))).spacing_mm == spacing


def test_a_screen_without_a_two_dimensional_image_is_refused(tmp_path: Path) -> None:
    tags = {"SequenceOfUltrasoundRegions": [region(1, 1, form=3)], "PixelSpacing": [0.4, 0.3]}
    path = write_dicom(tmp_path / "a.dcm", PICTURE, **tags)
    refused(lambda: only(open_path(path)), path, "no two-dimensional image")


def test_dicom_cine_in_folders_gives_nothing_personal_away(tmp_path: Path) -> None:
    cine = RNG.integers(0, 256, (3, 24, 32), np.uint8)
    (tmp_path / "p1" / "study").mkdir(parents=True)
    write_dicom(tmp_path / "p1" / "study" / "IM1", cine)
    write_dicom(tmp_path / "p1" / "DICOMDIR", PICTURE, Rows=24)
    report = pydicom.dcmread(tmp_path / "p1" / "DICOMDIR")
    del report.Rows, report.PixelData
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    report.save_as(tmp_path / "p1" / "DICOMDIR")
    frames = open_source(f"dicom:{tmp_path}")
    assert [frame.name for frame in frames] == [f"p1_study_IM1_000{i}" for i in (1, 2, 3)]
    assert {frame.patient for frame in frames} == {"p1"}
    np.testing.assert_array_equal(frames[2].read().image, cine[2])
    shown = repr(frames) + repr([frame.facts for frame in frames]) + repr(frames[0].read())
    assert not any(secret in shown for secret in ("Doe", "Jane", "4711", "1970"))


def test_a_damaged_dicom_gives_nothing_personal_away(tmp_path: Path) -> None:
    """pydicom quotes bad values in warnings and errors, and a wrong length makes its neighbours part of the value."""
    whole = write_dicom(tmp_path / "a", PICTURE).read_bytes()
    for place in range(132, whole.index(b"MRN-4711") + 8):
        (tmp_path / "a").write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                told = repr(open_path(tmp_path / "a"))
            except DataError as error:
                told = f"{error} {error.__cause__}"
        assert not any(secret in told + repr(said) for secret in ("Doe", "Jane", "4711", "1970"))


@pytest.mark.parametrize(
    ("tags", "facts"),
    [
        ({}, {}),
        ({"FrameTime": 20}, {"frame_rate_hz": 50.0}),
        ({"CineRate": 33}, {"frame_rate_hz": 33.0}),
        ({"RecommendedDisplayFrameRate": 25, "CineRate": 30, "FrameTime": 40}, {"frame_rate_hz": 25.0}),
        ({"FrameTime": -1}, {}),
    ],
)
def test_dicom_frame_rate(tmp_path: Path, tags: dict, facts: dict) -> None:
    assert open_path(write_dicom(tmp_path / "a.dcm", np.stack([PICTURE] * 2), **tags))[1].facts == facts


def test_a_dicom_folder_is_listed_once_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setenv("LVSEG_CACHE", str(cache))
    cine = np.stack([PICTURE, 255 - PICTURE])
    write_dicom(root / "Doe" / "a", cine, FrameTime=20)
    (root / "notes.txt").write_text("Not an image")
    first = open_source(f"dicom:{root}")
    with monkeypatch.context() as patch:
        patch.setattr("lvseg.readers.dicom._told", lambda path: pytest.fail(f"{path} was read again"))
        again = open_source(f"dicom:{root}")
    assert again == first and again[1].facts == {"frame_rate_hz": 50.0}
    np.testing.assert_array_equal(again[1].read().image, cine[1])
    (kept,) = cache.iterdir()
    assert "Doe" not in kept.name + kept.read_text()

    kept.write_text("[")  # damaged
    assert open_source(f"dicom:{root}") == first
    write_dicom(root / "Doe" / "a", cine[[0, 1, 0]])
    assert len(open_source(f"dicom:{root}")) == 3
    write_dicom(root / "b", PICTURE)
    assert len(open_source(f"dicom:{root}")) == 4
    monkeypatch.setenv("LVSEG_CACHE", str(root / "notes.txt"))  # where nothing can be kept
    assert len(open_source(f"dicom:{root}")) == 4


@pytest.mark.parametrize("size", [140, 500, 1500, 5000])
def test_a_dicom_image_that_ends_early_is_named_not_passed_over(tmp_path: Path, size: int) -> None:
    whole = Path(pydicom.examples.get_path("ybr_color")).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:size])
    with pytest.raises(DataError, match=r"cut\.dcm"):
        open_path(tmp_path / "cut.dcm")[0].read()


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"NumberOfFrames": 2**31 - 1}, "frames"),
        ({"NumberOfFrames": -4}, "frames"),
        ({"Rows": 65535, "Columns": 65535}, "pixels"),
        ({"Rows": 2400}, "can't be read"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "range"),
        ({"pixels": np.zeros((4, 5, 3), np.uint16), "colour": "RGB"}, "8 bits"),
        ({"PixelSpacing": [0, 0.3]}, "mm"),
        ({"SequenceOfUltrasoundRegions": [region(0, 0)]}, "mm"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "can't be read"),
        ({"syntax": DeflatedExplicitVRLittleEndian}, "deflated"),
    ],
)
def test_dicom_that_cannot_be_is_refused(tmp_path: Path, tags: dict, word: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", **{"pixels": PICTURE, **tags})
    refused(lambda: open_path(path)[0].read(), path, word)
