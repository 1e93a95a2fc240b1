"""Damaged and hostile files of every format: each must be read right or refused in one sentence, in bounded time.

A case is a small data set with something wrong in it (`make_case`); `complaint` puts it through `lvseg data check` and
the readers and says what is bad about the outcome, if anything. `sweep` does so in a process of its own, whose memory
is bounded and which is killed where it hangs. The tests use the same data sets and run some hundred of the cases.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.examples import get_path
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, UltrasoundImageStorage
from scipy import stats

from benchmarks.real_data import CAMUS, CAMUS_MHD
from benchmarks.table import row
from lvseg import cli
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import Pixels

SECONDS = 120
"""When a case counts as hanging. The dearest, 256 MiB unpacked, takes four, on a busy machine forty."""
BYTES = 2**30
"""What all cases together may add to the memory of a process that has loaded the readers."""

PICTURE = np.random.default_rng(7).integers(0, 256, (24, 32), np.uint8)  # no square: an axis swap can't go unseen
CORNERS = [[4, 3], [14, 3], [14, 11], [4, 11]]


# Whole files


def write_picture(path: Path, values: np.ndarray = PICTURE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def write_nifti(path: Path, upright: np.ndarray, spacing: tuple[float, ...] = (0.3, 0.2)) -> Path:
    """Write `upright` (height, width[, frames]) as CAMUS does: stored (x, y), spacing given as (x, y)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.swapaxes(upright, 0, 1), np.eye(4))
    image.header.set_zooms((*spacing, 1.0)[: upright.ndim])
    nibabel.save(image, path)
    return path


def write_mhd(path: Path, values: np.ndarray) -> Path:
    """A MetaImage of 0.308 x 0.154 mm pixels with its `.raw` file."""
    height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".raw").write_bytes(values.tobytes())
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        f"ElementSpacing = 0.308 0.154 1.54\nDimSize = {width} {height} 1\nElementType = MET_UCHAR\n"
        f"ElementDataFile = {path.stem}.raw\n"
    )
    return path


def write_camus(root: Path, patient: str = "patient0001", view: str = "4CH", ending: str = ".nii.gz") -> Path:
    labels = np.zeros(PICTURE.shape, np.uint8)
    labels[4:12, 5:15], labels[12:16, 5:15], labels[18:20, 5:15] = 1, 2, 3
    for phase in ("ED", "ES"):
        for name, values in ((phase, PICTURE), (f"{phase}_gt", labels)):
            path = root / patient / f"{patient}_{view}_{name}{ending}"
            write_mhd(path, values) if ending == ".mhd" else write_nifti(path, values)
    (root / patient / f"Info_{view}.cfg").write_text(
        "ED: 1\nES: 3\nNbFrame: 3\nSex: F\nAge: 56\nImageQuality: Good\nLVedv: 94.0\nLVesv: 34.6\nLVef: 63.2\n"
    )
    return root / patient


def write_camus_cine(root: Path) -> Path:
    """A half sequence of three frames, each one pixel further to the right."""
    name = root / "patient0001" / "patient0001_4CH_half_sequence"
    cine = np.stack([np.roll(PICTURE, shift, axis=1) for shift in range(3)], axis=-1)
    write_nifti(name.with_suffix(".nii.gz"), cine)
    write_nifti(name.with_name(f"{name.name}_gt.nii.gz"), (cine > 128).astype(np.uint8))
    (name.parent / "Info_4CH.cfg").write_text("ED: 1\nES: 3\nNbFrame: 3\n")
    return name.parent


def write_labelme(path: Path, shapes: list[dict] | None = None, **fields: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": [{"label": "LV", "shape_type": "polygon", "points": CORNERS}] if shapes is None else shapes,
        "imagePath": "x.png",
        "imageData": base64.b64encode(png(PICTURE)).decode(),
        "imageHeight": 24,
        "imageWidth": 32,
    }
    path.write_text(json.dumps(content | fields), encoding="utf-8")
    return path


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def png_bomb() -> bytes:
    """A PNG of some hundred bytes that declares 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = (60_000).to_bytes(4) * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000)))


@cache
def gzip_bomb() -> bytes:
    """Some hundred kilobytes that unpack to 512 MiB of a NIfTI file."""
    return gzip.compress(write_nifti(Path(tempfile.mkdtemp()) / "a.nii", PICTURE).read_bytes() + bytes(2**29))


def write_masked(root: Path, ending: str) -> Path:
    write_picture(root / "p1_a_mask.png", np.pad(np.full((8, 10), 255, np.uint8), ((4, 12), (5, 17))))
    return write_picture(root / f"p1_a{ending}")


def write_video(path: Path, levels: list[int], codec: str = "MJPG") -> Path:
    """A video of 50 frames a second whose frame i has the grey level levels[i] everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 50.0, (112, 112))
    assert writer.isOpened()
    for level in levels:
        writer.write(np.full((112, 112, 3), level, np.uint8))
    writer.release()
    return path


def write_dicom(path: Path, pixels: np.ndarray, colour: str = "MONOCHROME2", **tags: object) -> Path:
    """A DICOM that names a patient; pixels (rows, columns), (frames, rows, columns) or (rows, columns, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UltrasoundImageStorage, "1.2.3"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = UltrasoundImageStorage, "1.2.3"
    data.PatientName, data.PatientID, data.PatientBirthDate = "Doe^Jane", "MRN-4711", "19700101"
    data.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    frames = pixels.shape[:1] if pixels.ndim == 3 and data.SamplesPerPixel == 1 else ()
    data.Rows, data.Columns = pixels.shape[len(frames) : len(frames) + 2]
    if frames:
        data.NumberOfFrames = frames[0]
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = colour
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)
    return path


def write_rle(path: Path) -> None:
    data = pydicom.dcmread(write_dicom(path, np.stack([PICTURE, 255 - PICTURE])))
    data.compress(RLELossless)
    data.save_as(path)


def region(dy: float, dx: float, form: int = 1, units: int = 3) -> Dataset:
    """An ultrasound region; dy, dx: the size of a pixel, in cm where form and units are the usual."""
    data = Dataset()
    data.RegionSpatialFormat, data.PhysicalDeltaX, data.PhysicalDeltaY = form, dx, dy
    data.PhysicalUnitsXDirection = data.PhysicalUnitsYDirection = units
    return data


def write_echonet(root: Path) -> Path:
    """Two traced videos and an untraced one; frame 3 of the first has a larger ventricle than frame 1."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "FileList.csv").write_text(
        "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
        "0XB,60,40,100,112,112,50,4,VAL\n0XA,55,45,100,112,112,50,4,TRAIN\n0XC,55,45,100,112,112,50,4,TEST\n"
    )
    rows = ["FileName,X1,Y1,X2,Y2,Frame"]
    for name in ("0XB", "0XA"):
        for frame, half in ((1, 10), (3, 20)):
            rows.append(f"{name}.avi,50,5,50,95,{frame}")  # the long axis: no part of the outline
            rows += [
                f"{name}.avi,{50 - half - 0.5},{y - 0.5},{50 + half - 0.5},{y - 0.5},{frame}" for y in range(20, 81, 3)
            ]
    (root / "VolumeTracings.csv").write_text("\n".join(rows) + "\n")
    for name in ("0XA", "0XB", "0XC"):
        write_video(root / "Videos" / f"{name}.avi", [20, 60, 100, 140])
    return root


def write_pediatric(root: Path) -> Path:
    """One child, a video in each view, each traced once and without a systolic tracing."""
    for view, name in (("A4C", "CR1-CR2-000039"), ("PSAX", "CR1-CR2-000041")):
        folder = root / view
        write_video(folder / "Videos" / f"{name}.avi", [20, 60, 100])
        (folder / "FileList.csv").write_text(f"FileName,EF,Sex,Age,Weight,Height,Split\n{name}.avi,61,F,3,14,95,7\n")
        rows = [f"{name}.avi,{x},{y},2" for x, y in ((9.5, 19.5), (39.5, 19.5), (39.5, 59.5), (9.5, 59.5))]
        rows.append(f"{name}.avi,1.0,1.0,No Systolic")
        (folder / "VolumeTracings.csv").write_text("\n".join(["FileName,X,Y,Frame", *rows]) + "\n")
    return root


def copy_real(root: Path, release: Path, ending: str) -> None:
    """A frame of a real CAMUS patient, for measuring only."""
    for path in release.rglob(f"patient0002_4CH_ED*{ending}"):
        shutil.copy(path, root)


SOURCES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "camus .nii.gz": ("camus", write_camus),
    "camus .nii": ("camus", lambda root: write_camus(root, ending=".nii")),
    "camus .mhd": ("camus", lambda root: write_camus(root, ending=".mhd")),
    "camus_cine": ("camus_cine", write_camus_cine),
    "labelme": ("labelme", lambda root: write_labelme(root / "p1" / "a.json")),
    "png": ("images", lambda root: write_masked(root, ".png")),
    "jpeg": ("images", lambda root: write_masked(root, ".jpg")),
    "tiff": ("images", lambda root: write_masked(root, ".tif")),
    "bmp": ("images", lambda root: write_masked(root, ".bmp")),
    "dicom": ("dicom", lambda root: write_dicom(root / "a", PICTURE, SequenceOfUltrasoundRegions=[region(0.05, 0.05)])),
    "dicom cine": ("dicom", lambda root: write_dicom(root / "a", np.stack([PICTURE, 255 - PICTURE]), FrameTime=20)),
    "dicom rle": ("dicom", lambda root: write_rle(root / "a")),
    "dicom jpeg": ("dicom", lambda root: shutil.copy(get_path("ybr_color"), root / "a")),
    "dicom jpeg 2000": ("dicom", lambda root: shutil.copy(get_path("jpeg2k"), root / "a")),
    "dicom palette": ("dicom", lambda root: shutil.copy(get_path("palette_color"), root / "a")),
    "avi": ("video", lambda root: write_video(root / "a.avi", [20, 60, 100])),
    "mp4": ("video", lambda root: write_video(root / "a.mp4", [20, 60, 100], "mp4v")),
    "echonet": ("echonet", write_echonet),
    "pediatric": ("pediatric", write_pediatric),
}
if CAMUS.is_dir():
    SOURCES["real .nii.gz"] = ("camus", lambda root: copy_real(root, CAMUS, ".nii.gz"))
if CAMUS_MHD.is_dir():
    SOURCES["real .mhd"] = ("camus", lambda root: copy_real(root, CAMUS_MHD, ""))


# Damage. Each function spoils one file of a data set and says what may come of it:
ANY = "anything valid, or a refusal"
WHOLE = "the original's pixels, or a refusal"
REFUSED = "a refusal"
ACCEPTED = "anything valid, without a refusal"

_TEXTS = (".csv", ".json", ".cfg", ".mhd", ".txt")
_HOSTILE = ("NaN", "-1", "0", "1e308", "inf", "99999999999999999999", "2.5", "", "x", "65536", "-0.3", "１２")


def cut(path: Path, rng: np.random.Generator) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(0, len(data))])
    return ANY if path.suffix in _TEXTS else WHOLE


def turn_bits(path: Path, rng: np.random.Generator) -> str:
    """A few bytes changed, mostly near the start, where the headers are."""
    data = bytearray(path.read_bytes())
    reach = min(len(data), int(rng.choice([64, 400, len(data)])))
    for place in rng.integers(0, reach, rng.integers(1, 6)):
        data[place] = rng.choice([0, 255, 127, data[place] ^ (1 << rng.integers(8))])
    path.write_bytes(data)
    return ANY


def shift(path: Path, rng: np.random.Generator) -> str:
    """Some bytes left out or put in between."""
    data = path.read_bytes()
    place, length = rng.integers(0, len(data)), rng.integers(1, 64)
    more = rng.bytes(length) if rng.random() < 0.5 else b""
    path.write_bytes(data[:place] + more + data[place + (0 if more else length) :])
    return ANY


def replace(path: Path, rng: np.random.Generator) -> str:
    """Other bytes under its name: nothing, text, a zip, a picture, a play list, zeros."""
    other = [b"", b"hello\n", b"PK\x03\x04" + bytes(60), png(PICTURE), b"#EXTM3U\nfile:///etc/passwd\n", bytes(5000)]
    path.write_bytes(other[rng.integers(len(other))])
    return ANY


def blow_up(path: Path, rng: np.random.Generator) -> str:
    """Two GiB long by a hole in the file, after its own bytes or without them."""
    with path.open("r+b" if rng.random() < 0.5 else "wb") as file:
        file.truncate(2**31)
    return ANY


def misplace(path: Path, rng: np.random.Generator) -> str:
    """A folder, a pipe, a dangling or endless link in its place, or nothing."""
    path.unlink()
    trick = rng.integers(5)
    if trick == 0:
        path.mkdir()
    elif trick == 1:
        os.mkfifo(path)
    elif trick == 2:
        path.symlink_to(path.with_name("nowhere"))
    elif trick == 3:
        path.symlink_to(path)
    return ANY


def edit_text(path: Path, rng: np.random.Generator) -> str:
    """A number made hostile, a line doubled, dropped or renamed, another encoding."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    line = int(rng.integers(len(lines)))
    trick = rng.integers(7)
    if trick < 3:
        numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
        number = numbers[rng.integers(len(numbers))]
        text = text[: number.start()] + str(rng.choice(_HOSTILE)) + text[number.end() :]
    elif trick == 3:
        text = "".join(lines[:line] + lines[line + 1 :])
    elif trick == 4:
        text = "".join(lines[: line + 1] + lines[line:])
    elif trick == 5:
        words = re.findall(r"[A-Za-z]\w+", text)
        text = text.replace(words[rng.integers(len(words))], str(rng.choice(["Q", "", "\0", "FileName", "é"])))
    path.write_bytes(text.encode("utf-16" if trick == 6 else "utf-8"))
    return ANY


def edit_labelme(path: Path, rng: np.random.Generator) -> str:
    """Paths out of the folder, bombs, and fields that can't be."""
    (path.parents[2] / "secret.png").write_bytes(png(PICTURE))
    (path.parent / "link.png").symlink_to(path.parents[2] / "secret.png")
    os.mkfifo(path.parent / "pipe.png")
    outside = [
        "../../secret.png",
        "/etc/passwd",
        "C:\\x.png",
        "\\\\host\\x.png",
        "link.png",
        "..",
        "pipe.png",
        "a" * 5000,
    ]
    square = {"label": "LV", "points": CORNERS}
    fields: list[dict[str, Any]] = [
        *({"imageData": None, "imagePath": name} for name in (*outside, None, 7, "", "\0", {"a": 1})),
        {"imageData": base64.b64encode(png_bomb()).decode()},
        {"imageData": base64.b64encode(bytes(2**20)).decode()},
        {"imageData": "A" * 2**20 + "!"},
        {"imageData": "A" * 2**25},
        {"imageData": 7},
        {"shapes": [square] * 20_000},
        {"shapes": [square | {"points": CORNERS * 50_000}]},
        {"shapes": [square | {"points": CORNERS[:2]}]},
        {"shapes": [square | {"points": [[float("nan"), 1]] * 3}]},
        {"shapes": [square | {"points": [[1e9, 1]] * 3}]},
        {"shapes": [square | {"points": "many"}]},
        {"shapes": [square | {"shape_type": "point"}]},
        {"shapes": [square | {"shape_type": "mask", "mask": base64.b64encode(png_bomb()).decode()}]},
        {"shapes": [square | {"shape_type": "mask", "points": [[9, 9], [9999, 9999]], "mask": "AAAA"}]},
        {"shapes": [square | {"label": None}]},
        {"shapes": []},
        {"shapes": 7},
    ]
    write_labelme(path, **fields[rng.integers(len(fields))])
    if rng.random() < 0.05:
        path.write_text("[" * 100_000)
    return REFUSED


def edit_nifti(path: Path, rng: np.random.Generator) -> str:
    """A field of the header made hostile: dimensions, type, pixel sizes, offset, scale; or a gzip bomb."""
    packed = path.suffix == ".gz"
    if packed and rng.random() < 0.02:
        path.write_bytes(gzip_bomb())
        return REFUSED
    data = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    size = rng.random() < 0.25
    if size:  # of a pixel
        bad = np.float32(rng.choice([0, -0.3, np.nan, np.inf, 1e-9, 308]))
        place = 76 + 4 * rng.integers(1, 3)
        data[place : place + 4] = bad.tobytes()
    elif rng.random() < 0.5:
        place = rng.choice([*range(40, 56, 2), 70, 72])
        data[place : place + 2] = np.int16(rng.choice([-1, 0, 1, 2, 3, 25, 4096, 32767, 64, 16, 128, 2304])).tobytes()
    else:
        place = rng.choice([108, 112, 116])
        data[place : place + 4] = np.float32(rng.choice([0, -1, np.nan, np.inf, 1e30, 352, 2.5, 1e-30])).tobytes()
    path.write_bytes(gzip.compress(data) if packed else data)
    return REFUSED if size else ANY


def edit_values(path: Path, rng: np.random.Generator) -> str:
    """A NIfTI of numbers that are neither grey levels nor labels."""
    bad = np.array([np.nan, np.inf, -1, 300, 0.5, 1e30])[rng.integers(6)]
    values = np.zeros(PICTURE.shape, np.float32)
    values[tuple(rng.integers(0, PICTURE.shape))] = bad
    write_nifti(path, values)
    return REFUSED


def edit_mask(path: Path, rng: np.random.Generator) -> str:
    """A mask that is empty or in two parts is one; a full one, other sizes, grey levels and depths are none."""
    path = path.with_name("p1_a_mask.png")
    masks = [np.zeros((24, 32), np.uint8), np.eye(24, 32, dtype=np.uint8) * 255]
    others = [
        np.ones((24, 32), np.uint8),
        np.zeros((32, 24), np.uint8),
        PICTURE,
        PICTURE.astype(np.uint16) * 257,
        np.zeros((1, 1), np.uint8),
    ]
    choice = int(rng.integers(len(masks) + len(others)))
    write_picture(path, [*masks, *others][choice])
    return ACCEPTED if choice < len(masks) else REFUSED


def edit_mhd(path: Path, rng: np.random.Generator) -> str:
    """The pixels in a file elsewhere, in a list, in a link, or in none."""
    path = path.with_suffix(".mhd")
    (path.parents[1] / "secret.raw").write_bytes(path.with_suffix(".raw").read_bytes())
    (path.parent / "link.raw").symlink_to(path.parents[1] / "secret.raw")
    target = rng.choice(
        ["../secret.raw", "/etc/passwd", "LIST", "LOCAL", "link.raw", "gone.raw", "", "a%02d.raw 1 2 1"]
    )
    path.write_text(re.sub("ElementDataFile = .*", f"ElementDataFile = {target}", path.read_text()))
    return REFUSED


def edit_dicom(path: Path, rng: np.random.Generator) -> str:
    """A tag of the header made hostile."""
    data = pydicom.dcmread(path)
    tags: dict[str, list[Any]] = {
        "Rows": [0, 1, 65535],
        "Columns": [0, 1, 65535],
        "NumberOfFrames": [0, -4, 2**31 - 1, 9],
        "BitsAllocated": [0, 1, 16, 64, 65535],
        "BitsStored": [0, 1, 16, 65535],
        "SamplesPerPixel": [0, 2, 3, 65535],
        "PlanarConfiguration": [1, 7],
        "PixelRepresentation": [1, 9],
        "PhotometricInterpretation": ["MONOCHROME1", "PALETTE COLOR", "YBR_FULL", "CMYK", ""],
        "RescaleSlope": [0, -1, 1e300],
        "WindowWidth": [0, 1, 1e300],
        "FrameTime": [-5, 0, 1e-300],
        "PixelSpacing": [[0, 0.3], [-0.3, 0.3], [1e9, 1]],
    }
    tag = str(rng.choice([*tags, "spacing"]))
    if tag in tags:
        setattr(data, tag, tags[tag][rng.integers(len(tags[tag]))])
    if tag == "WindowWidth":
        data.WindowCenter = float(rng.choice([0, -1e300, 128]))
    if tag in ("spacing", "PixelSpacing"):
        data.SequenceOfUltrasoundRegions = (
            [region(*rng.choice([0, np.nan, np.inf, 9e9], 2))] if tag == "spacing" else []
        )
    data.save_as(path)
    return REFUSED if tag in ("spacing", "PixelSpacing") else ANY


def add_namesake(path: Path, rng: np.random.Generator) -> str:
    """Another file whose frame gets the same name where case is ignored."""
    shutil.copy(path, path.with_name(path.name.swapcase()))
    return ANY


ANYWHERE = (cut, cut, turn_bits, turn_bits, turn_bits, shift, replace, blow_up, misplace, add_namesake)
BY_ENDING = {
    ".csv": (edit_text,),
    ".cfg": (edit_text,),
    ".json": (edit_labelme, edit_labelme, edit_text),
    ".nii": (edit_nifti, edit_nifti, edit_values),
    ".gz": (edit_nifti, edit_nifti, edit_values),
    ".mhd": (edit_mhd, edit_text),
    ".raw": (edit_mhd,),
    ".png": (edit_mask,),
    "": (edit_dicom,),
}


# Cases


@cache
def _original(source: str) -> tuple[Path, list[Pixels]]:
    """A whole data set of a source, made once, and what its frames hold."""
    kind, make = SOURCES[source]
    root = Path(tempfile.mkdtemp(prefix="whole"))
    make(root)
    return root, [frame.read() for frame in open_source(f"{kind}:{root}")]


def make_case(number: int, root: Path) -> tuple[str, str, str]:
    """Put case `number` into the new folder `root`: its specification, what was done to it, and what may come of it."""
    rng = np.random.default_rng(number)
    source = list(SOURCES)[number % len(SOURCES)]
    shutil.copytree(_original(source)[0], root)
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    path = paths[rng.integers(len(paths))]
    damages = ANYWHERE if rng.random() < 0.5 else BY_ENDING.get(path.suffix, ANYWHERE)
    damage = damages[rng.integers(len(damages))]
    expected = damage(path, rng)
    return f"{SOURCES[source][0]}:{root}", f"case {number}: {source}, {damage.__name__} {path.name}", expected


def complaint(number: int) -> str:
    """What is bad about the outcome of case `number`; nothing where it is as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        spec, what, expected = make_case(number, Path(folder) / "data" / "set")
        wrong = _told(spec, folder, expected) or _read(number, spec, expected)
        return f"{what}: {wrong}" if wrong else ""


def _told(spec: str, folder: str, expected: str) -> str:
    """What is bad about what `lvseg data check` says, native libraries' prints included."""
    status, out, error = _run("data", "check", spec)
    if status not in (0, 2) or (status == 2 and not error):  # at status 0 it is a doubt that is told
        return f"status {status} with {error[-400:]!r}"
    if (status, expected) in ((0, REFUSED), (2, ACCEPTED)):
        return f"status {status} where {expected} was expected: {error or out!r}"
    for line in error.splitlines():
        if not line.startswith("lvseg: ") or folder not in line or "emory" in line:
            return f"says {line!r}"
    return ""


def _run(*arguments: str) -> tuple[Any, str, str]:
    """The command line in this process: its status, and all that any library writes to the terminal meanwhile."""
    kept = [os.dup(1), os.dup(2)]
    argv, sys.argv = sys.argv, ["lvseg", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        os.dup2(out.fileno(), 1)
        os.dup2(error.fileno(), 2)
        try:
            status: Any = cli.main()
        except SystemExit as ended:
            status = ended.code
        except BaseException as escaped:
            status = f"{type(escaped).__name__}: {escaped}"
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.argv = argv
            for number, stream in enumerate(kept, start=1):
                os.dup2(stream, number)
                os.close(stream)
        out.seek(0)
        error.seek(0)
        return status or 0, out.read().decode(errors="replace"), error.read().decode(errors="replace")


def _read(number: int, spec: str, expected: str) -> str:
    """What is bad about the frames that can be read."""
    originals = _original(list(SOURCES)[number % len(SOURCES)])[1]
    try:
        frames = open_source(spec)
    except DataError:
        return ""
    for position, frame in enumerate(frames[:4]):
        try:
            pixels = frame.read()
        except DataError:
            continue
        if not valid(pixels):
            return f"{frame.name} is no frame"
        if expected == WHOLE and not (position < len(originals) and same(pixels, originals[position])):
            return f"{frame.name} isn't what it was"
    return ""


def valid(pixels: Pixels) -> bool:
    """Whether the arrays are as `Pixels` says."""
    image, mask, spacing, *_ = pixels
    good = image.dtype == np.uint8 and image.ndim == 2 and image.size > 0
    good &= mask is None or (mask.dtype == bool and mask.shape == image.shape)
    return bool(good and (spacing is None or (np.isfinite(spacing).all() and min(spacing) > 0)))


def same(one: Pixels, other: Pixels) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask) and one[2] == other[2]


# Many cases


def sweep(numbers: Iterable[int]) -> list[str]:
    """The complaints about the cases `numbers`, each tried in a process that may crash, hang or ask for much memory.

    What is bad is tried again in a fresh process and only counts if it is bad again: a shared machine may stand still.
    """
    cli._quieten_libraries()  # as the command does before it loads them; the process inherits it
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        worker = _Worker(folder)
        for number in numbers:
            if worker.complaint(number):
                worker.end()
                worker = _Worker(folder)
                if found := worker.complaint(number):
                    complaints.append(found)
                    worker.end()
                    worker = _Worker(folder)
        worker.end()
    return complaints


class _Worker:
    """A process that tries cases."""

    def __init__(self, folder: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, folder), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def complaint(self, number: int) -> str:
        self._pipe.send(number)
        try:
            return self._pipe.recv() if self._pipe.poll(SECONDS) else f"case {number}: took more than {SECONDS} s"
        except EOFError:
            return f"case {number}: the process died"

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _work(pipe: Connection, folder: str) -> None:
    """Try the cases that come through the pipe, with all sources made first and the memory bounded then."""
    tempfile.tempdir = os.environ["LVSEG_CACHE"] = folder
    cv2.setNumThreads(1)
    gzip_bomb()
    for source in SOURCES:
        _original(source)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    pipe.send("ready")
    while True:
        pipe.send(complaint(pipe.recv()))


def measure(n: int = 10_000) -> dict[str, Any]:
    """The share of cases with a bad outcome; its spread is the 95 % interval."""
    complaints = sweep(range(n))
    for line in complaints:
        print(line[:600])
    interval = stats.binomtest(len(complaints), n).proportion_ci(method="exact")
    share = row("fuzz_readers", "share of bad outcomes", {"lvseg": [len(complaints) / n]})
    return {**share, "n": n, "spread": [interval.low, interval.high]}
