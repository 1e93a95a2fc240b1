"""LabelMe's JSON, text in people's encodings, sets with one bad item, and names that hide the patient."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.fuzz_readers.cases import (
    Case,
    Maker,
    Truth,
    encoded,
    heart,
    hearts,
    labelme,
    made,
    pick,
    polygon,
    save,
    shape,
    white,
    write_labelme,
    write_pair,
    write_text,
)
from benchmarks.fuzz_readers.faults_pictures import TURNED, mask_kinds, save_turned

SIZE = "size|pixels|says|states|\\d+ ?x ?\\d+"


def _set(truths: list[Truth]) -> list[Truth]:
    return [truth.unscaled() for truth in truths]


# LabelMe: geometry


def turned(rng: np.random.Generator, root: Path) -> Case:
    """Outlined on the upright picture, as LabelMe shows it; the picture beside it or within is turned by EXIF."""
    truth, way = heart(rng), int(rng.integers(2, 9))
    content = labelme(truth, "p1_a.jpg")
    path = save_turned(root / "p1_a.jpg", truth.image, way, quality=95)
    inside = rng.random() < 0.5
    if inside:
        content["imageData"] = base64.b64encode(path.read_bytes()).decode()
        path.unlink()
    write_text(root / "p1_a.json", json.dumps(content))
    fault = f"outlined upright, picture {'inside' if inside else 'beside'} with EXIF orientation {way}"
    return Case("K2", fault, "labelme", root, _set([truth]), f"{TURNED}|{SIZE}")


def resized(rng: np.random.Generator, root: Path) -> Case:
    """The picture was exchanged after it was outlined."""
    truth = heart(rng)
    write_labelme(root, "p1_a", truth)
    height, width = truth.image.shape
    what, other = pick(
        rng,
        (
            ("256 x 256", cv2.resize(truth.image, (256, 256))),
            ("halved", cv2.resize(truth.image, (width // 2, height // 2))),
            ("doubled", cv2.resize(truth.image, (width * 2, height * 2))),
            ("cropped", np.ascontiguousarray(truth.image[10:, 14:])),
            ("padded", np.pad(truth.image, ((20, 0), (30, 0)))),
            ("turned", np.ascontiguousarray(np.rot90(truth.image))),
        ),
    )
    save(root / "p1_a.png", other)
    return Case("K2", f"outlined picture was {what}", "labelme", root, (), SIZE, readable=False)


def impossible(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    height, width = truth.image.shape
    points = np.array(polygon(truth.mask))
    box = [[0, 0], [width, 0], [width, height], [0, height]]
    name, outline = pick(
        rng,
        (
            ("around the whole picture", box),
            ("in fractions of the picture", (points / [width, height]).tolist()),
            ("half beyond the right edge", (points + np.array([width - points[:, 0].mean(), 0])).tolist()),
            ("wholly beside the picture", (points + np.array([2 * width, 0])).tolist()),
        ),
    )
    write_labelme(root, "p1_a", truth, [shape(truth, points=outline)])
    words = "whole|most|all|edge|share|outside|beyond|empty|no pixel|small|tiny|%|fraction|leaves|nothing|covers"
    return Case("K1", f"outline {name}", "labelme", root, _set([truth]), words, readable=False)


# LabelMe: meaning


def shapes(rng: np.random.Generator, root: Path) -> Case:
    """Shapes beside the outline, holes, labels of other kinds."""
    truth = heart(rng)
    mask = truth.mask
    rows, columns = np.argwhere(mask).mean(axis=0)
    hole = [[columns - 6, rows - 9], [columns + 6, rows - 9], [columns + 6, rows + 9], [columns - 6, rows + 9]]
    cut = mask.copy()
    cut[int(rows - 9) : int(rows + 9), int(columns - 6) : int(columns + 6)] = False
    lv = shape(truth)
    line = {"label": "long axis", "shape_type": "line", "points": [[columns, rows - 20], [columns, rows + 20]]}
    point = {"label": "apex", "shape_type": "point", "points": [[columns, rows - 20]]}
    box = mask_box(mask)
    crop = mask[box]
    corner = [box[1].start, box[0].start]
    patch = {"label": "LV", "shape_type": "mask", "points": [corner, [box[1].stop - 1, box[0].stop - 1]]}
    patches = mask_kinds(crop)
    kind = pick(rng, ("0 and 1", "one bit", "palette of dark red", "white, with the ventricle in alpha",
                      "soft edges", "labels 0 to 3"))  # fmt: skip
    masked = patch | {"mask": base64.b64encode(encoded(patches[kind][1])).decode()}
    group = {"group_id": 1}
    name, drawn, shown, words, category = pick(
        rng,
        (
            ("a hole of the same group", [lv | group, shape(truth, points=hole) | group], cut, "hole|inside", "K4"),
            (
                "a hole labelled _background_",
                [lv | group, shape(truth, "_background_", points=hole) | group],
                cut,
                "hole|background",
                "K4",
            ),
            ("a line and a point beside it", [line, lv, point], mask, "line|point", "K5"),
            ("a point with the ventricle's label", [lv, point | {"label": "LV"}], mask, "point", "K5"),
            ("a line with the ventricle's label", [lv, line | {"label": "LV"}], mask, "line", "K5"),
            ("no shape_type", [{k: v for k, v in lv.items() if k != "shape_type"}], mask, "shape", "K5"),
            (f"a mask shape of {kind}", [masked], mask, f"mask|{patches[kind][0]}", "K4"),
            ("the first point again at the end", [lv | {"points": [*lv["points"], lv["points"][0]]}], mask, "x", "K5"),
            ("a number for a label beside it", [lv, lv | {"label": 7, "points": hole}], mask, "label|text", "K5"),
            ("no label beside it", [lv, lv | {"label": None, "points": hole}], mask, "label|text", "K5"),
        ),
    )
    write_labelme(root, "p1_a", truth, drawn)
    true = [truth.unscaled()._replace(mask=shown)]
    return Case(category, f"LabelMe: {name}", "labelme", root, true, words)


def mask_box(mask: np.ndarray) -> tuple[slice, slice]:
    places = np.argwhere(mask)
    (top, left), (bottom, right) = places.min(axis=0) - 12, places.max(axis=0) + 13
    height, width = mask.shape
    return slice(max(int(top), 0), min(int(bottom), height)), slice(max(int(left), 0), min(int(right), width))


LABELS = ("LV", "lv ", "Left Ventricle", "left_ventricle", "LV endo", "LV-ENDO", "LVendo", "endocardium",
          "LV cavity", "左心室", "左室", "左心室内膜", "ventriculo izquierdo", "ventrículo izquierdo", "LVED",
          "LV_ED", "LV_ES", "lv1", "Left Ventricle (LV)", "LV endocardium", "VI", "心内膜")  # fmt: skip


def labels(rng: np.random.Generator, root: Path) -> Case:
    """Names that people give the ventricle: known, or asked for."""
    truth, label = heart(rng), pick(rng, LABELS)
    write_labelme(root, "p1_a", truth, [shape(truth, label)])
    return Case("K5", f"labelled {label!r}", "labelme", root, _set([truth]), "lv_labels|label it|list its label")


def where(rng: np.random.Generator, root: Path) -> Case:
    """imagePath as other machines write it."""
    truth = heart(rng)
    inside = root / "p1"
    named = pick(
        rng,
        (
            "C:\\Users\\a\\data\\a.png",
            "/home/a/data/a.png",
            "A.PNG",
            ".\\a.png",
            "a.jpg",
            "../images/a.png",
            "\\\\server\\share\\a.png",
            "a%20b.png",
        ),
    )
    on_disk = {"../images/a.png": root / "images" / "a.png", "a%20b.png": inside / "a b.png"}
    save(on_disk.get(named, inside / "a.png"), truth.image)
    write_text(inside / "a.json", json.dumps(labelme(truth, named)))
    words = "imagePath|beside|picture|no such|is named|isn't there|folder"
    return Case("K5", f"imagePath {named}", "labelme", root, _set([truth]), words, damaged=named == "a.jpg")


def data_inside(rng: np.random.Generator, root: Path) -> Case:
    """imageData as other tools write it."""
    truth = heart(rng)
    plain = base64.b64encode(encoded(truth.image)).decode()
    wide = base64.b64encode(encoded(truth.image.astype(np.uint16) * 257)).decode()
    webp = base64.b64encode(encoded(Image.fromarray(truth.image).convert("RGB"), "WEBP", lossless=True)).decode()
    name, data = pick(
        rng,
        (
            ("lines of 76 characters", base64.encodebytes(encoded(truth.image)).decode()),
            ("with a data: address before it", f"data:image/png;base64,{plain}"),
            ("WebP", webp),
            ("16 bits", wide),
            ("without padding", plain.rstrip("=")),
            ("in the web's alphabet", plain.replace("+", "-").replace("/", "_")),
        ),
    )
    write_text(root / "p1_a.json", json.dumps(labelme(truth, None, imageData=data)))
    words = "imageData|webp|bit|depth|base64|picture"
    return Case("K5", f"imageData: {name}", "labelme", root, _set([truth]), words)


# Text


CODINGS = ("utf-8-sig", "utf-16", "utf-16-le with mark", "utf-16-be with mark", "gb18030", "latin-1", "cp1252")


def write_coded(path: Path, text: str, coding: str, newline: str = "\n") -> None:
    if coding.endswith(" with mark"):
        coding, text = coding.split(" ")[0], f"\ufeff{text}"
    write_text(path, text, coding, newline)


def coded_json(rng: np.random.Generator, root: Path) -> Case:
    truth, coding = heart(rng), pick(rng, CODINGS)
    picture = {"gb18030": "心脏.png", "latin-1": "corazón.png", "cp1252": "Größe.png"}.get(coding, "é心.png")
    label = {"gb18030": "左心室"}.get(coding, "LV")
    save(root / picture, truth.image)
    content = labelme(truth, picture, [shape(truth, label)], flags={picture: True})
    newline = pick(rng, ("\n", "\r\n"))
    write_coded(root / "p1_a.json", json.dumps(content, ensure_ascii=False, indent=1), coding, newline)
    words = "encod|character|utf|text"
    return Case("K6", f"JSON in {coding}", "labelme", root, _set([truth]), words)


def coded_list(rng: np.random.Generator, root: Path) -> Case:
    truth, coding = heart(rng), pick(rng, CODINGS)
    label = {"gb18030": "我的心室", "latin-1": "cavité", "cp1252": "cavité"}.get(coding, "mine 我")
    write_labelme(root, "p1_a", truth, [shape(truth, label)])
    text = f"{label}\nother\n" if rng.random() < 0.5 else f"other\n{label}"
    write_coded(root / "lv_labels.txt", text, coding, pick(rng, ("\n", "\r\n")))
    words = "lv_labels.*(encod|character|utf|text)|(encod|character|utf|text).*lv_labels"
    return Case("K6", f"lv_labels.txt in {coding}", "labelme", root, _set([truth]), words)


def coded_patients(rng: np.random.Generator, root: Path) -> Case:
    """patients.csv as Excel saves it."""
    truths, lines = [], ["file,patient"]
    coding = pick(rng, ("utf-8", "utf-8-sig", "utf-16", "gb18030", "latin-1"))
    who = {"gb18030": "王", "latin-1": "José"}.get(coding, "é王")
    if coding == "utf-8":
        who = "x"
    for number in range(4):
        truth = pick(rng, hearts()[number // 2])
        name = f"{number:04d}.png"
        write_pair(root, f"{number:04d}", truth)
        lines.append(f"{name},{who}{number // 2}")
        truths.append(truth.unscaled())
    write_coded(root / "patients.csv", "\n".join(lines) + "\n", coding, pick(rng, ("\n", "\r\n")))
    words = "patients.csv.*(encod|character|utf|text|latin|gb)"
    return Case("K6", f"patients.csv in {coding}", "images", root, truths, words, patients=("a", "a", "b", "b"))


# One among many


def labelme_among(rng: np.random.Generator, root: Path) -> Case:
    goods = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(goods):
        write_labelme(root, f"p{number}_a", truth)
    truth, odd = heart(rng), root / "q_odd.json"
    content: Any = labelme(truth, "p0_a.png")
    coco = {"images": [{"file_name": "p0_a.png"}], "annotations": [], "categories": [{"name": "LV"}]}
    geo = {"type": "FeatureCollection", "features": []}
    name, content = pick(
        rng,
        (
            ("is COCO's", coco),
            ("is no LabelMe file but a map", geo),
            ("is a list", [1, 2]),
            ("has no shapes", content | {"shapes": []}),
            ("labels another chamber", content | {"shapes": [shape(truth, "left atrium")]}),
            ("names a picture that isn't there", content | {"imagePath": "gone.png"}),
            ("holds a split", {"kind": "patient", "fold": 0, "train": [], "test": []}),
            ("has two points", content | {"shapes": [shape(truth, points=[[1, 1], [5, 5]])]}),
            ("is cut off", None),
        ),
    )
    text = json.dumps(content) if content is not None else json.dumps(labelme(truth, "p0_a.png"))[:-40]
    write_text(odd, text)
    return Case("K7", f"one JSON of four {name}", "labelme", root, _set(goods), "q_odd", among=True, damaged=True)


def pair_among(rng: np.random.Generator, root: Path) -> Case:
    goods = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(goods):
        write_pair(root, f"p{number}_a", truth)
    truth = heart(rng)
    name = pick(rng, ("no mask", "a mask of another size", "an empty file for a mask", "a text file for a picture"))
    write_pair(root, "q_odd", truth)
    mask = root / "q_odd_mask.png"
    if name == "no mask":
        mask.unlink()
    elif name == "a mask of another size":
        save(mask, white(truth.mask)[:-4])
    elif name == "an empty file for a mask":
        mask.write_bytes(b"")
    else:
        (root / "q_odd.png").write_text("moved to the archive\n")
    return Case("K7", f"one pair of four has {name}", "images", root, _set(goods), "q_odd", among=True, damaged=True)


# Patients


def hidden(rng: np.random.Generator, root: Path) -> Case:
    """Two views or phases of each heart, in names from which nobody could tell the patient."""
    form, rule = pick(
        rng,
        (
            ("{view}_{phase}_{heart}", "the view stands first"),
            ("{phase}_{view}_{heart}", "the phase stands first"),
            ("frame_{heart}_{phase}", "a word stands first"),
            ("img{number}", "numbers alone"),
            ("{number:04d}", "numbers alone"),
            ("{view}/{heart}_{phase}", "a folder a view"),
            ("{phase}/{heart}", "a folder a phase"),
            ("train/{heart}_{phase}", "a folder a side"),
            ("{heart}-{phase}", "joined by a hyphen"),
        ),
    )
    door = pick(rng, ("images", "labelme"))
    named = []
    for one in range(3):
        for phase, truth in (("ED", hearts()[one][0]), ("ES", hearts()[one][3])):
            name = form.format(view="ch4", phase=phase, heart=one, number=len(named))
            named.append((name, truth.unscaled(), f"heart{one}"))
            write_pair(root, name, truth) if door == "images" else write_labelme(root, name, truth)
    named.sort(key=lambda item: item[0].replace("/", "_"))
    words = "guess|patients? (is|are|were|was)? ?(taken|read|made|known|stated)|patients.csv|--patients"
    _, truths, patients = zip(*named, strict=True)
    fault = f"{door}: {rule}, as in {named[0][0]}"
    return Case("K8", fault, door, root, truths, words, patients=patients, readable=False)


def labels_apart(rng: np.random.Generator, root: Path) -> Case:
    """LabelMe's output folder beside the pictures, from which three patients can be told by name."""
    truths, patients = [], []
    for patient in range(3):
        for phase, truth in (("ED", hearts()[patient][0]), ("ES", hearts()[patient][3])):
            save(root / "images" / f"p{patient}_{phase}.png", truth.image)
            content = labelme(truth, f"../images/p{patient}_{phase}.png")
            write_text(root / "annotations" / f"p{patient}_{phase}.json", json.dumps(content))
            truths.append(truth.unscaled())
            patients.append(f"p{patient}")
    words = "guess|patients? .*(folder|name)|patients.csv|--patients"
    return Case("K8", "annotations/ beside images/", "labelme", root, truths, words, patients=patients)


def stated(rng: np.random.Generator, root: Path) -> Case:
    """patients.csv states them; sometimes it leaves a file out, or names one that isn't there."""
    lines, truths, patients = ["file,patient"], [], []
    for number in range(4):
        truth = hearts()[number // 2][3 * (number % 2)]
        write_pair(root, f"{number:04d}", truth)
        lines.append(f"{number:04d}.png,h{number // 2}")
        truths.append(truth.unscaled())
        patients.append(f"h{number // 2}")
    fault = pick(rng, ("all of them", "one file left out", "a file that isn't there", "one file twice"))
    if fault == "one file left out":
        lines.pop()
    elif fault == "a file that isn't there":
        lines.append("0009.png,h1")
    elif fault == "one file twice":
        lines.append("0001.png,h1")
    write_text(root / "patients.csv", "\n".join(lines) + "\n")
    telling = fault != "all of them"
    return Case(
        "K8",
        f"patients.csv: {fault}",
        "images",
        root,
        truths,
        r"patients\.csv:",
        patients=patients,
        readable=not telling,
    )


# Sound


def sound_labelme(rng: np.random.Generator, root: Path) -> Case:
    truths, patients = [], []
    inside, folders = rng.random() < 0.5, rng.random() < 0.5
    for number, phases in enumerate(hearts()[:3]):
        truth = pick(rng, phases)
        name = f"p{number}/a_4CH_ED" if folders else f"p{number}_4CH_ED"
        label = pick(rng, ("LV", "left ventricle", "LV endo", "endocardium"))
        drawn = [shape(truth, label)]
        if rng.random() < 0.3:
            box = mask_box(truth.mask)
            corners = [[box[1].start, box[0].start], [box[1].stop - 1, box[0].stop - 1]]
            patch = base64.b64encode(encoded(truth.mask[box])).decode()
            drawn = [shape(truth, label, shape_type="mask", points=corners, mask=patch)]
        if rng.random() < 0.3:
            drawn.append(shape(truth, "left atrium", points=[[5, 5], [20, 5], [20, 20]]))
        if inside:
            write_text(root / f"{name}.json", json.dumps(labelme(truth, None, drawn)))
        else:
            write_labelme(root, name, truth, drawn)
        truths.append(truth.unscaled())
        patients.append(f"p{number}")
    return Case("K5", "", "labelme", root, truths, patients=patients)


def sound_list(rng: np.random.Generator, root: Path) -> Case:
    """A label of one's own, listed."""
    truth = heart(rng)
    made(root / "lv_labels.txt").write_text("cavum\nventrikel\n")
    write_labelme(root, "p1_a", truth, [shape(truth, pick(rng, ("cavum", "Ventrikel")))])
    return Case("K6", "", "labelme", root, _set([truth]))


FAULTS: list[Maker] = [
    turned,
    turned,
    resized,
    resized,
    impossible,
    shapes,
    shapes,
    labels,
    where,
    data_inside,
    coded_json,
    coded_json,
    coded_list,
    coded_patients,
    labelme_among,
    labelme_among,
    pair_among,
    hidden,
    hidden,
    hidden,
    labels_apart,
    stated,
]
SOUND: list[Maker] = [sound_labelme, sound_labelme, sound_list]
