"""Pictures, masks and LabelMe's annotations."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.fuzz_readers import CORNERS, PICTURE, png, png_bomb, write_labelme, write_picture
from tests.readers.causes import Cause
from tests.readers.support import SQUARE

GREY = Image.fromarray(PICTURE)
LV = {"label": "LV", "points": CORNERS}
INSIDE = {"label": "LV", "points": [[6, 5], [10, 5], [10, 9], [6, 9]]}


def encoded(kind: str, picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(path: Path, turn: int, values: np.ndarray = PICTURE) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(values).save(path, exif=exif)
    return path


def picture(data: bytes):
    def make(root: Path) -> Path:
        (root / "a.png").write_bytes(data)
        return root / "a.png"

    return make


def pair(image: np.ndarray, *masks: np.ndarray, names: tuple[str, ...] = ("a_mask.png",)):
    def make(root: Path) -> str:
        write_picture(root / "a.png", image)
        for name, mask in zip(names, masks, strict=False):
            write_picture(root / name, mask)
        return f"images:{root}"

    return make


def turned_pair(turn: int, mask: np.ndarray):
    def make(root: Path) -> str:
        turned(root / "a.png", turn)
        write_picture(root / "a_mask.png", mask)
        return f"images:{root}"

    return make


def labelme(shapes: list[dict] | None = None, **fields: Any):
    def make(root: Path) -> str:
        write_labelme(root / "set" / "a.json", shapes, **fields)
        return f"labelme:{root / 'set'}"

    return make


def text(content: str | dict[str, Any]):
    def make(root: Path) -> str:
        (root / "set").mkdir()
        (root / "set" / "a.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return f"labelme:{root / 'set'}"

    return make


def beside_another(root: Path) -> str:
    write_labelme(root / "set" / "b.json")
    (root / "set" / "a.json").write_text(json.dumps({"train": ["a"], "test": []}))
    return f"labelme:{root / 'set'}"


def outgrown(root: Path) -> str:
    labelme()(root)
    with (root / "set" / "a.json").open("r+b") as file:
        file.truncate(2**25 + 1)
    return f"labelme:{root / 'set'}"


LEVELS = SQUARE.astype(np.uint8)
CLASSES = LEVELS + (np.arange(32) > 20).astype(np.uint8) * 3
PATCH = base64.b64encode(png(np.full((8, 10), 255, np.uint8))).decode()

CAUSES = {
    "an empty picture": Cause(
        picture(b""), "{root}/a.png: can't be read as a picture: it is empty; restore it from its source", True
    ),
    "a text under a picture's name": Cause(
        picture(b"hello"),
        "{root}/a.png: can't be read as a picture: it is damaged, or of another kind than its name "
        "says; restore it from its source, or save it as PNG",
        True,
    ),
    "a PDF under a picture's name": Cause(
        picture(b"%PDF-1.7\n"),
        "{root}/a.png: can't be read as a picture: it holds a PDF document; save the picture as PNG",
    ),
    "a ZIP under a picture's name": Cause(
        picture(b"PK\x03\x04" + bytes(60)),
        "{root}/a.png: can't be read as a picture: it holds a ZIP archive; save the picture as PNG",
    ),
    "a telephone's photograph": Cause(
        picture(b"\0\0\0\x18ftypheic" + bytes(60)),
        "{root}/a.png: can't be read as a picture: it holds a HEIC photograph; save the picture as PNG",
    ),
    "an AVIF picture": Cause(
        picture(b"\0\0\0\x18ftypavif" + bytes(60)),
        "{root}/a.png: can't be read as a picture: it holds an AVIF picture; save the picture as PNG",
    ),
    "a video under a picture's name": Cause(
        picture(b"\0\0\0\x18ftypisom" + bytes(60)),
        "{root}/a.png: can't be read as a picture: it holds an MP4 video; save the picture as PNG",
    ),
    "a DICOM under a picture's name": Cause(
        picture(bytes(128) + b"DICM"),
        "{root}/a.png: can't be read as a picture: it holds a DICOM image; save the picture as PNG",
    ),
    "a web page under a picture's name": Cause(
        picture(b"<!doctype html><html>"),
        "{root}/a.png: can't be read as a picture: it holds a web page; save the picture as PNG",
    ),
    "a drawing under a picture's name": Cause(
        picture(b"<svg xmlns='x'>"),
        "{root}/a.png: can't be read as a picture: it holds an SVG drawing; save the picture as PNG",
    ),
    "a picture that is cut": Cause(
        picture(png(PICTURE)[:300]),
        "{root}/a.png: can't be read (image file is truncated); restore it from its source",
        True,
    ),
    "a bomb": Cause(
        picture(png_bomb()),
        "{root}/a.png: declares 3600000000 pixels, not 1 to 16777216; make it smaller, or export it "
        "again if that isn't its size",
    ),
    "a large picture": Cause(
        picture(encoded("PNG", Image.new("1", (4097, 4097)))),
        "{root}/a.png: declares 4097 x 4097 pixels, not 1 to 16777216; make it smaller, or export it "
        "again if that isn't its size",
    ),
    "pages": Cause(
        picture(encoded("TIFF", GREY, save_all=True, append_images=[GREY, GREY])),
        "{root}/a.png: isn't one picture but 3; save each as a file of its own",
    ),
    "a moving GIF": Cause(
        picture(encoded("GIF", GREY, save_all=True, append_images=[GREY.rotate(180)])),
        "{root}/a.png: isn't one picture but 2; save each as a file of its own",
    ),
    "16 bits without white": Cause(
        picture(encoded("PNG", Image.fromarray(PICTURE.astype(np.uint16) * 4))),
        "{root}/a.png: has 16 bits a pixel but no level above 1020, so its white isn't known; stretch "
        "it to 0 to 65535, or save it with 8 bits",
    ),
    "fractions": Cause(
        picture(encoded("TIFF", Image.fromarray((PICTURE / 255).astype(np.float32)))),
        "{root}/a.png: has fractions from 0 to 1; multiply them by 255",
    ),
    "levels beyond 255": Cause(
        picture(encoded("TIFF", Image.fromarray(PICTURE.astype(np.float32) * 2))),
        "{root}/a.png: has values from 0 to 510; rescale it to grey levels 0 to 255",
    ),
    "Lab colours": Cause(
        picture(encoded("TIFF", Image.new("LAB", (32, 24)))),
        "{root}/a.png: has colours that are neither grey, RGB nor CMYK (LAB); save it as PNG",
    ),
    "transparent where it isn't black": Cause(
        picture(png(np.dstack([PICTURE, PICTURE, PICTURE, 0 * PICTURE]))),
        "{root}/a.png: is transparent where it isn't black; read as if it were opaque: save it without "
        "transparency if that is wrong",
    ),
    "no mask": Cause(
        pair(PICTURE),
        "{root}/a.png: has no mask; add {root}/a_mask.png, or lay out the data as images/x.png and masks/x.png",
    ),
    "a mask of several classes": Cause(
        pair(PICTURE, CLASSES),
        "{root}/a_mask.png: has more than two grey levels (0, 1, 3); save a PNG of the left ventricle "
        "alone, 0 outside and 255 inside",
    ),
    "a mask of 1 and 2": Cause(
        pair(PICTURE, LEVELS + np.uint8(1)),
        "{root}/a_mask.png: has the grey levels 1, 2, not 0 and one other; save a PNG of the left "
        "ventricle alone, 0 outside and 255 inside",
    ),
    "a transparent mask": Cause(
        pair(PICTURE, np.dstack([LEVELS, LEVELS, LEVELS, 0 * LEVELS])),
        "{root}/a_mask.png: is transparent everywhere; save it without transparency, 0 outside and 255 inside",
    ),
    "an inverted mask": Cause(
        pair(PICTURE, 255 - 255 * LEVELS),
        "{root}/a_mask.png: marks 90% of the picture as inside (0 outside, 255 inside), up to its "
        "edges: if it is inverted, save it with 0 outside",
    ),
    "a mask of another size": Cause(
        pair(PICTURE, np.zeros((48, 64), np.uint8)),
        "{root}/a_mask.png: was drawn in another size (64 x 48 pixels) than a.png has (32 x 24); bring "
        "back the one that belongs to it, or draw it anew",
    ),
    "two masks": Cause(
        pair(PICTURE, LEVELS, LEVELS, names=("a_mask.png", "a_gt.png")),
        "{root}/a_mask.png: is a second mask beside a_gt.png; keep the right one, or name a further part a_gt_1.png",
    ),
    "a mask drawn before the turn": Cause(
        turned_pair(6, LEVELS),
        "{root}/a_mask.png: was drawn on a.png before that is turned as its EXIF data say; turned along with it",
    ),
    "a mask of a half turn": Cause(
        turned_pair(3, LEVELS),
        "{root}/a_mask.png: nothing says whether it was drawn before or after a.png is turned as its "
        "EXIF data say; taken as drawn on the upright picture",
    ),
    "no shape": Cause(
        labelme([]),
        "{root}/set/a.json: outlines no left ventricle, as it holds no shape; outline it, or remove the file",
    ),
    "another label": Cause(
        labelme([LV | {"label": "LA"}]),
        "{root}/set/a.json: outlines no left ventricle, only 'LA'; label it LV, or list its label in "
        "{root}/set/lv_labels.txt",
    ),
    "no text label": Cause(
        labelme([LV | {"label": None}]),
        "{root}/set/a.json: outlines no left ventricle, only a shape without a text label; label it LV, "
        "or list its label in {root}/set/lv_labels.txt",
    ),
    "a number for a label": Cause(
        labelme([LV | {"label": 1}]),
        "{root}/set/a.json: outlines no left ventricle, only a shape without a text label; label it LV, "
        "or list its label in {root}/set/lv_labels.txt",
    ),
    "the wall's label": Cause(
        labelme([LV | {"label": "LV (epi)"}]),
        "{root}/set/a.json: outlines no left ventricle, only 'LV (epi)'; label it LV, or list its label "
        "in {root}/set/lv_labels.txt",
    ),
    "shapes that are none": Cause(
        text({"shapes": {"a": 1}}),
        "{root}/set/a.json: can't be read as an annotation of LabelMe, as its shapes are no list of "
        "shapes; save it anew in LabelMe, or move it elsewhere",
    ),
    "no points": Cause(
        labelme([{"label": "LV"}]),
        "{root}/set/a.json: an outline isn't a list of 1 to 10000 points (x, y); draw it again",
    ),
    "a point": Cause(
        labelme([LV | {"shape_type": "point", "points": [[1, 1]]}]),
        "{root}/set/a.json: outlines the left ventricle by a point of 1 points; draw a polygon",
    ),
    "a spline": Cause(
        labelme([LV | {"shape_type": "spline"}]),
        "{root}/set/a.json: outlines the left ventricle by a spline of 4 points; draw a polygon",
    ),
    "a landmark beside it": Cause(
        labelme([LV, LV | {"shape_type": "point", "points": [[1, 1]]}]),
        "{root}/set/a.json: outlines the left ventricle by a shape and by points or lines, which "
        "enclose nothing; these are passed over",
    ),
    "too many shapes": Cause(
        labelme([LV] * 101), "{root}/set/a.json: outlines the left ventricle by more than 100 shapes; draw it again"
    ),
    "a shape inside": Cause(
        labelme([LV, INSIDE]),
        "{root}/set/a.json: an outline of the left ventricle lies inside another and adds nothing; if "
        "it is a hole, label it _background_",
    ),
    "a shape inside its group": Cause(
        labelme([LV | {"group_id": 1}, INSIDE | {"group_id": 1}]),
        "{root}/set/a.json: an outline of the left ventricle lies inside another of its group; taken for a hole",
    ),
    "a hole that is half outside": Cause(
        labelme([LV, {"label": "hole", "points": [[12, 5], [20, 5], [20, 9]]}]),
        "{root}/set/a.json: a shape labelled 'hole' lies partly in the left ventricle; nothing is cut out",
    ),
    "an outline that leaves its picture": Cause(
        labelme([LV | {"points": [[30, 3], [90, 3], [90, 11], [30, 11]]}]),
        "{root}/set/a.json: an outline of the left ventricle leaves the picture; was it drawn on another one?",
    ),
    "a mask shape that leaves its picture": Cause(
        labelme([{"label": "LV", "shape_type": "mask", "mask": PATCH, "points": [[30, 3], [39, 10]]}]),
        "{root}/set/a.json: a mask lies partly outside the image; draw it again",
    ),
    "no base64": Cause(
        labelme(imageData="not base64!"),
        "{root}/set/a.json: can't be read, as its imageData is no base64 text; save it anew in LabelMe",
    ),
    "a PDF as imageData": Cause(
        labelme(imageData=base64.b64encode(b"%PDF-1.7").decode()),
        "{root}/set/a.json: can't be read as a picture: it holds a PDF document; save the picture as PNG",
    ),
    "neither imageData nor imagePath": Cause(
        labelme(imageData=None, imagePath=None),
        "{root}/set/a.json: can't be read, as it has neither imageData nor imagePath; open and save it in LabelMe",
    ),
    "a picture that is gone": Cause(
        labelme(imageData=None, imagePath="D:\\a\\x.png"),
        "{root}/set/a.json: its picture isn't there (imagePath 'D:\\\\a\\\\x.png': no such file in the "
        "folder); put it beside the JSON",
    ),
    "a picture elsewhere": Cause(
        labelme(imageData=None, imagePath="..\\img\\x.png"),
        "{root}/set/a.json: its imagePath '..\\\\img\\\\x.png' leads out of the folder; put the picture "
        "beside the JSON, or open the folder that holds both ({root})",
    ),
    "a picture of another size": Cause(
        labelme(imageHeight=48, imageWidth=64),
        "{root}/set/a.json: was drawn in another size (64 x 48 pixels) than its imageData has (32 x "
        "24); bring back the one that belongs to it, or draw it anew",
    ),
    "a damaged JSON": Cause(
        text('{"shapes": ['),
        "{root}/set/a.json: can't be read as JSON, from line 1, column 13 on; restore it from its source",
        True,
    ),
    "another program's JSON": Cause(
        beside_another, "{root}/set/a.json: is no annotation of LabelMe, as it holds train, test; passed over"
    ),
    "a huge JSON": Cause(
        outgrown,
        "{root}/set/a.json: is larger than 33554432 bytes, the most that is read; divide it, or make it smaller",
    ),
}
