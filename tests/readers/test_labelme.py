"""LabelMe's shapes against masks worked by hand, Pillow's drawing and matplotlib's, read and written."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from PIL import Image, ImageDraw

from benchmarks.fuzz_readers import CORNERS, PICTURE, png_bomb, write_labelme, write_picture
from lvseg.data.source import open_source
from lvseg.phantom.cohort import cohort
from lvseg.readers import labelme
from tests.readers.support import SQUARE, filled, only, refused


@pytest.mark.parametrize("kind", [None, "polygon", "linestrip", "oriented_rectangle", "rectangle"])
def test_labelme_polygons_fill_whole_pixels_between_pixel_corners(tmp_path: Path, kind: str | None) -> None:
    write_labelme(tmp_path / "a.json", [{"label": "LV", "shape_type": kind, "points": CORNERS}])
    image, mask, spacing, *_ = only(open_source(f"labelme:{tmp_path}"))
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
        ({"shapes": [{"label": 3, "points": CORNERS}]}, "a shape without a text label"),
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


def test_labelme_files_hold_exactly_the_mask(tmp_path: Path):
    frames = cohort(n_patients=2, n_frames=2, seed=6)
    labelme.write_labelme(frames, tmp_path)
    assert not list(tmp_path.rglob(".*"))
    for frame in frames:
        pixels = frame.read()
        path = tmp_path / frame.patient / f"{frame.name}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        assert set(content) == {
            "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"
        }  # fmt: skip
        (shape,) = content["shapes"]
        assert (shape["label"], shape["shape_type"]) == ("LV", "polygon")
        assert (content["imageHeight"], content["imageWidth"]) == pixels.mask.shape
        image = cv2.imread(str(path.parent / content["imagePath"]), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, pixels.image)
        centres = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in pixels.mask.shape[::-1])), axis=-1)
        drawn = Polygon(shape["points"]).contains_points(centres.reshape(-1, 2)).reshape(pixels.mask.shape)
        assert np.array_equal(drawn, pixels.mask)
    read = open_source(f"labelme:{tmp_path}")
    assert [frame.patient for frame in read] == [frame.patient for frame in frames]
    assert all(np.array_equal(a.read().mask, b.read().mask) for a, b in zip(read, frames, strict=True))
