"""What a volume or a video says of its geometry is followed or, where its statements disagree, told."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmarks.fuzz_readers import write_video
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.readers import open_path, upright, volumes


def sector(height: int = 200, width: int = 260) -> np.ndarray:
    """An ultrasound fan with its tip at the top, of speckle, and a bright spot on its left side."""
    rows, columns = np.mgrid[:height, :width]
    inside = (np.abs(columns - width / 2) < 0.6 * rows) & (np.hypot(rows, columns - width / 2) < height)
    picture = np.where(inside, np.random.default_rng(3).integers(40, 140, (height, width)), 0)
    picture[110:130, 90:105] = 240
    return picture.astype(np.uint8)


FAN = sector()
LABELS = np.zeros(FAN.shape, np.uint8)
LABELS[60:150, 85:120] = 1
LPS = np.diag([-0.3, -0.3, 1.0, 1.0])  # as CAMUS states it


def write(path: Path, stored: np.ndarray, affine: np.ndarray | None = LPS) -> Path:
    nibabel.save(nibabel.Nifti1Image(stored, affine), path)
    return path


def one(path: Path) -> tuple[np.ndarray, tuple[float, float] | None, list[str]]:
    """The only frame's picture and spacing, and what was told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DataWarning)
        (frame,) = open_path(path)
        pixels = frame.read()
    return pixels.image, pixels.spacing_mm, [str(w.message) for w in told if w.category is DataWarning]


def flipped(affine: np.ndarray, axis: int, length: int) -> np.ndarray:
    """The affine of the array reversed along an axis, its pixels where they were."""
    change = np.eye(4)
    change[axis, axis], change[axis, 3] = -1, length - 1
    return affine @ change


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_nifti_is_turned_as_its_affine_says(tmp_path: Path, ending: str) -> None:
    stored = FAN.T
    for name, array, affine in (
        ("as camus", stored, LPS),
        ("columns reversed", stored[::-1], flipped(LPS, 0, 260)),
        ("rows reversed", stored[:, ::-1], flipped(LPS, 1, 200)),
        ("half a turn", stored[::-1, ::-1], flipped(flipped(LPS, 0, 260), 1, 200)),
        ("rows first", FAN, LPS[:, [1, 0, 2, 3]]),
        ("rows first, reversed", FAN[::-1], flipped(LPS[:, [1, 0, 2, 3]], 0, 200)),
        ("canonical", *_canonical(stored)),
    ):
        picture, spacing, told = one(write(tmp_path / f"{name}{ending}", array, affine))
        np.testing.assert_array_equal(picture, FAN, err_msg=name)
        assert spacing == (0.3, 0.3) and not told, (name, told)


def _canonical(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(stored[..., None], LPS))
    return np.asarray(image.dataobj)[..., 0], image.affine


def test_the_turn_is_the_affines_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "stated_turn", lambda directions: upright.Turn())
    picture, _, told = one(write(tmp_path / "a.nii", FAN, LPS[:, [1, 0, 2, 3]]))
    assert picture.shape == FAN.T.shape and "left" in told[0]


def test_no_affine_and_the_one_that_programs_write_for_it_leave_the_picture_as_stored(tmp_path: Path) -> None:
    for affine in (None, np.eye(4), np.diag([0.3, 0.3, 1, 1])):
        picture, _, told = one(write(tmp_path / "a.nii", FAN.T, affine))
        np.testing.assert_array_equal(picture, FAN)
        assert not [line for line in told if "1 mm" not in line]
        picture, _, told = one(write(tmp_path / "a.nii", FAN, affine))
        assert any("tip of its ultrasound fan is at the left" in line for line in told)


def test_a_mirrored_affine_whose_axis_is_in_doubt_follows_the_fan_and_is_told(tmp_path: Path) -> None:
    picture, _, told = one(write(tmp_path / "a.nii", FAN.T[:, ::-1], np.diag([0.3, -0.3, 1, 1])))
    np.testing.assert_array_equal(picture, FAN)
    assert "affine" in told[0]


def test_labels_lie_on_their_image_whichever_of_the_two_states_how(tmp_path: Path) -> None:
    image, labels = (tmp_path / f"patient0001_4CH_ED{end}.nii.gz" for end in ("", "_gt"))
    rows_reversed = flipped(LPS, 1, 200)
    for affines, array in (
        ((rows_reversed, rows_reversed), LABELS.T[:, ::-1]),
        ((rows_reversed, np.eye(4)), LABELS.T[:, ::-1]),  # drawn on the stored picture by a program that drops affines
        ((rows_reversed, LPS), LABELS.T),
    ):
        write(image, FAN.T[:, ::-1], affines[0])
        write(labels, array, affines[1])
        pixels = open_source(f"camus:{tmp_path}")[0].read()
        np.testing.assert_array_equal(pixels.image, FAN)
        np.testing.assert_array_equal(pixels.mask, LABELS == 1)


@pytest.mark.parametrize("direction", [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, 1, 0)])
def test_a_metaimage_is_turned_as_simpleitk_places_it(tmp_path: Path, direction: tuple[int, ...]) -> None:
    image = SimpleITK.GetImageFromArray(FAN)
    image.SetSpacing((0.4, 0.3))
    matrix = np.reshape(direction, (2, 2)).astype(float)
    spacing = np.abs(matrix.T) @ (0.4, 0.3)
    size = np.abs(matrix.T).astype(int) @ (260, 200)
    stored = SimpleITK.Image(*map(int, size), SimpleITK.sitkUInt8)
    stored.SetSpacing(tuple(map(float, spacing)))
    stored.SetDirection(tuple(map(float, direction)))
    corners = matrix @ np.diag(spacing) @ np.array([[0, size[0] - 1], [0, size[1] - 1]])
    stored.SetOrigin(tuple(float(-min(row)) for row in corners))
    placed = SimpleITK.Resample(image, stored, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    for ending in (".mhd", ".mha"):
        SimpleITK.WriteImage(placed, str(tmp_path / f"a{ending}"))
        picture, stated, told = one(tmp_path / f"a{ending}")
        np.testing.assert_array_equal(picture, FAN)
        assert stated == (0.3, 0.4) and not told


def test_axes_of_one_pixel_are_no_axes(tmp_path: Path) -> None:
    for shape in ((260, 200, 1), (260, 200, 1, 1), (1, 260, 200), (260, 1, 200)):
        picture, _, _ = one(write(tmp_path / "a.nii", FAN.T.reshape(shape)))
        np.testing.assert_array_equal(picture, FAN, err_msg=str(shape))


def test_three_equal_planes_are_colours_and_three_other_ones_a_cine(tmp_path: Path) -> None:
    coloured = np.stack([FAN.T] * 3, axis=-1)
    np.testing.assert_array_equal(one(write(tmp_path / "a.nii", coloured))[0], FAN)
    coloured[100:120, 100:110] = 200, 30, 30  # colour Doppler on a grey picture
    picture, _, _ = one(write(tmp_path / "b.nii", coloured))
    assert picture[105, 105] == round(0.299 * 200 + 0.701 * 30) and picture[50, 130] == FAN[50, 130]
    rgb = np.zeros(FAN.T.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"] = rgb["G"] = rgb["B"] = FAN.T
    np.testing.assert_array_equal(one(write(tmp_path / "c.nii", rgb))[0], FAN)
    cine = np.stack([np.roll(FAN.T, shift, axis=0) for shift in range(3)], axis=-1)
    assert len(open_path(write(tmp_path / "d.nii", cine))) == 3


def test_frames_along_the_first_axis_are_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="along the last axis"):
        open_path(write(tmp_path / "a.nii", np.stack([FAN.T] * 12)))
    assert len(open_path(write(tmp_path / "b.nii", np.stack([FAN.T] * 12, axis=-1)))) == 12


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mhd"])
def test_a_millimetre_that_is_only_the_default_is_no_spacing(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{ending}"
    image = SimpleITK.GetImageFromArray(FAN)
    SimpleITK.WriteImage(image, str(path))
    assert one(path)[1] is None and "1 mm" in one(path)[2][0]
    monkeypatch.setattr(volumes, "_known_spacing", lambda path, sizes: (sizes, ()))
    volumes._load.cache_clear(), volumes._picture.cache_clear()
    assert one(path)[1] == (1.0, 1.0)


def test_two_pixel_sizes_in_one_file_give_none_and_other_units_are_followed(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(FAN.T, LPS)
    image.header["pixdim"][1:3] = 0.6
    nibabel.save(image, tmp_path / "a.nii")
    assert one(tmp_path / "a.nii")[1] is None and "in its affine" in one(tmp_path / "a.nii")[2][0]
    for unit, factor in (("micron", 1000), ("mm", 1), ("meter", 0.001)):
        image = nibabel.Nifti1Image(FAN.T, np.diag([-0.3 * factor, -0.3 * factor, 1, 1]))
        image.header.set_xyzt_units(unit)
        nibabel.save(image, tmp_path / "b.nii")
        assert one(tmp_path / "b.nii")[1] == (0.3, 0.3)


def test_a_label_map_of_another_pixel_size_is_told(tmp_path: Path) -> None:
    write(tmp_path / "patient0001_4CH_ED.nii", FAN.T)
    write(tmp_path / "patient0001_4CH_ED_gt.nii", LABELS.T, LPS * [2, 2, 1, 1])
    with pytest.warns(DataWarning, match=r"_gt.nii: states pixels of 0.6 x 0.6 mm"):
        assert open_source(f"camus:{tmp_path}")[0].read().spacing_mm == (0.3, 0.3)


def test_a_label_map_is_no_picture(tmp_path: Path) -> None:
    for name, values in (("a.nii", LABELS.T), ("b.nii.gz", 3 * LABELS.T), ("c.nii", 255 * LABELS.T)):
        with pytest.raises(DataError, match="a map of labels, not a picture"):
            one(write(tmp_path / name, values))


def restate(path: Path, count: int) -> None:
    """Change the number of frames in an AVI's two headers."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 24), (b"strh", 40)):
        place = data.index(mark) + offset
        data[place : place + 4] = count.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("stated", [1, 4, 7, 300])
def test_the_frames_of_a_video_are_those_that_exist(
    tmp_path: Path, stated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.avi", [20, 60, 100, 140, 180])
    assert len(open_path(path)) == 5
    restate(path, stated)
    with pytest.warns(DataWarning, match=f"states {stated} frames but holds 5"):
        frames = open_path(path)
    assert [int(np.median(frame.read().image)) for frame in frames] == pytest.approx([20, 60, 100, 140, 180], abs=3)
    monkeypatch.setattr("lvseg.readers.video._count", lambda path, video, stated: stated)
    assert len(open_path(path)) == stated


def test_a_rate_that_no_cine_has_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 0.25, (112, 112))
    for level in (20, 60):
        writer.write(np.full((112, 112, 3), level, np.uint8))
    writer.release()
    with pytest.warns(DataWarning, match="0.25 frames a second"):
        assert open_path(path)[0].facts == {}


@pytest.mark.parametrize(("turned", "tip"), [(0, "top"), (1, "left"), (2, "bottom"), (3, "right")])
def test_the_tip_of_the_fan_is_found(turned: int, tip: str) -> None:
    assert upright.fan_tip(np.rot90(FAN, turned)) == tip
    assert upright.fan_tip(np.full((200, 200), 9, np.uint8)) == "" and upright.fan_tip(FAN[:40]) == ""
