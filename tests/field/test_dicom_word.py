"""What a header says is compared with the pixels: right where it can be, else told or refused in a sentence."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.fuzz_readers import PICTURE, write_dicom
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import dicom_pixels, open_path
from tests.field.dicom_support import jpeg, jpeg_lossless, opened, write_compressed, write_jpeg

COLOURS = np.dstack([PICTURE, 255 - PICTURE, PICTURE // 2])
LUMA = np.rint(COLOURS @ (0.299, 0.587, 0.114)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
THREE = np.stack([PICTURE, 255 - PICTURE, PICTURE[::-1]])


def write_bare(path: Path, pixels: np.ndarray = PICTURE, implicit: bool = True, **tags: object) -> Path:
    """Without preamble, mark and first part, as old scanners and some exports leave it."""
    data = pydicom.dcmread(write_dicom(path, pixels, **tags))
    del data.preamble, data.file_meta
    data.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert b"DICM" not in path.read_bytes()[:140]
    return path


def write_rle(path: Path, pixels: np.ndarray = THREE, **tags: object) -> Path:
    data = pydicom.dcmread(write_dicom(path, pixels))
    data.compress(RLELossless)
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)
    return path


def without(path: Path, *names: str) -> Path:
    data = pydicom.dcmread(path)
    for name in names:
        delattr(data, name)
    data.save_as(path)
    return path


# Compressions


@pytest.mark.parametrize("values", [PICTURE, COLOURS])
@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_jpeg_lossless_is_read_to_the_bit(tmp_path: Path, syntax, values: np.ndarray) -> None:
    colour = "RGB" if values.ndim == 3 else "MONOCHROME2"
    path = write_compressed(tmp_path / "a", [jpeg_lossless(values)], syntax, values, colour)
    np.testing.assert_allclose(open_path(path)[0].read().image, LUMA if values.ndim == 3 else values, atol=1)


@pytest.mark.parametrize("values", [PICTURE, COLOURS])
@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_jpeg_ls_and_rle_are_read_to_the_bit(tmp_path: Path, syntax, values: np.ndarray) -> None:
    data = pydicom.dcmread(write_dicom(tmp_path / "a", values, "RGB" if values.ndim == 3 else "MONOCHROME2"))
    data.compress(syntax)
    data.save_as(tmp_path / "a")
    np.testing.assert_allclose(open_path(tmp_path / "a")[0].read().image, LUMA if values.ndim == 3 else values, atol=1)


def test_jpeg_2000_is_read_to_the_bit(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "JPEG2000", no_jp2=True)
    path = write_compressed(tmp_path / "a", [buffer.getvalue()], JPEG2000Lossless, PICTURE, "MONOCHROME2")
    np.testing.assert_array_equal(open_path(path)[0].read().image, PICTURE)


@pytest.mark.parametrize(("syntax", "word"), [(MPEG2MPML, "MPEG-2"), (MPEG4HP41, "MPEG-4"), (HEVCMP51, "HEVC")])
def test_a_video_names_itself_and_the_way_out(tmp_path: Path, syntax, word: str) -> None:
    path = write_compressed(tmp_path / "a", [bytes(500)], syntax, COLOURS, "YBR_PARTIAL_420")
    with pytest.raises(DataError, match=f"{word} video.*export it as MP4"):
        open_path(path)


# How many frames


@pytest.mark.parametrize("stated", [None, 0, 1, 2, 5])
@pytest.mark.parametrize("write", [write_dicom, write_rle, write_jpeg])
def test_the_frames_that_exist_are_taken_and_a_wrong_number_is_told(tmp_path: Path, write: Callable, stated) -> None:
    path = write(tmp_path / "a", THREE, NumberOfFrames=3 if stated is None else stated)
    if stated is None:
        without(path, "NumberOfFrames")
    frames, said = opened(path)
    assert len(frames) == 3
    for frame, true in zip(frames, THREE, strict=True):
        assert np.abs(frame.read().image.astype(float) - true).mean() < 12  # JPEG's own loss on noise
    assert len(said) == 1 and "holds 3" in said[0]


def test_a_single_frame_that_states_none_is_sound(tmp_path: Path) -> None:
    for path in (write_dicom(tmp_path / "a", PICTURE, NumberOfFrames=0), write_bare(tmp_path / "b")):
        assert len(opened(path)[0]) == 1
    assert opened(tmp_path / "a")[1] == []


def test_frames_lie_where_their_pieces_begin_whatever_the_table_says(tmp_path: Path) -> None:
    """A frame in several pieces, and an offset table that names the first frame alone."""
    encoded = [jpeg(SMOOTH), jpeg(255 - SMOOTH)]

    def item(data: bytes) -> bytes:
        return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data

    halves = [half for one in encoded for half in (one[:200], one[200:] + b"\0" * (len(one) % 2))]
    content = item(bytes(4)) + b"".join(map(item, halves)) + b"\xfe\xff\xdd\xe0" + bytes(4)
    places, whole = dicom_pixels.compressed_frames(content, 0, False)
    assert whole and [dicom_pixels.bytes_of(content, place).rstrip(b"\0") for place in places] == encoded
    assert dicom_pixels.compressed_frames(content[:-8], 0, False)[1] is False
    assert dicom_pixels.bytes_of(content[:-60], places[1]) is None


def test_pixels_that_are_no_whole_number_of_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no whole number of frames of 24 x 20"):
        open_path(write_dicom(tmp_path / "a", THREE, Columns=20))
    frames, said = opened(write_dicom(tmp_path / "b", THREE, PixelData=THREE.tobytes() + bytes(64)))
    assert len(frames) == 3 and len(said) == 1 and "64 bytes after" in said[0]


# Colours and sizes


def test_colours_at_half_resolution_that_are_not(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", COLOURS, "YBR_FULL_422")
    with pytest.raises(DataError, match="half resolution, but its pixels have full"):
        open_path(path)
    path = write_dicom(tmp_path / "b", COLOURS, "RGB", PixelData=bytes(PICTURE.size * 4), NumberOfFrames=2)
    with pytest.raises(DataError, match="full resolution, but its pixels have half"):
        open_path(path)


def test_colours_at_half_resolution_are_read(tmp_path: Path) -> None:
    packed = np.stack([PICTURE[:, ::2], PICTURE[:, 1::2], *[np.full((24, 16), 128, np.uint8)] * 2], axis=-1)
    path = write_dicom(tmp_path / "a", COLOURS, "YBR_FULL_422", PixelData=packed.tobytes())
    frames, said = opened(path)
    np.testing.assert_allclose(frames[0].read().image, PICTURE, atol=1)
    assert said == []


@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("kept", ["YCbCr with JFIF", "RGB by its names", "RGB by Adobe alone", "YCbCr by Adobe"])
def test_a_jpeg_that_knows_its_colours_is_believed_and_a_difference_told(tmp_path: Path, stated, kept) -> None:
    smooth = np.dstack([SMOOTH, 255 - SMOOTH, SMOOTH // 2])
    encoded = jpeg(smooth, keep_rgb=kept.startswith("RGB"))
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
    if kept == "YCbCr by Adobe":
        encoded = encoded[:2] + adobe + b"\1" + encoded[20:]  # in place of JFIF's segment
    if kept == "RGB by Adobe alone":  # its channels are numbered, not named
        assert adobe + b"\0" in encoded
        for names in (rb"R(..)G(..)B", rb"R(.)G(.)B"):  # where they are declared, and where they are used
            encoded = re.sub(names, lambda found: b"\1" + found[1] + b"\2" + found[2] + b"\3", encoded, count=1)
    path = write_compressed(tmp_path / "a", [encoded], pydicom.uid.JPEGBaseline8Bit, smooth, stated)
    frames, said = opened(path)
    np.testing.assert_allclose(frames[0].read().image, smooth @ (0.299, 0.587, 0.114), atol=6)
    assert any("another colour model" in one for one in said) == (kept.startswith("RGB") != (stated == "RGB"))


def test_a_compressed_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    """Turned by a quarter it has as many pixels, and would be read as nonsense."""
    path = write_jpeg(tmp_path / "a", [PICTURE.T], Rows=24, Columns=32)
    with pytest.raises(DataError, match="states 24 x 32 pixels, but its compressed frames have 32 x 24"):
        open_path(path)[0].read()


@pytest.mark.parametrize("said", ["MONOCHROME2", "RGB"])
def test_a_compressed_picture_of_other_channels_says_so(tmp_path: Path, said: str) -> None:
    held, like = (COLOURS, PICTURE) if said == "MONOCHROME2" else (PICTURE, COLOURS)
    path = write_compressed(tmp_path / "jpeg", [jpeg(held)], pydicom.uid.JPEGBaseline8Bit, like, said)
    buffer = io.BytesIO()
    Image.fromarray(held).save(buffer, "JPEG2000", no_jp2=True)
    other = write_compressed(tmp_path / "jpeg2000", [buffer.getvalue()], JPEG2000Lossless, like, said)
    names = ["one grey channel", "three of colour"][:: 1 if said == "MONOCHROME2" else -1]
    for one in (path, other):
        with pytest.raises(DataError, match=rf"states {names[0]} \({said}\).*hold {names[1]}; correct"):
            open_path(one)[0].read()


@pytest.mark.parametrize("said", ["YBR_ICT", "YBR_RCT"])
def test_a_jpeg_under_the_colours_of_jpeg_2000_is_read_and_told(tmp_path: Path, said: str) -> None:
    smooth = np.dstack([SMOOTH, 255 - SMOOTH, SMOOTH // 2])
    frames, told = opened(write_jpeg(tmp_path / "a", [smooth], PhotometricInterpretation=said))
    np.testing.assert_allclose(frames[0].read().image, smooth @ (0.299, 0.587, 0.114), atol=6)
    assert len(told) == 1 and "another colour model" in told[0]


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ({"SamplesPerPixel": 3}, "SamplesPerPixel"),
        ({"PhotometricInterpretation": "CMYK"}, "PhotometricInterpretation"),
        ({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 15}, "HighBit"),
        ({"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}, "less than one frame"),
    ],
)
def test_what_the_numbers_mean_must_fit(tmp_path: Path, tags: dict, word: str) -> None:
    with pytest.raises(DataError, match=word):
        open_path(write_dicom(tmp_path / "a", PICTURE, **tags))


def test_numbers_that_leave_their_top_bits_empty_are_read_and_told(tmp_path: Path) -> None:
    ten = PICTURE.astype(np.uint16) * 4
    frames, said = opened(write_dicom(tmp_path / "a", ten))
    np.testing.assert_allclose(frames[0].read().image, PICTURE, atol=1)
    assert len(said) == 1 and "states 16 bits and no window, but its values need 10" in said[0]
    frames, said = opened(write_dicom(tmp_path / "b", ten, WindowCenter=512, WindowWidth=1024))
    np.testing.assert_allclose(frames[0].read().image, PICTURE, atol=1)
    assert said == []


@pytest.mark.parametrize("write", [write_dicom, write_rle])
@pytest.mark.parametrize("stated", [8, 10])
def test_values_beyond_the_stated_bits_are_read_and_told(tmp_path: Path, write: Callable, stated: int) -> None:
    twelve = np.full_like(PICTURE, 255, np.uint16) * 16
    twelve[1:] = PICTURE[1:].astype(np.uint16) * 16
    frames, said = opened(write(tmp_path / "a", twelve, BitsStored=stated, HighBit=stated - 1))
    np.testing.assert_allclose(frames[0].read().image, twelve / 16, atol=1)
    assert len(said) == 1 and f"states {stated} bits a number, but its values need 12, which were taken" in said[0]


@pytest.mark.parametrize("write", [write_dicom, write_rle])
@pytest.mark.parametrize("stated", [8, 16])
def test_all_frames_of_a_file_are_shown_on_one_scale(tmp_path: Path, write: Callable, stated: int) -> None:
    """A dark frame beside a bright one stays dark, whichever is read first, whether bits are too many or too few."""
    bright, dark = PICTURE.astype(np.uint16) * 16, PICTURE.astype(np.uint16)
    bright[0, 0] = 4095
    path = write(tmp_path / "a", np.stack([dark, bright]), BitsStored=stated, HighBit=stated - 1)
    for index in (0, 1, 0):
        frames, said = opened(path)
        np.testing.assert_allclose(frames[index].read().image, (dark, bright)[index] * (255 / 4095), atol=1)
        assert len(said) == 1 and "need 12" in said[0]


def test_a_frame_that_cannot_be_decoded_leaves_the_scale_of_the_others(tmp_path: Path) -> None:
    path = write_rle(tmp_path / "a", np.stack([PICTURE.astype(np.uint16) * 16] * 2), BitsStored=12, HighBit=11)
    data = path.read_bytes()
    last = data.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(data[: last + 8] + bytes(64) + data[last + 72 :])
    frames = open_path(path)
    np.testing.assert_allclose(frames[0].read().image, PICTURE * (16 * 255 / 4095), atol=1)
    with pytest.raises(DataError, match="damaged"):
        frames[1].read()


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_jpeg_lossless_of_more_than_8_bits_says_so_and_what_to_do(tmp_path: Path, syntax) -> None:
    twelve = PICTURE.astype(np.uint16) * 16
    path = write_compressed(tmp_path / "a", [jpeg_lossless(twelve, 12)], syntax, twelve, "MONOCHROME2")
    with pytest.raises(DataError, match=r"JPEG frames of 12 bits a number.*export it uncompressed, or as JPEG 2000"):
        open_path(path)[0].read()


def test_a_drawing_in_the_upper_bits_is_no_grey_level(tmp_path: Path) -> None:
    drawn = PICTURE.astype(np.uint16) | 1 << 15
    path = write_dicom(tmp_path / "a", drawn, BitsStored=8, HighBit=7)
    data = pydicom.dcmread(path)
    data.add_new(0x60000102, "US", 15)
    data.save_as(path)
    frames, said = opened(path)
    np.testing.assert_array_equal(frames[0].read().image, PICTURE)
    assert said == []


def test_a_window_that_shows_nothing_is_told(tmp_path: Path) -> None:
    _, said = opened(write_dicom(tmp_path / "a", PICTURE, WindowCenter=5000, WindowWidth=10))
    assert len(said) == 1 and "one shade" in said[0]


# Times


@pytest.mark.parametrize(
    ("tags", "rate", "word"),
    [
        ({"FrameTimeVector": [0, 20, 20]}, 50.0, None),
        ({"FrameTime": 0, "CineRate": 40}, 40.0, None),
        ({"FrameTime": 0.02}, None, "in ms"),
        ({"FrameTime": 0.02, "CineRate": 50}, 50.0, "in ms"),
        ({"FrameTime": -5}, None, "in ms"),
        ({"FrameTimeVector": [0, 20, 20, 20]}, None, "times of 4 frames"),
    ],
)
def test_frame_times(tmp_path: Path, tags: dict, rate: float | None, word: str | None) -> None:
    frames, said = opened(write_dicom(tmp_path / "a", THREE, **tags))
    assert frames[0].facts.get("frame_rate_hz") == rate
    assert [word in one for one in said] == ([True] if word else [])


# Missing and empty tags, and files without their first part


@pytest.mark.parametrize("name", ["NumberOfFrames", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
    "PixelSpacing", "FrameTime", "CineRate", "FrameTimeVector", "SequenceOfUltrasoundRegions", "HighBit",
    "RecommendedDisplayFrameRate", "PlanarConfiguration", "BurnedInAnnotation"])  # fmt: skip
def test_an_empty_tag_states_nothing(tmp_path: Path, name: str) -> None:
    data = pydicom.dcmread(write_dicom(tmp_path / "a", PICTURE))
    setattr(data, name, [] if name.startswith("Sequence") else None)
    data.save_as(tmp_path / "a")
    frames, said = opened(tmp_path / "a")
    np.testing.assert_array_equal(frames[0].read().image, PICTURE)
    assert said == [] and frames[0].facts == {}


@pytest.mark.parametrize("name", ["PixelRepresentation", "BitsStored", "PlanarConfiguration"])
def test_a_missing_tag_gets_its_usual_value_and_that_is_told(tmp_path: Path, name: str) -> None:
    frames, said = opened(without(write_dicom(tmp_path / "a", COLOURS, "RGB"), name))
    np.testing.assert_allclose(frames[0].read().image, LUMA, atol=1)
    assert len(said) == 1 and f"has no {name}" in said[0]


@pytest.mark.parametrize("name", ["PhotometricInterpretation", "BitsAllocated"])
def test_a_missing_tag_that_cannot_be_guessed_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        open_path(without(write_dicom(tmp_path / "a", PICTURE), name))


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_its_first_part_is_read_and_told(tmp_path: Path, implicit: bool) -> None:
    frames, said = opened(write_bare(tmp_path / "IM0001.dcm", implicit=implicit, PixelSpacing=[0.3, 0.3]))
    np.testing.assert_array_equal(frames[0].read().image, PICTURE)
    assert frames[0].read().spacing_mm == (0.3, 0.3)
    assert len(said) == 1 and "first part" in said[0]


def test_other_files_are_not_taken_for_dicom(tmp_path: Path) -> None:
    starts = (b"\x08\0" + bytes(200), b"\x02\0\xff\xffhello" + bytes(200), b"hello " * 50, bytes(300))
    for number, start in enumerate(starts):
        (tmp_path / str(number)).write_bytes(start[:1] + b"\x01" + start[2:] if number == 0 else start)
    with pytest.raises(DataError, match="holds no"):
        open_path(tmp_path)


# Folders


def test_the_files_of_a_disc_are_found_in_its_folders(tmp_path: Path) -> None:
    for patient in ("PAT0", "PAT1"):
        write_dicom(tmp_path / "DICOM" / patient / "IM1", PICTURE)
    (tmp_path / "AUTORUN.INF").write_text("[autorun]")
    (tmp_path / "DICOM" / "logo.bmp").write_bytes(b"BM")
    frames, said = opened(tmp_path)
    assert [frame.name for frame in frames] == ["DICOM_PAT0_IM1", "DICOM_PAT1_IM1"]
    assert len(said) == 1 and "sub-folders were taken (2)" in said[0]


def test_pictures_in_sub_folders_are_passed_over_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    Image.fromarray(PICTURE).save(tmp_path / "deeper" / "a.png")
    with pytest.raises(DataError, match="sub-folders are passed over; name the one"):
        open_path(tmp_path)


def test_a_report_says_that_it_has_no_image(tmp_path: Path) -> None:
    data = pydicom.dcmread(write_dicom(tmp_path / "DICOMDIR", PICTURE))
    del data.Rows, data.PixelData
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    data.save_as(tmp_path / "DICOMDIR")
    with pytest.raises(DataError, match="DICOM without an image"):
        open_path(tmp_path / "DICOMDIR")


def test_one_bad_file_leaves_the_others_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data"
    write_dicom(root / "p1" / "a", PICTURE)
    write_dicom(root / "p2" / "b", PICTURE, PhotometricInterpretation="CMYK")
    write_dicom(root / "p3" / "c", THREE, NumberOfFrames=2)
    for _ in range(2):  # the second time from what was kept
        with pytest.warns(match="states 2 frames and holds 3"):
            frames = {frame.name: frame for frame in open_source(f"dicom:{root}")}
        assert list(frames) == ["p1_a", "p2_b", "p3_c_0001", "p3_c_0002", "p3_c_0003"]
        np.testing.assert_array_equal(frames["p1_a"].read().image, PICTURE)
        with pytest.raises(DataError, match=r"p2.b: PhotometricInterpretation"):
            frames["p2_b"].read()
