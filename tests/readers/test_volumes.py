"""NIfTI and MetaImage against SimpleITK, and what damaged or hostile headers declare."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import lvseg.readers.volumes as volumes
from benchmarks.fuzz_readers import PICTURE, write_mhd, write_nifti
from lvseg.data.source import open_source
from lvseg.readers import open_path
from tests.readers.support import only, refused

RNG = np.random.default_rng(7)


def test_a_volume_of_several_frames_is_a_cine(tmp_path: Path) -> None:
    cine = RNG.integers(0, 256, (24, 32, 5), np.uint8)
    frames = open_path(write_nifti(tmp_path / "p.nii.gz", cine))
    assert [frame.name for frame in frames] == [f"p_000{i}" for i in range(1, 6)]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.read().image, cine[:, :, i])
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.moveaxis(cine, 2, 0)), str(tmp_path / "q.mhd"))
    np.testing.assert_array_equal(open_path(tmp_path / "q.mhd")[3].read().image, cine[:, :, 3])


def test_a_nifti_that_declares_a_huge_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "patient0001_4CH_ED.nii", PICTURE)
    data = bytearray(path.read_bytes())
    for width, word in ((32767, "declares"), (4000, "fewer pixels")):
        data[42:46] = np.array([width, 4000], "<i2").tobytes()  # dim[1:3]
        path.write_bytes(data)
        refused(open_source(f"camus:{tmp_path}")[0].read, path, word)


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "MAX_BYTES", 10_000)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(write_nifti(tmp_path / "b.nii", PICTURE).read_bytes() + bytes(20_000)))
    refused(open_path(path)[0].read, path, "10000")


@pytest.mark.parametrize("target", ["../secret.raw", "/etc/hostname", "LIST", "link.raw", "gone.raw", ""])
def test_an_mhd_may_only_name_a_file_beside_it(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret.raw").write_bytes(PICTURE.tobytes())
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    path = folder / "a.mhd"
    path.write_text(
        "ObjectType = Image\nNDims = 2\nElementSpacing = 1 1\nDimSize = 32 24\nElementType = MET_UCHAR\n"
        f"ElementDataFile = {target}\n"
    )
    refused(lambda: open_path(path), path, "folder")


@pytest.mark.parametrize("data", [PICTURE.tobytes()[:-100], PICTURE.tobytes() + b"x", b""])
def test_an_mhd_with_other_pixels_than_declared_is_refused_without_a_print(
    tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture
) -> None:
    path = write_mhd(tmp_path / "a.mhd", PICTURE)
    (tmp_path / "a.raw").write_bytes(data)
    refused(open_path(path)[0].read, tmp_path / "a.raw", "768 bytes")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_an_mhd_is_read_as_simpleitk_does(tmp_path: Path, dtype: str, packed: bool) -> None:
    cine = np.stack([PICTURE, PICTURE.T.reshape(PICTURE.shape)]) // 3
    image = SimpleITK.GetImageFromArray(cine.astype(dtype))
    image.SetSpacing((0.4, 0.3, 1.0))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mhd"), useCompression=packed)
    for index, frame in enumerate(open_path(tmp_path / "a.mhd")):
        np.testing.assert_array_equal(frame.read().image, cine[index])
        assert frame.read().spacing_mm == (0.3, 0.4)


def test_an_mhd_of_the_other_byte_order_and_without_spacing(tmp_path: Path) -> None:
    path = write_mhd(tmp_path / "a.mhd", PICTURE)
    (tmp_path / "a.raw").write_bytes(PICTURE.astype(">u2").tobytes())
    text = path.read_text().replace("MET_UCHAR", "MET_USHORT").replace("OrderMSB = False", "OrderMSB = True")
    path.write_text(text.replace("ElementSpacing", "Spacing"))
    pixels = only(open_path(path))
    np.testing.assert_array_equal(pixels.image, PICTURE)
    assert pixels.spacing_mm is None


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("ElementType = MET_STRING", "grey"),
        ("ElementNumberOfChannels = 3", "grey"),
        ("HeaderSize = 12", "grey"),
        ("DimSize = 9000 9000", "declares"),
        ("DimSize = 32", "declares"),
        ("DimSize = -32 24", "declares"),
        ("DimSize = wide", "can't be read"),
        ("ElementSpacing = 0 1", "mm"),
        ("ElementSpacing = nan 1", "mm"),
    ],
)
def test_an_mhd_that_cannot_be_is_refused(tmp_path: Path, line: str, word: str) -> None:
    path = write_mhd(tmp_path / "a.mhd", PICTURE)
    path.write_text(path.read_text() + line + "\n")
    refused(lambda: only(open_path(path)), path, word)


def test_a_cine_is_unpacked_once_and_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(
        volumes, "_load_nifti", lambda path, load=volumes._load_nifti: opened.append(path) or load(path)
    )
    cine = RNG.integers(0, 256, (24, 32, 5), np.uint8)
    frames = open_path(write_nifti(tmp_path / "p.nii.gz", cine))
    for frame in frames:
        frame.read()
    assert len(opened) == 1
    write_nifti(tmp_path / "p.nii.gz", 255 - cine)
    np.testing.assert_array_equal(frames[4].read().image, 255 - cine[:, :, 4])
