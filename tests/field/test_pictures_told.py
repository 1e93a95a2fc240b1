"""What can't be read of pictures and annotations is told in a sentence that a person can act on."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz_readers import CORNERS, PICTURE, png, write_labelme, write_picture
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.readers import open_path
from tests.readers.support import SQUARE, only

LV = {"label": "LV", "points": CORNERS}


def _encoded(kind: str, picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _sentence(action) -> str:
    """The refusal, which names no class of an exception and no Python value."""
    with pytest.raises(DataError) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence and not re.search(
        r"[A-Z][a-z]+Error|Exception|NoneType|object at|, line \d+ in", sentence
    )
    return sentence


GREY = Image.fromarray(PICTURE)
READ: dict[str, bytes] = {
    "WebP": _encoded("WEBP", GREY.convert("RGB"), lossless=True),
    "GIF": _encoded("GIF", GREY),
    "JPEG 2000": _encoded("JPEG2000", GREY),
    "16 bits": _encoded("PNG", Image.fromarray(PICTURE.astype(np.uint16) * 257)),
    "floats": _encoded("TIFF", Image.fromarray(PICTURE.astype(np.float32))),
    "CMYK": _encoded("TIFF", GREY.convert("RGB").convert("CMYK")),
}


@pytest.mark.parametrize("kind", READ)
def test_pictures_of_all_kinds_are_read_whatever_their_name_says(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(READ[kind])
    np.testing.assert_array_equal(only(open_path(path)).image, PICTURE)


@pytest.mark.parametrize("ending", [".webp", ".gif", ".jp2", ".WEBP"])
def test_pictures_of_all_kinds_are_known_by_their_names(tmp_path: Path, ending: str) -> None:
    GREY.convert("RGB").save(tmp_path / f"a{ending}", **({"lossless": True} if "w" in ending.lower() else {}))
    np.testing.assert_array_equal(only(open_path(tmp_path)).image, PICTURE)


def test_what_transparency_hides_is_told(tmp_path: Path) -> None:
    Image.fromarray(np.stack([PICTURE, PICTURE, PICTURE, 0 * PICTURE], axis=2)).save(tmp_path / "a.png")
    with pytest.warns(DataWarning, match="transparent"):
        np.testing.assert_array_equal(only(open_path(tmp_path)).image, PICTURE)


@pytest.mark.parametrize("text", ["{", "[1, 2", "hello"])
def test_a_damaged_annotation_says_where(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert "line 1, column" in _sentence(lambda: only(open_source(f"labelme:{tmp_path}")))


@pytest.mark.parametrize("foreign", [{"images": [], "annotations": [], "categories": []}, {"train": ["a"]}, [], 7])
def test_other_programs_json_is_passed_over_and_named(tmp_path: Path, foreign: Any) -> None:
    write_labelme(tmp_path / "a.json")
    (tmp_path / "other.json").write_text(json.dumps(foreign))
    with pytest.warns(DataWarning, match=r"other\.json: is no annotation of LabelMe"):
        (frame,) = open_source(f"labelme:{tmp_path}")
    assert frame.name == "a"


@pytest.mark.parametrize(
    "label",
    [
        "lv1",
        "LV_ED",
        "Left Ventricle (LV)",
        "LV-endocardium",
        "左室",
        "左心室内膜",
        "Ventrículo izquierdo",
        "VENTRICULE GAUCHE",
    ],
)
def test_the_ventricles_common_names(tmp_path: Path, label: str) -> None:
    write_labelme(tmp_path / "a.json", [LV | {"label": label}])
    np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, SQUARE)


@pytest.mark.parametrize(
    "landmark",
    [("point", [[20, 20]]), ("line", [[20, 20], [4, 4]]), ("points", [[1, 1]] * 3), ("polygon", [[1, 1], [9, 9]])],
)
def test_landmarks_beside_an_outline_are_passed_over_and_told(tmp_path: Path, landmark: tuple[str, list]) -> None:
    write_labelme(tmp_path / "a.json", [LV, LV | {"shape_type": landmark[0], "points": landmark[1]}])
    with pytest.warns(DataWarning, match="passed over"):
        np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, SQUARE)


@pytest.mark.parametrize("spoil", ["data:image/png;base64,{}", "\n{}\n", "{}"])
def test_a_picture_inside_an_annotation_may_be_a_data_address_or_broken_into_lines(tmp_path: Path, spoil: str) -> None:
    text = re.sub(r"(.{76})", r"\1\n", base64.b64encode(png(PICTURE)).decode()) if "\n" in spoil else None
    write_labelme(tmp_path / "a.json", imageData=spoil.format(text or base64.b64encode(png(PICTURE)).decode()))
    np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).image, PICTURE)


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("ann/a.png", "D:\\study\\frames\\a.png"),
        ("ann/a.png", "/home/someone/frames/a.png"),
        ("ann/a.PNG", "a.png"),
        ("ann/a.png", "..\\gone\\a.png"),
        ("images/a.png", "..\\images\\a.png"),
        ("images/a.png", "a.png"),
    ],
)
def test_a_picture_is_found_where_it_lies_now(tmp_path: Path, file: str, named: str) -> None:
    image = write_picture(tmp_path / file)
    write_labelme(tmp_path / "ann" / "a.json", imageData=None, imagePath=named)
    (frame,) = open_source(f"labelme:{tmp_path}")
    np.testing.assert_array_equal(frame.read().image, PICTURE)
    assert image in [path.resolve() for path in frame.files]
