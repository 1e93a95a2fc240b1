"""What a plausible case is, the hearts in it, and how its files are written: not by lvseg's own readers or writers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import nibabel
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from lvseg.phantom.heart import sample_patient
from lvseg.phantom.scanner import render

Spacing = tuple[float, float]


class Truth(NamedTuple):
    """What one frame shows, upright: `image` uint8 and `mask` bool (height, width), (row, column) `spacing` in mm.

    mask: None where nobody outlined it. spacing: None where the file can't tell. region: the two-dimensional image's
    place on a scanner's screen. stretched: the grey levels may be spread or shifted, as by a window.
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing: Spacing | None
    region: tuple[slice, slice] | None = None
    stretched: bool = False

    def alone(self) -> Truth:
        """As a file shows it that tells neither an outline nor a scale."""
        return self._replace(mask=None, spacing=None)

    def unscaled(self) -> Truth:
        return self._replace(spacing=None)

    def scaled(self) -> Truth:
        return self._replace(mask=None)


@dataclass(frozen=True)
class Case:
    """Files, what is in them, and what is wrong with them.

    kind: K1 to K8, the kind of fault: can it be (K1), geometry (K2), the library's word (K3), meaning of a mask (K4),
        sentences and formats (K5), text (K6), one bad item (K7), patients (K8).
    fault: in words; "" in a sound case.
    door: how a user opens `path`: `open` (a file to segment), `predict` (segmented by a network that is never wrong),
        `compare` (two folders of masks, `path/pred` and `path/true`), or a kind of data set.
    truths: the frames, in their names' order; of a set with a bad item the good ones.
    words: a regular expression that finds the fault in a sentence that tells of it.
    readable: whether a reading without a word can be right; otherwise only telling is.
    mm_optional: whether leaving the scale out is right too.
    among: a bad item is among good ones, which must be read, and the bad one named.
    damaged: whether `restore it` is good advice.
    rate_hz: the true frame rate, or None where that isn't the question; leaving it out is right too.
    patients: the frames' true patients, or None where that isn't the question.
    subsets: the frames' true sides of the official split, or None where that isn't the question.
    dice: what a comparison must find, in the order of names.
    """

    kind: str
    fault: str
    door: str
    path: Path
    truths: Sequence[Truth] = ()
    words: str = ""
    readable: bool = True
    mm_optional: bool = False
    among: bool = False
    damaged: bool = False
    rate_hz: float | None = None
    patients: Sequence[str] | None = None
    subsets: Sequence[str] | None = None
    dice: Sequence[float] = ()


Maker = Callable[[np.random.Generator, Path], Case]
"""Makes a case below an empty folder."""


# Hearts


@cache
def hearts() -> tuple[tuple[Truth, ...], ...]:
    """Six virtual patients, each in four phases from end-diastole to end-systole, at half the phantom's resolution."""
    found = []
    for seed, population in enumerate(("adult", "child", "random") * 2, start=11):
        patient = sample_patient(seed, population)
        found.append(tuple(_halved(render(patient, patient.systole * i / 3, i)) for i in range(4)))
    return tuple(found)


def _halved(frame: Any) -> Truth:
    height, width = (n // 2 for n in frame.image.shape)

    def mean(values: np.ndarray) -> np.ndarray:
        return values[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))

    row, column = frame.spacing_mm
    return Truth(np.rint(mean(frame.image)).astype(np.uint8), mean(frame.mask) >= 0.5, (2 * row, 2 * column))


def heart(rng: np.random.Generator) -> Truth:
    return pick(rng, pick(rng, hearts()))


def cine(rng: np.random.Generator) -> tuple[Truth, ...]:
    return pick(rng, hearts())


def resized(truth: Truth, height: int, width: int) -> Truth:
    """The same heart in another number of pixels, its scale unknown."""
    image = cv2.resize(truth.image, (width, height), interpolation=cv2.INTER_AREA)
    share = cv2.resize(truth.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return Truth(image, share >= 0.5, None)


def pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def polygon(mask: np.ndarray) -> list[list[float]]:
    """An outline (x, y), where (0, 0) is the first pixel's corner."""
    fine = np.kron(mask.astype(np.uint8), np.ones((4, 4), np.uint8))
    outlines, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return ((max(outlines, key=len)[::3, 0] + 0.5) / 4).round(2).tolist()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


# Files


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def save(path: Path, values: np.ndarray | Image.Image, **options: Any) -> Path:
    """A picture by Pillow."""
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    picture.save(made(path), **options)
    return path


def encoded(values: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(buffer, form, **options)
    return buffer.getvalue()


def white(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def write_text(path: Path, text: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    made(path).write_bytes(text.replace("\n", newline).encode(encoding))
    return path


def labelme(truth: Truth, picture: str | None, shapes: list[dict] | None = None, **fields: Any) -> dict[str, Any]:
    """The content of a LabelMe JSON; with its picture inside where `picture` is None."""
    height, width = truth.image.shape
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": [shape(truth)] if shapes is None else shapes,
        "imagePath": picture or "a.png",
        "imageData": None if picture else base64.b64encode(encoded(truth.image)).decode(),
        "imageHeight": height,
        "imageWidth": width,
    } | fields


def shape(truth: Truth, label: Any = "LV", **fields: Any) -> dict[str, Any]:
    return {
        "label": label,
        "points": polygon(truth.mask),
        "group_id": None,
        "shape_type": "polygon",
        "flags": {},
    } | fields


def write_labelme(root: Path, name: str, truth: Truth, shapes: list[dict] | None = None, **fields: Any) -> Path:
    """`name.json` with `name.png` beside it."""
    save(root / f"{name}.png", truth.image)
    content = labelme(truth, Path(f"{name}.png").name, shapes, **fields)
    return write_text(root / f"{name}.json", json.dumps(content, ensure_ascii=False))


def write_pair(root: Path, name: str, truth: Truth) -> None:
    save(root / f"{name}.png", truth.image)
    save(root / f"{name}_mask.png", white(truth.mask))


def upright_affine(spacing: Spacing) -> np.ndarray:
    """What CAMUS and ITK write: columns run to the patient's left, rows to the back."""
    return np.diag([-spacing[1], -spacing[0], 1.0, 1.0])


def write_nifti(path: Path, stored: np.ndarray, affine: np.ndarray, **header: Any) -> Path:
    """`stored` as it is, (x, y[, frames])."""
    image = nibabel.Nifti1Image(stored, affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, made(path))
    return path


def write_plain_nifti(path: Path, truth: Truth) -> Path:
    return write_nifti(path, truth.image.T, upright_affine(truth.spacing))


def label_map(mask: np.ndarray) -> np.ndarray:
    """CAMUS's labels: 1 the cavity, 2 the muscle around it, 3 some atrium below."""
    around = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    below = np.roll(around, int(mask.any(axis=1).sum()), axis=0) & ~around
    return np.select([mask, around, below], [1, 2, 3], 0).astype(np.uint8)


def write_camus(root: Path, patient: str, truths: dict[str, Truth], view: str = "4CH", info: str | None = None) -> Path:
    """A patient's folder with the phases in `truths`."""
    folder = root / patient
    for phase, truth in truths.items():
        write_plain_nifti(folder / f"{patient}_{view}_{phase}.nii.gz", truth)
        affine = upright_affine(truth.spacing)
        write_nifti(folder / f"{patient}_{view}_{phase}_gt.nii.gz", label_map(truth.mask).T, affine)
    text = "ED: 1\nES: 4\nNbFrame: 4\nSex: F\nAge: 56\nImageQuality: Good\nLVedv: 94.0\nLVesv: 34.6\nLVef: 63.2\n"
    write_text(folder / f"Info_{view}.cfg", text if info is None else info)
    return folder


def write_mhd(path: Path, values: np.ndarray, spacing: Spacing, data: str | None = None, **fields: str) -> Path:
    """A MetaImage (height, width[, 1]) and its bare pixels beside it."""
    height, width = values.shape
    made(path.with_suffix(".raw")).write_bytes(values.tobytes())
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "ElementSpacing": f"{spacing[1]} {spacing[0]} 1.54",
        "DimSize": f"{width} {height} 1",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": data or f"{path.stem}.raw",
    } | fields
    return write_text(path, "".join(f"{key} = {value}\n" for key, value in header.items()))


def write_video(path: Path, images: Sequence[np.ndarray], codec: str = "MJPG", rate: float = 50.0) -> Path:
    height, width = images[0].shape
    writer = cv2.VideoWriter(str(made(path)), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened(), codec
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def even(truth: Truth) -> Truth:
    """Cut to sides that every codec takes."""
    height, width = (n // 2 * 2 for n in truth.image.shape)
    return truth._replace(image=truth.image[:height, :width], mask=truth.mask[:height, :width])


def write_dicom(
    path: Path,
    pixels: np.ndarray | Sequence[bytes],
    size: tuple[int, int],
    syntax: UID = ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """A DICOM of the array as it lies in memory, or of encoded frames; `tags` win over what follows from `pixels`.

    A tag set to `...` is left out, one set to None is there and empty.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    several = tags.get("NumberOfFrames") is not None
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage if several else UltrasoundImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    order = {"is_implicit_VR": syntax.is_implicit_VR, "is_little_endian": syntax.is_little_endian}
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128), **order)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3.4"
    data.PatientName, data.PatientID, data.Modality = "Nobody^At all", "0", "US"
    bits = 8 if isinstance(pixels, Sequence) else 8 * pixels.dtype.itemsize
    defaults: dict[str, Any] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": size[0],
        "Columns": size[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "BurnedInAnnotation": "NO",
    }
    if isinstance(pixels, Sequence):
        defaults["PixelData"] = encapsulate(list(pixels))
    else:
        defaults["PixelData"] = pixels.tobytes() + bytes(pixels.nbytes % 2)
    for tag, value in (defaults | tags).items():
        if value is not ...:
            setattr(data, tag, value)
    data["PixelData"].VR = "OW" if bits == 16 and not isinstance(pixels, Sequence) else "OB"
    if isinstance(pixels, Sequence):
        data["PixelData"].is_undefined_length = True
    data.save_as(made(path))
    return path


def region(delta: Spacing, place: tuple[int, int, int, int], form: int = 1, units: tuple[int, int] = (3, 3)) -> Dataset:
    """An ultrasound region; delta: (row, column) in cm; place: left, top, right, bottom, the last pixel included."""
    data = Dataset()
    data.RegionSpatialFormat, data.RegionDataType, data.RegionFlags = form, 1, 2
    left, top, right, bottom = place
    data.RegionLocationMinX0, data.RegionLocationMinY0 = left, top
    data.RegionLocationMaxX1, data.RegionLocationMaxY1 = right, bottom
    data.PhysicalUnitsXDirection, data.PhysicalUnitsYDirection = units
    data.PhysicalDeltaY, data.PhysicalDeltaX = delta
    return data


def whole_region(truth: Truth) -> Dataset:
    height, width = truth.image.shape
    return region((truth.spacing[0] / 10, truth.spacing[1] / 10), (0, 0, width - 1, height - 1))
