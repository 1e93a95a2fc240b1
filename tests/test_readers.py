"""The readers against files made here, other libraries' reading of them, and real files where present."""

from __future__ import annotations

import base64
import gzip
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from conftest import needs_camus, needs_camus_mhd
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw
from pydicom.encaps import get_frame
from pydicom.examples import get_path
from pydicom.uid import DeflatedExplicitVRLittleEndian

import lvseg.readers.volumes as volumes
from benchmarks import fuzz_readers
from benchmarks.fuzz_readers import (
    CORNERS,
    PICTURE,
    png_bomb,
    region,
    write_camus,
    write_camus_cine,
    write_dicom,
    write_echonet,
    write_labelme,
    write_mhd,
    write_nifti,
    write_pediatric,
    write_picture,
    write_video,
)
from benchmarks.real_data import CAMUS, CAMUS_MHD
from lvseg.data.check import check
from lvseg.data.source import open_source
from lvseg.errors import ConfigError, DataError
from lvseg.masks import inside
from lvseg.readers import KINDS, Frame, open_path
from lvseg.readers.common import check_outline
from lvseg.readers.record import Pixels

RNG = np.random.default_rng(7)


def only(frames: list[Frame]) -> Pixels:
    (frame,) = frames
    return frame.read()


def refused(action: Callable[[], object], path: Path | str, *words: str) -> None:
    """`action` must raise a `DataError` of one line that names `path` and says `words`."""
    with pytest.raises(DataError) as caught:
        action()
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    assert all(word in message for word in words), message


# Outlines


def test_inside_takes_the_pixels_whose_centres_lie_inside() -> None:
    mask = inside(np.array([(1.5, 0.5), (4.5, 0.5), (4.5, 2.5), (1.5, 2.5)]), (5, 7))
    expected = np.zeros((5, 7), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(mask, expected)


def test_inside_has_the_area_of_an_ellipse_without_bias() -> None:
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    for x, y in RNG.uniform(50, 60, (10, 2)):
        outline = np.stack([x + 20 * np.cos(t), y + 35 * np.sin(t)], axis=1)
        assert inside(outline, (112, 112)).sum() == pytest.approx(np.pi * 20 * 35, rel=0.005)


@given(st.lists(st.floats(2.0, 40.0), min_size=3, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_inside_agrees_with_matplotlib_also_beyond_the_edges(radii: list[float], seed: int) -> None:
    centre = np.random.default_rng(seed).uniform(-5, 35, 2)
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    outline = centre + np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows, columns = np.mgrid[:28, :36]
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1)
    expected = Outline(outline).contains_points(grid).reshape(28, 36)
    differing = np.argwhere(inside(outline, (28, 36)) != expected)
    for row, column in differing:  # only where the centre lies on the outline itself
        near = Outline(outline).contains_points([(column, row)], radius=1e-6)
        assert near != Outline(outline).contains_points([(column, row)], radius=-1e-6)


def test_inside_of_a_self_crossing_outline_is_even_odd() -> None:
    bow = np.array([(0.5, 0.5), (9.5, 9.5), (9.5, 0.5), (0.5, 9.5)])
    mask = inside(bow, (11, 11))
    assert mask[5, 2] and mask[5, 8] and not mask[2, 5] and not mask[8, 5]


@pytest.mark.parametrize(
    "points", [[], [[1, 2]], [[0, 0], [1, 1]], [[0, 0], [1, 1], [1, float("nan")]], [[0, 1e300]] * 3]
)
def test_an_outline_must_be_points(points: list) -> None:
    refused(lambda: check_outline(Path("a.json"), points), "a.json", "outline")


# Opening


def test_an_unknown_kind_lists_the_kinds() -> None:
    for spec in ("camel:DIR", "camus", "camus:", ""):
        with pytest.raises(ConfigError) as caught:
            open_source(spec)
        assert all(kind in str(caught.value) for kind in (*KINDS, "phantom"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_or_empty_folder_is_refused(kind: str, tmp_path: Path) -> None:
    refused(lambda: open_source(f"{kind}:{tmp_path / 'no'}"), tmp_path / "no", "no such folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: open_source(f"{kind}:{empty}"), empty)


def test_the_phantom_needs_no_folder() -> None:
    frames = open_source("phantom")
    assert frames and all(isinstance(frame, Frame) for frame in frames)


def test_open_path_names_frames_by_their_stems_and_passes_over_the_rest(tmp_path: Path) -> None:
    write_picture(tmp_path / "b.png")
    write_picture(tmp_path / "c.v2.JPG")
    write_nifti(tmp_path / "a.nii.gz", PICTURE)
    write_nifti(tmp_path / "a_gt.nii.gz", PICTURE)
    write_dicom(tmp_path / "1.2.840.1", PICTURE)
    write_video(tmp_path / "loop.avi", [10, 20])
    for name in (".hidden.png", "b_mask.png", "b_overlay.png", "sub/d.png"):
        write_picture(tmp_path / name)
    (tmp_path / "README.txt").write_text("Not an image")
    (tmp_path / "empty").touch()
    names = [frame.name for frame in open_path(tmp_path)]
    assert names == ["1.2.840.1", "a", "b", "c.v2", "loop_0001", "loop_0002"]
    assert all(frame.read().mask is None for frame in open_path(tmp_path))


def test_open_path_refuses_what_is_not_there_or_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Not an image")
    for path in (tmp_path / "no.png", tmp_path / "notes.txt", tmp_path):
        refused(lambda path=path: open_path(path), path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "A.bmp")
    refused(lambda: open_path(tmp_path), tmp_path / "a.png", "A.bmp", "rename")


def test_names_are_safe_as_file_names(tmp_path: Path) -> None:
    write_picture(tmp_path / "p 1" / "x;y <z>'.png")
    write_picture(tmp_path / "p 1" / "x;y <z>'_mask.png", np.zeros((24, 32), np.uint8))
    (frame,) = open_source(f"images:{tmp_path}")
    assert frame.name == "p-1_x-y--z--" and frame.patient == "p-1"


def test_listing_reads_no_pixels(tmp_path: Path) -> None:
    for name in ("images/p1/a.png", "masks/p1/a.png", "ann/b.json", "patient0001_4CH_ED.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture, no JSON, no NIfTI")
    for kind in ("images", "labelme", "camus"):
        (frame,) = open_source(f"{kind}:{tmp_path}")
        refused(frame.read, tmp_path, "can't be read")


# CAMUS


def test_camus_frames_are_upright_with_mask_spacing_and_subset(tmp_path: Path) -> None:
    root = tmp_path / "database_nifti"
    write_camus_cine(root)
    write_camus(root)
    write_camus(root, "patient0002", "2CH", ".nii")
    (tmp_path / "database_split").mkdir()
    (tmp_path / "database_split" / "subgroup_training.txt").write_text("patient0001\npatient0400\n")
    (tmp_path / "database_split" / "subgroup_testing.txt").write_text("patient0002")

    for place in (tmp_path, root):
        frames = open_source(f"camus:{place}")
        assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
            ("patient0001_4CH_ED", "patient0001", "4CH", "ED", "training"),
            ("patient0001_4CH_ES", "patient0001", "4CH", "ES", "training"),
            ("patient0002_2CH_ED", "patient0002", "2CH", "ED", "testing"),
            ("patient0002_2CH_ES", "patient0002", "2CH", "ES", "testing"),
        ]
    image, mask, spacing = frames[0].read()
    np.testing.assert_array_equal(image, PICTURE)
    assert mask is not None and mask[4:12, 5:15].all() and mask.sum() == 80
    assert image.dtype == np.uint8 and mask.dtype == bool
    assert spacing == (0.2, 0.3)
    assert frames[0].facts == {
        "ef_percent": 63.2, "edv_ml": 94.0, "esv_ml": 34.6, "age_years": 56.0, "sex": "F", "quality": "Good"
    }  # fmt: skip


def test_camus_facts_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    info = write_camus(tmp_path) / "Info_4CH.cfg"
    info.write_text("EF: 54\nFrameRate: 51.2\nLVedv: soon\nLVesv: -3\nAge:\nSex: \nnonsense\n")
    assert open_source(f"camus:{tmp_path}")[0].facts == {"ef_percent": 54.0, "frame_rate_hz": 51.2}
    info.unlink()
    assert open_source(f"camus:{tmp_path}")[0].facts == {}


def test_camus_half_sequences_are_a_cine_with_a_mask_for_each_frame(tmp_path: Path) -> None:
    folder = write_camus_cine(tmp_path)
    frames = open_source(f"camus_cine:{tmp_path}")
    assert [(f.name, f.patient, f.phase) for f in frames] == [
        ("patient0001_4CH_half_sequence_0001", "patient0001", "ED"),
        ("patient0001_4CH_half_sequence_0002", "patient0001", ""),
        ("patient0001_4CH_half_sequence_0003", "patient0001", "ES"),
    ]
    for shift, frame in enumerate(frames):
        image, mask, _ = frame.read()
        np.testing.assert_array_equal(image, np.roll(PICTURE, shift, axis=1))
        np.testing.assert_array_equal(mask, image > 128)
    (folder / "patient0001_4CH_half_sequence_gt.nii.gz").unlink()
    refused(frames[0].read, folder / "patient0001_4CH_half_sequence_gt.nii.gz", "no such file")


def test_one_heart_under_two_names_is_one_patient(tmp_path: Path) -> None:
    for patient in ("patient0033", "patient0068", "patient0069"):
        write_camus(tmp_path, patient)
    frames = open_source(f"camus:{tmp_path}")
    assert sorted({f.patient for f in frames}) == ["patient0033", "patient0069"]
    assert len({f.name for f in frames}) == 6


def test_a_patient_on_two_sides_of_the_official_split_is_refused(tmp_path: Path) -> None:
    write_camus(tmp_path)
    (tmp_path / "database_split").mkdir()
    for side in ("training", "validation"):
        (tmp_path / "database_split" / f"subgroup_{side}.txt").write_text("patient0001\n")
    refused(lambda: open_source(f"camus:{tmp_path}"), "subgroup_validation.txt", "patient0001", "training")


def test_camus_labels_are_checked(tmp_path: Path) -> None:
    folder = write_camus(tmp_path)
    labels = folder / "patient0001_4CH_ED_gt.nii.gz"
    write_nifti(labels, np.full(PICTURE.shape, 4, np.uint8))
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "0 to 3")
    write_nifti(labels, np.zeros((23, 32), np.uint8))
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "size")
    labels.unlink()
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "no such file")
    write_nifti(labels, np.zeros(PICTURE.shape, np.uint8))  # an empty mask is a mask
    mask = open_source(f"camus:{tmp_path}")[0].read().mask
    assert mask is not None and not mask.any()


def test_camus_mhd_keeps_native_pixels(tmp_path: Path) -> None:
    for name, values in (("", PICTURE), ("_gt", (PICTURE > 99).astype(np.uint8))):
        image = SimpleITK.GetImageFromArray(values[None])
        image.SetSpacing((0.308, 0.154, 1.54))
        SimpleITK.WriteImage(image, str(tmp_path / f"patient0003_2CH_ES{name}.mhd"))
    (frame,) = open_source(f"camus:{tmp_path}")
    assert (frame.patient, frame.view, frame.phase, frame.subset) == ("patient0003", "2CH", "ES", "")
    image, mask, spacing = frame.read()
    np.testing.assert_array_equal(image, PICTURE)
    np.testing.assert_array_equal(mask, PICTURE > 99)
    assert spacing == (0.154, 0.308)


@needs_camus
def test_real_camus_lists_all_and_reads_as_nibabel_does() -> None:
    frames = open_source(f"camus:{CAMUS}")
    assert len(frames) == 898 and len({frame.patient for frame in frames}) == 448  # one of 449 is there twice
    told = [frame.facts for frame in frames if frame.name == "patient0001_4CH_ED"]
    assert told[0]["ef_percent"] == 63.2 and told[0]["edv_ml"] == 94.0
    assert {f.subset for f in frames} == {"training", "validation"}
    assert sum(f.subset == "validation" for f in frames) == 100
    for frame in frames[::150]:
        image, mask, spacing = frame.read()
        np.testing.assert_array_equal(image, nibabel.load(frame.files[0]).get_fdata().T)
        np.testing.assert_array_equal(mask, nibabel.load(frame.files[1]).get_fdata().T == 1)
        assert spacing == (0.308, 0.308)
        fan = np.flatnonzero(image.max(axis=0) > 20)
        top = np.flatnonzero((image > 20).any(axis=1))[0]  # the probe: bright in the middle of the first rows
        tip = np.flatnonzero(image[top : top + 10].max(axis=0) > 20).mean()
        assert fan[0] + 0.3 * np.ptp(fan) < tip < fan[0] + 0.7 * np.ptp(fan)


@needs_camus
@needs_camus_mhd
def test_real_camus_releases_agree() -> None:
    new = {frame.name: frame for frame in open_source(f"camus:{CAMUS}")}
    for old in open_source(f"camus:{CAMUS_MHD}"):
        assert old.read().spacing_mm == (0.154, 0.308)
        if old.view == "4CH":  # the newer release keeps every second row
            np.testing.assert_array_equal(old.read().image[::2], new[old.name].read().image)


# NIfTI and MetaImage


def test_a_volume_of_several_frames_is_a_cine(tmp_path: Path) -> None:
    cine = RNG.integers(0, 256, (24, 32, 5), np.uint8)
    frames = open_path(write_nifti(tmp_path / "p.nii.gz", cine))
    assert [frame.name for frame in frames] == [f"p_000{i}" for i in range(1, 6)]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.read().image, cine[:, :, i])
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.moveaxis(cine, 2, 0)), str(tmp_path / "q.mhd"))
    np.testing.assert_array_equal(open_path(tmp_path / "q.mhd")[3].read().image, cine[:, :, 3])


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (np.linspace(0, 1, 768).reshape(24, 32).astype(np.float32), "fractions"),
        (np.full((24, 32), np.nan, np.float32), "nan"),
        (np.full((24, 32), 256, np.int16), "256"),
        (np.full((24, 32), -1, np.int16), "-1"),
        (np.full((24, 32), 1j, np.complex64), "complex"),
        (
            np.zeros((24, 32, 2, 2), np.uint8).astype([("R", "u1"), ("G", "u1"), ("B", "u1")])[:, :, 0, 0],
            "grey",
        ),
    ],
)
def test_values_that_are_not_grey_levels_are_refused(tmp_path: Path, values: np.ndarray, word: str) -> None:
    path = write_nifti(tmp_path / "a.nii", values)
    refused(lambda: only(open_path(path)), path, word)


def test_grey_levels_as_floats_are_rounded(tmp_path: Path) -> None:
    image = only(open_path(write_nifti(tmp_path / "a.nii", PICTURE.astype(np.float32) * 0.9))).image
    np.testing.assert_array_equal(image, np.round(PICTURE.astype(np.float32) * 0.9))


@pytest.mark.parametrize(
    "spacing",
    [(0.0, 0.3), (0.3, 1e-9), (1e-9, 0.3), (-0.3, 0.3), (float("nan"), 0.3), (float("inf"), 0.3), (308.0, 308.0)],
)
def test_a_spacing_that_cannot_be_is_refused(tmp_path: Path, spacing: tuple[float, float]) -> None:
    path = write_nifti(tmp_path / "a.nii", PICTURE)
    data = bytearray(path.read_bytes())
    data[80:88] = np.array(spacing, "<f4").tobytes()  # pixdim[1:3]
    path.write_bytes(data)
    refused(lambda: only(open_path(path)), path, "mm")


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


# LabelMe


def filled(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(PICTURE.shape, bool)
    mask[rows, columns] = True
    return mask


SQUARE = filled(slice(3, 11), slice(4, 14))


@pytest.mark.parametrize("kind", [None, "polygon", "linestrip", "oriented_rectangle", "rectangle"])
def test_labelme_polygons_fill_whole_pixels_between_pixel_corners(tmp_path: Path, kind: str | None) -> None:
    write_labelme(tmp_path / "a.json", [{"label": "LV", "shape_type": kind, "points": CORNERS}])
    image, mask, spacing = only(open_source(f"labelme:{tmp_path}"))
    np.testing.assert_array_equal(image, PICTURE)
    np.testing.assert_array_equal(mask, SQUARE)
    assert spacing is None


def test_labelme_rectangle_circle_and_mask_shapes(tmp_path: Path) -> None:
    write_labelme(tmp_path / "r.json", [{"label": "LV", "shape_type": "rectangle", "points": [[14, 11], [4, 3]]}])
    write_labelme(tmp_path / "c.json", [{"label": "LV", "shape_type": "circle", "points": [[16, 12], [16, 22]]}])
    buffer = io.BytesIO()
    Image.fromarray(np.array([[True, False], [True, True], [False, True]])).save(buffer, "PNG")
    patch = {"label": "LV", "shape_type": "mask", "mask": base64.b64encode(buffer.getvalue()).decode()}
    write_labelme(tmp_path / "m.json", [patch | {"points": [[5, 7], [6, 9]]}])
    circle, mask, rectangle = (frame.read().mask for frame in open_source(f"labelme:{tmp_path}"))
    np.testing.assert_array_equal(rectangle, SQUARE)
    assert circle is not None and mask is not None
    assert circle.sum() == pytest.approx(np.pi * 100, rel=0.02)
    np.testing.assert_array_equal(circle, circle[::-1])  # (16, 12) is the middle of 32 x 24
    np.testing.assert_array_equal(circle, circle[:, ::-1])
    assert sorted(map(tuple, np.argwhere(mask).tolist())) == [(7, 5), (8, 5), (8, 6), (9, 6)]


def test_labelme_agrees_with_its_own_drawing_but_for_the_boundary(tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    points = np.stack([16.2 + 11 * np.cos(angles), 12.4 + 8 * np.sin(angles)], axis=1)
    write_labelme(tmp_path / "a.json", [{"label": "LV", "points": points.tolist()}])
    mask = only(open_source(f"labelme:{tmp_path}")).mask
    drawn = Image.new("L", (32, 24))
    ImageDraw.Draw(drawn).polygon([tuple(point) for point in points.tolist()], outline=1, fill=1)
    theirs = np.array(drawn, np.uint8)
    assert mask is not None and not (mask & ~cv2.dilate(theirs, np.ones((3, 3))).astype(bool)).any()
    assert not (cv2.erode(theirs, np.ones((3, 3))).astype(bool) & ~mask).any()


@pytest.mark.parametrize("label", ["lv", "LV", "Left Ventricle", "left_ventricle", "LV-endo", "Endocardium", "左心室"])
def test_labelme_knows_the_ventricles_names_and_unites_its_shapes(tmp_path: Path, label: str) -> None:
    shapes = [
        {"label": label, "points": [[0, 0], [5, 0], [5, 5], [0, 5]]},
        {"label": "LA", "points": [[0, 0], [30, 0], [30, 20]]},
        {"label": "lv", "points": [[10, 10], [12, 10], [12, 12], [10, 12]]},
    ]
    write_labelme(tmp_path / "a.json", shapes)
    mask = only(open_source(f"labelme:{tmp_path}")).mask
    np.testing.assert_array_equal(mask, filled(slice(0, 5), slice(0, 5)) | filled(slice(10, 12), slice(10, 12)))


def test_labelme_reads_the_image_beside_it_and_knows_the_patient(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_picture(root / "p1" / "img" / "x.png")
    write_labelme(root / "p1" / "ann" / "x_4CH_ED.json", imageData=None, imagePath="..\\img\\x.png")
    write_labelme(root / "p07_a4c_es.json")
    frames = open_source(f"labelme:{root}")
    assert [(f.name, f.patient, f.view, f.phase) for f in frames] == [
        ("p07_a4c_es", "p07", "4CH", "ES"),
        ("p1_ann_x_4CH_ED", "p1", "4CH", "ED"),
    ]
    np.testing.assert_array_equal(frames[1].read().image, PICTURE)


def test_labelme_takes_the_folders_own_names_for_the_ventricle(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", [{"label": "Chamber 1", "points": CORNERS}])
    refused(lambda: only(open_source(f"labelme:{tmp_path}")), path, "Chamber 1", "lv_labels.txt")
    (tmp_path / "lv_labels.txt").write_text("\nchamber_1\n", encoding="utf-8")
    (frame,) = open_source(f"labelme:{tmp_path}")
    np.testing.assert_array_equal(frame.read().mask, SQUARE)
    assert tmp_path / "lv_labels.txt" in frame.files


def test_labelme_frames_name_the_picture_that_they_are_read_from(tmp_path: Path) -> None:
    image = write_picture(tmp_path / "img" / "other.png")
    write_labelme(tmp_path / "ann" / "a.json", imageData=None, imagePath="..\\img\\other.png")
    (frame,) = open_source(f"labelme:{tmp_path}")
    assert [path.resolve() for path in frame.files] == [tmp_path / "ann" / "a.json", image]


@pytest.mark.parametrize(
    "target", ["../secret.png", "/etc/passwd", "C:\\secret.png", "\\\\host\\x.png", "link.png", ".."]
)
def test_labelme_images_stay_in_the_folder(tmp_path: Path, target: str) -> None:
    write_picture(tmp_path / "secret.png")
    root = tmp_path / "set"
    path = write_labelme(root / "a.json", imageData=None, imagePath=target)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    refused(lambda: only(open_source(f"labelme:{root}")), path, "imagePath")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"shapes": []}, "no left ventricle"),
        ({"shapes": [{"label": "LA", "points": CORNERS}]}, "LA"),
        ({"shapes": [{"label": "LV", "points": CORNERS[:2]}]}, "polygon"),
        ({"shapes": [{"label": "LV", "points": CORNERS, "shape_type": "point"}]}, "point"),
        ({"shapes": [{"label": "LV", "points": [[1, 2, 3]] * 3}]}, "outline"),
        ({"shapes": [{"label": "LV", "points": [["x", "y"]] * 3}]}, "can't be read"),
        ({"shapes": [{"label": 3, "points": CORNERS}]}, "can't be read"),
        ({"shapes": 7}, "can't be read"),
        ({"imageData": "not base64!"}, "can't be read"),
        ({"imageData": base64.b64encode(b"not a picture").decode()}, "can't be read"),
        ({"imageData": None, "imagePath": None}, "can't be read"),
        ({"imageData": None, "imagePath": "gone.png"}, "no such file"),
        (
            {"shapes": [{"label": "LV", "points": [[30, 20], [34, 24]], "shape_type": "mask", "mask": None}]},
            "can't be",
        ),
    ],
)
def test_labelme_refuses_bad_annotations(tmp_path: Path, fields: dict, word: str) -> None:
    path = write_labelme(tmp_path / "a.json", **fields)
    refused(lambda: only(open_source(f"labelme:{tmp_path}")), tmp_path, word)
    assert path.exists()


def test_a_picture_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    write_labelme(tmp_path / "a.json", imageData=base64.b64encode(png_bomb()).decode())
    refused(lambda: only(open_source(f"labelme:{tmp_path}")), tmp_path / "a.json", "3600000000 pixels")


# Plain pictures


@pytest.mark.parametrize(("image", "mask"), [("images/p1_a.png", "masks/p1_a.bmp"), ("p1_a.png", "p1_a_mask.tif")])
def test_pictures_with_masks(tmp_path: Path, image: str, mask: str) -> None:
    write_picture(tmp_path / image)
    write_picture(tmp_path / mask, SQUARE.astype(np.uint8) * 255)
    (frame,) = open_source(f"images:{tmp_path}")
    assert (frame.name, frame.patient, frame.files) == ("p1_a", "p1", (tmp_path / image, tmp_path / mask))
    np.testing.assert_array_equal(frame.read().image, PICTURE)
    np.testing.assert_array_equal(frame.read().mask, SQUARE)


def test_pictures_without_a_fitting_mask_are_refused(tmp_path: Path) -> None:
    image, mask = write_picture(tmp_path / "a.png"), tmp_path / "a_mask.png"
    (frame,) = open_source(f"images:{tmp_path}")
    refused(frame.read, image, str(mask))
    write_picture(mask, np.zeros((32, 24), np.uint8))
    refused(frame.read, mask, "size")
    write_picture(mask, (PICTURE // 100).astype(np.uint8))
    refused(frame.read, mask, "two grey levels")
    write_picture(mask, np.zeros((24, 32), np.uint8))
    assert not frame.read().mask.any()
    write_picture(mask, np.ones((24, 32), np.uint8))
    assert frame.read().mask.all()


def test_colour_becomes_luma_and_16_bits_are_refused(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (24, 32, 3), np.uint8)
    image = only(open_path(write_picture(tmp_path / "rgb.png", colour))).image
    np.testing.assert_allclose(image, colour @ [0.299, 0.587, 0.114], atol=1)
    deep = write_picture(tmp_path / "deep.png", PICTURE.astype(np.uint16) * 257)
    refused(lambda: only(open_path(deep)), deep, "8 bits")
    pages = tmp_path / "pages.tif"
    Image.fromarray(PICTURE).save(pages, save_all=True, append_images=[Image.fromarray(PICTURE)])
    refused(lambda: only(open_path(pages)), pages, "one picture")


# EchoNet


def test_echonet_dynamic(tmp_path: Path) -> None:
    frames = open_source(f"echonet:{write_echonet(tmp_path)}")
    assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
        ("0XA_0002", "0XA", "4CH", "ES", "training"),
        ("0XA_0004", "0XA", "4CH", "ED", "training"),
        ("0XB_0002", "0XB", "4CH", "ES", "validation"),
        ("0XB_0004", "0XB", "4CH", "ED", "validation"),
    ]
    assert frames[0].facts == {"ef_percent": 55.0, "edv_ml": 100.0, "esv_ml": 45.0, "frame_rate_hz": 50.0}
    assert frames[0].files == (tmp_path / "Videos" / "0XA.avi", tmp_path / "VolumeTracings.csv")
    for frame, level, half in zip(frames, (60, 140) * 2, (10, 20) * 2, strict=True):
        image, mask, spacing = frame.read()
        assert image.shape == (112, 112) and np.abs(image.astype(int) - level).max() <= 3 and spacing is None
        expected = np.zeros((112, 112), bool)
        expected[20:80, 50 - half : 50 + half] = True
        np.testing.assert_array_equal(mask, expected)


def test_echonet_tables_and_videos_are_checked(tmp_path: Path) -> None:
    root = write_echonet(tmp_path)
    (root / "Videos" / "0XA.avi").unlink()
    frames = open_source(f"echonet:{root}")
    refused(frames[0].read, root / "Videos" / "0XA.avi", "no such file")
    write_video(root / "Videos" / "0XB.avi", [20, 60])
    refused(frames[3].read, root / "Videos" / "0XB.avi", "frame 4")

    table = (root / "VolumeTracings.csv").read_text()
    for text, word in (
        (table.replace("X2", "X9"), "X2"),
        (table.replace("0XA.avi,50,5,50,95,1", "0XA.avi,50,5,50,95,soon"), "can't be read"),
        (table.replace("0XA.avi,39.5,19.5", "0XA.avi,nan,19.5"), "outline"),
        (table.replace("95,1\n", "95,1.5\n"), "Frame"),
        (table.replace("95,1\n", "95,-1\n"), "Frame"),
        (table.replace("95,1\n", "95,1e300\n"), "Frame"),
        ("", "can't be read"),
        (table.replace(",50,5,", ',50,"5,'), "can't be read"),
    ):
        (root / "VolumeTracings.csv").write_text(text)
        refused(lambda: open_source(f"echonet:{root}"), root / "VolumeTracings.csv", word)
    (root / "VolumeTracings.csv").unlink()
    refused(lambda: open_source(f"echonet:{root}"), root / "VolumeTracings.csv", "no such file")


def test_a_video_listed_twice_is_refused(tmp_path: Path) -> None:
    path = write_echonet(tmp_path) / "FileList.csv"
    path.write_text(path.read_text() + "0XA.avi,55,45,100,112,112,50,4,TEST\n")
    refused(lambda: open_source(f"echonet:{tmp_path}"), path, "0XA twice")


def test_echonet_pediatric(tmp_path: Path) -> None:
    frames = open_source(f"pediatric:{write_pediatric(tmp_path)}")
    assert frames[0].facts == {"ef_percent": 61.0, "age_years": 3.0, "sex": "F"}
    assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
        ("A4C_CR1-CR2-000039_0003", "CR1-CR2", "4CH", "", "fold7"),
        ("PSAX_CR1-CR2-000041_0003", "CR1-CR2", "PSAX", "", "fold7"),
    ]
    image, mask, _ = frames[1].read()
    expected = np.zeros((112, 112), bool)
    expected[20:60, 10:40] = True
    np.testing.assert_array_equal(mask, expected)
    assert np.abs(image.astype(int) - 100).max() <= 3


# Video


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_video_frames_are_exact_in_any_order(tmp_path: Path, name: str, codec: str) -> None:
    levels = [(37 * i) % 200 + 20 for i in range(40)]
    write_video(tmp_path / name, levels, codec)
    other = write_video(tmp_path / "other.avi", [5])
    frames = open_source(f"video:{tmp_path}")
    cine = [frame for frame in frames if frame.name.startswith("a_")]
    assert [frame.name for frame in cine] == [f"a_{i:04d}" for i in range(1, 41)]
    for index in (0, 1, 2, 39, 7, 7, 38, 12):
        assert np.median(cine[index].read().image) == pytest.approx(levels[index], abs=3)
        assert np.median(only(open_path(other)).image) == pytest.approx(5, abs=3)
    cine[2].read()
    write_video(tmp_path / name, [200] * 40, codec)
    assert np.median(cine[3].read().image) == pytest.approx(200, abs=3)


def test_a_play_list_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    refused(lambda: open_path(path), path, "neither")


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_a_truncated_video_is_refused_as_decoders_would_make_up_its_end(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, list(range(20, 120)), codec)
    data = path.read_bytes()
    assert len(open_path(path)) == 100 and open_path(path)[0].facts == {"frame_rate_hz": 50.0}
    for length in (len(data) // 2, len(data) - 2, 16, 3, 0):
        path.write_bytes(data[:length])
        refused(lambda: open_path(path)[0].read(), path)


def test_an_mp4_whose_index_comes_first_is_refused_where_its_pictures_are_cut(tmp_path: Path) -> None:
    """Its index is whole, so that only the boxes' lengths tell."""
    data = write_video(tmp_path / "a.mp4", [20, 60, 100], "mp4v").read_bytes()
    boxes, place = {}, 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        boxes[data[place + 4 : place + 8]] = data[place : place + length]
        place += length
    assert b"mdat" in boxes and b"moov" in boxes
    (tmp_path / "a.mp4").write_bytes(boxes[b"ftyp"] + boxes[b"moov"] + boxes[b"mdat"][:-1])
    refused(lambda: open_path(tmp_path / "a.mp4"), tmp_path / "a.mp4", "cut short")


# DICOM


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
        image, mask, spacing = frames[index].read()
        jpeg = Image.open(io.BytesIO(get_frame(data.PixelData, index, number_of_frames=30))).convert("L")
        np.testing.assert_allclose(image.astype(float), np.array(jpeg, float), atol=3)
        assert mask is None and spacing == pytest.approx((0.510497, 0.510497))


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
        ({"SequenceOfUltrasoundRegions": [region(1, 1, form=3)], "PixelSpacing": [0.4, 0.3]}, (0.4, 0.3)),
        ({"SequenceOfUltrasoundRegions": []}, None),
    ],
)
def test_dicom_spacing(tmp_path: Path, tags: dict, spacing: tuple[float, float] | None) -> None:
    assert only(open_path(write_dicom(tmp_path / "a.dcm", PICTURE, **tags))).spacing_mm == spacing


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


# Damage


def test_damaged_and_hostile_files_are_read_right_or_refused_in_one_sentence() -> None:
    assert fuzz_readers.sweep(range(12 * len(fuzz_readers.SOURCES))) == []


def test_the_search_for_bad_outcomes_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises, one that gives nonsense, one that accepts all: each is complained about."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sources = [n for n in range(600) if list(fuzz_readers.SOURCES)[n % len(fuzz_readers.SOURCES)] == "png"]
    for broken, word in (
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: np.zeros((3, 3), np.uint8), "isn't what it was"),
        (lambda path: np.zeros((3, 3, 3)), "status"),
    ):
        with monkeypatch.context() as patch:
            fuzz_readers._original("png")
            patch.setattr("lvseg.readers.images.read_grey", broken)
            assert any(word in fuzz_readers.complaint(number) for number in sources)


# The report on a data set


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
    monkeypatch.setattr("lvseg.data.check.open_source", lambda spec: frames)
    report = check(f"camus:{CAMUS}")
    assert (report.frames, report.patients, report.missing, report.bad) == (160, 79, [], {})
    assert report.twins == [
        ("patient0033_4CH_ED", "patient0068_4CH_ED")
    ]  # one patient to us, so only what is identical


def test_a_sentence_shows_no_address_in_memory(tmp_path):
    (tmp_path / "notes.png").write_text("no picture at all")
    with pytest.raises(DataError, match=r"notes\.png: can't be read") as caught:
        open_path(tmp_path / "notes.png")[0].read()
    assert "0x" not in str(caught.value)
