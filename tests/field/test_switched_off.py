"""Each rule is what makes a file come out right or be told of: with the rule switched off, it no longer does.

For each kind of fault three formats. Other modules show the same for what can't be (`test_plausible`), for geometry
(`test_dicom_regions`, `test_volume_geometry`) and for networks made elsewhere (`test_foreign_networks`).
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import PIL.ImageFile
import pytest
from PIL import Image
from pydicom.uid import MPEG4HP41

from benchmarks.fuzz_readers import (
    CORNERS,
    PICTURE,
    png,
    write_camus,
    write_camus_cine,
    write_dicom,
    write_echonet,
    write_labelme,
    write_nifti,
    write_picture,
    write_video,
)
from lvseg.data import splits
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.evaluation import compare_folders
from lvseg.readers import camus, common, dicom, echonet, images, labelme, open_path, video, volumes
from tests.field.dicom_support import jpeg, write_compressed, write_jpeg
from tests.readers.support import SQUARE

ONE = SQUARE.astype(np.uint8)


def refusal(action: Callable[[], Any]) -> str:
    """The sentence by which `action` is refused; "" where it isn't."""
    try:
        action()
    except DataError as error:
        return str(error)
    return ""


def reading(path: Path) -> str:
    return refusal(lambda: [frame.read() for frame in open_path(path)])


def outcomes(spec: str) -> dict[str, str]:
    """By frame of a data set, why it is refused; empty where the whole set is."""
    try:
        return {frame.name: refusal(frame.read) for frame in open_source(spec)}
    except DataError:
        return {}


# The library's word


def turned_jpeg(root: Path) -> bool:
    """It has as many pixels as the header says, but as 32 x 24; every decoder gives them."""
    return "compressed frames have 32 x 24" in reading(write_jpeg(root / "a", [PICTURE.T], Rows=24, Columns=32))


def renamed_nifti(root: Path) -> bool:
    """A header of the wrong length, which nibabel mends in silence."""
    path = write_nifti(root / "a.nii", PICTURE)
    path.write_bytes(b"text" + path.read_bytes()[4:])
    return "doesn't begin as a NIfTI file does" in reading(path)


def cut_jpeg(root: Path) -> bool:
    """Pillow can be told to fill what is missing with grey."""
    (root / "a.jpg").write_bytes(jpeg(np.kron(PICTURE, np.ones((9, 9), np.uint8)))[:-4000])
    return "can't be read" in reading(root / "a.jpg")


def cut_video(root: Path) -> bool:
    """FFmpeg fills what is missing of the last frame."""
    path = write_video(root / "a.avi", [20, 60, 100])
    path.write_bytes(path.read_bytes()[:-700])
    return "is cut short" in reading(path)


# One meaning of a mask


def ones_beside_a_picture(root: Path) -> bool:
    write_picture(root / "a.png")
    write_picture(root / "a_mask.png", ONE)
    return bool((open_source(f"images:{root}")[0].read().mask == SQUARE).all())


def ones_in_labelme(root: Path) -> bool:
    patch = {"label": "LV", "shape_type": "mask", "points": [[4, 3], [13, 10]]}
    write_labelme(root / "a.json", [patch | {"mask": base64.b64encode(png(np.ones((8, 10), np.uint8))).decode()}])
    return bool((open_source(f"labelme:{root}")[0].read().mask == SQUARE).all())


def ones_against_a_palette(root: Path) -> bool:
    write_picture(root / "predicted" / "a.tif", ONE)
    green = Image.fromarray(ONE, "P")
    green.putpalette([0, 0, 0, 0, 200, 0])
    (root / "true").mkdir()
    green.save(root / "true" / "a.png")
    return compare_folders(root / "predicted", root / "true")[0].dice[0] == 1


def above_half(path: Path, layer: np.ndarray, lossy: bool) -> tuple[np.ndarray, str]:
    """What many programs take for inside."""
    return (layer if layer.ndim == 2 else layer.max(axis=2)) > 127, ""


# Sentences


def pdf(root: Path) -> bool:
    (root / "a.png").write_bytes(b"%PDF-1.7\n")
    return reading(root / "a.png").endswith("it holds a PDF document; save the picture as PNG")


def no_shapes(root: Path) -> bool:
    (root / "a.json").write_text(json.dumps({"imagePath": "a.png", "regions": []}))
    said = outcomes(f"labelme:{root}")["a"]
    return "as it holds imagePath, regions; save it anew in LabelMe" in said


def cut_nifti(root: Path) -> bool:
    path = write_nifti(root / "a.nii", PICTURE)
    path.write_bytes(path.read_bytes()[:90])
    return "doesn't begin as a NIfTI file does" in reading(path)


def mpeg(root: Path) -> bool:
    path = write_compressed(root / "a", [bytes(500)], MPEG4HP41, np.dstack([PICTURE] * 3), "RGB")
    return "holds an MPEG-4 video" in reading(path)


class Never(Exception):
    """What no parser raises."""


# Text


def annotation_in_gb18030(root: Path) -> bool:
    path = write_labelme(root / "a.json", [{"label": "左心室", "points": CORNERS}])
    path.write_bytes(json.dumps(json.loads(path.read_text()), ensure_ascii=False).encode("gb18030"))
    return outcomes(f"labelme:{root}") == {"a": ""}


def facts_in_latin_1(root: Path) -> bool:
    info = write_camus(root) / "Info_4CH.cfg"
    info.write_bytes("EF: 54\nImageQuality: Médiocre\n".encode("cp1252"))
    return open_source(f"camus:{root}")[0].facts.get("quality") == "Médiocre"


def table_in_utf_16(root: Path) -> bool:
    table = write_echonet(root) / "FileList.csv"
    table.write_bytes(table.read_text().encode("utf-16"))
    return len(outcomes(f"echonet:{root}")) == 4


def utf_8_alone(data: bytes) -> str:
    return "utf-8"


# One bad item


def bad_video(root: Path) -> bool:
    write_video(root / "a.avi", [20, 60])
    (root / "b.mp4").write_text("#EXTM3U")
    return [bool(said) for said in outcomes(f"video:{root}").values()] == [False, False, True]


def bad_dicom(root: Path) -> bool:
    write_dicom(root / "p1" / "a", PICTURE)
    write_dicom(root / "p2" / "b", PICTURE, PhotometricInterpretation="CMYK")
    return [bool(said) for said in outcomes(f"dicom:{root}").values()] == [False, True]


def bad_sequence(root: Path) -> bool:
    write_camus_cine(root)
    other = root / "patient0002" / "patient0002_4CH_half_sequence.nii.gz"
    other.parent.mkdir()
    other.write_bytes(b"\x1f\x8b nothing")
    return [bool(said) for said in outcomes(f"camus_cine:{root}").values()] == [False, False, False, True]


def doubled_row(root: Path) -> bool:
    table = write_echonet(root) / "FileList.csv"
    table.write_text(table.read_text() + "0XA.avi,55,45,100,112,112,50,4,TEST\n")
    return [bool(said) for said in outcomes(f"echonet:{root}").values()] == [True, True, False, False]


def raising(_: object, error: DataError) -> NoReturn:
    raise error


def refusing(root: Path, path: Path, told: Any) -> list:
    if told.refusal:
        raise DataError(told.refusal)
    return _frames(root, path, told)


_frames = dicom._frames


# Patients


def doubted(spec: str, word: str) -> bool:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        splits.split_frames(open_source(spec))
    return any(word in str(one.message) for one in said if one.category is DataWarning)


def named_after_views(root: Path) -> bool:
    for name in ("ch2_0", "ch2_1", "ch4_0", "ch4_1"):
        write_picture(root / f"{name}.png")
        write_picture(root / f"{name}_mask.png", ONE)
    return doubted(f"images:{root}", "patients ch2, ch4 look like views")


def in_folders_of_phases(root: Path) -> bool:
    for phase in ("ED", "ES"):
        write_labelme(root / phase / "p1.json")
    return doubted(f"labelme:{root}", "patients ED, ES look like")


def numbered(root: Path) -> bool:
    for number in range(3):
        write_dicom(root / f"000{number}", PICTURE)
    return doubted(f"dicom:{root}", "each file is taken for a patient of its own")


class Rule(NamedTuple):
    """good: makes the file in an empty folder and says whether it comes out as it should. The rest: the switch."""

    good: Callable[[Path], bool]
    module: Any
    name: str
    off: Any


RULES = {
    "library's word, DICOM": Rule(turned_jpeg, dicom, "_check_shape", lambda *_: None),
    "library's word, NIfTI": Rule(renamed_nifti, volumes, "_nifti_kind", lambda *_: volumes.nibabel.Nifti1Image),
    "library's word, JPEG": Rule(cut_jpeg, PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    "library's word, AVI": Rule(cut_video, video, "_declared_bytes", lambda *_: 0),
    "mask, PNG": Rule(ones_beside_a_picture, images, "_two_sides", above_half),
    "mask, LabelMe": Rule(ones_in_labelme, images, "_two_sides", above_half),
    "mask, TIFF and a palette": Rule(ones_against_a_palette, images, "_two_sides", above_half),
    "sentence, picture": Rule(pdf, images, "UnidentifiedImageError", Never),
    "sentence, LabelMe": Rule(no_shapes, labelme, "_content", lambda path: json.loads(path.read_text())),
    "sentence, NIfTI": Rule(cut_nifti, volumes, "WrapStructError", Never),
    "sentence, DICOM": Rule(mpeg, dicom, "_VIDEOS", {}),
    "text, JSON in GB18030": Rule(annotation_in_gb18030, common, "_encoding", utf_8_alone),
    "text, cfg in Latin-1": Rule(facts_in_latin_1, common, "_encoding", utf_8_alone),
    "text, csv in UTF-16": Rule(table_in_utf_16, common, "_encoding", utf_8_alone),
    "one bad item, video": Rule(bad_video, video, "unusable", raising),
    "one bad item, DICOM": Rule(bad_dicom, dicom, "_frames", refusing),
    "one bad item, NIfTI": Rule(bad_sequence, camus, "unusable", raising),
    "one bad item, csv": Rule(doubled_row, echonet, "unusable", raising),
    "patients, pictures": Rule(named_after_views, splits, "doubtful_patients", lambda frames: None),
    "patients, LabelMe": Rule(in_folders_of_phases, splits, "doubtful_patients", lambda frames: None),
    "patients, DICOM": Rule(numbered, splits, "doubtful_patients", lambda frames: None),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RULES)
def test_it_comes_out_right_by_the_rule_alone(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULES[name]
    for side in ("on", "off"):
        (tmp_path / side).mkdir()
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "cache"))
    assert rule.good(tmp_path / "on")
    monkeypatch.setattr(rule.module, rule.name, rule.off)
    assert not rule.good(tmp_path / "off")
