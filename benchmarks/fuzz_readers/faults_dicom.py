"""DICOM: scanners' screens, scales, colours, numbers of frames, ranges, empty tags, transfer syntaxes, and CDs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from benchmarks.fuzz_readers.cases import (
    Case,
    Maker,
    Truth,
    cine,
    encoded,
    even,
    heart,
    hearts,
    pick,
    region,
    save,
    whole_region,
    write_dicom,
    write_text,
    write_video,
)

COUNTS = "frame"
SCALE = r"spacing|scale|pixels? of|mm\b|size of a pixel|calibrat|volume|area|long axis|length|litre|ml\b"
RANGE = "grey|level|bits?|range|values|window|dark|contrast"


def spacing_tag(truth: Truth) -> dict[str, Any]:
    return {"PixelSpacing": [f"{mm:.6f}" for mm in truth.spacing]}


def _still(path: Path, truth: Truth, **tags: Any) -> Path:
    return write_dicom(path, truth.image, truth.image.shape, **tags)


def _loop(path: Path, truths: tuple[Truth, ...], **tags: Any) -> Path:
    frames = np.stack([truth.image for truth in truths])
    return write_dicom(path, frames, truths[0].image.shape, **({"NumberOfFrames": len(truths)} | tags))


# Can it be?


def impossible_scale(rng: np.random.Generator, root: Path) -> Case:
    """A slip of a unit: the ventricle would hold litres, or a drop."""
    truth, factor = heart(rng), float(pick(rng, (10, 100 / 10, 25.4, 0.1, 0.05)))
    if 10 * truth.spacing[0] * factor > 100:
        factor = 10.0
    wrong = tuple(mm * factor for mm in truth.spacing)
    if rng.random() < 0.5:
        path = _still(root / "a.dcm", truth, PixelSpacing=[f"{mm:.6f}" for mm in wrong])
    else:
        height, width = truth.image.shape
        box = region((wrong[0] / 10, wrong[1] / 10), (0, 0, width - 1, height - 1))
        path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=[box])
    fault = f"scale {factor:g} times what it is"
    return Case("K1", fault, "predict", path, [truth], f"{SCALE}|can't be|implausible", mm_optional=True)


def jump(rng: np.random.Generator, root: Path) -> Case:
    """One frame of a loop is another heart's, or at another zoom."""
    truths = list(cine(rng))
    at = int(rng.integers(1, 3))
    mask = np.zeros_like(truths[at].mask)
    rows, columns = (slice(int(n * 0.45), int(n * 0.45) + int(n * 0.12)) for n in mask.shape)
    mask[rows, columns] = True
    truths[at] = truths[at]._replace(mask=mask)
    path = _loop(root / "a.dcm", tuple(truths), **spacing_tag(truths[0]), FrameTime="20")
    words = "jump|neighbour|between frames|change|times (as|the)|frame"
    return Case("K1", "the area falls to a fraction for one frame", "predict", path, truths, words, readable=False)


def screen(rng: np.random.Generator, truth: Truth, size: tuple[int, int] = (330, 420)) -> tuple[Truth, tuple[int, ...]]:
    """A scanner's screen with the sector somewhere, a trace below it, and marks: its truth and the sector's box."""
    height, width = truth.image.shape
    top, left = int(rng.integers(10, 30)), int(rng.integers(20, size[1] - width - 10))
    image, mask = np.zeros(size, np.uint8), np.zeros(size, bool)
    below = np.arange(top + height + 8, size[0] - 8)
    image[below[0] : below[-1] + 1, 10:-10] = rng.integers(0, 90, (len(below), size[1] - 20))
    waves = (below[0] + len(below) * (0.5 + 0.4 * np.sin(np.arange(10, size[1] - 10) / 14))).astype(int)
    image[waves, np.arange(10, size[1] - 10)] = 255
    image[top : top + height, left : left + width] = truth.image
    mask[top : top + height, left : left + width] = truth.mask
    place = np.s_[top : top + height, left : left + width]
    return Truth(image, mask, truth.spacing, place), (left, top, left + width - 1, top + height - 1)


def doppler(rng: np.random.Generator, root: Path) -> Case:
    """The sector above a spectrum or an M-mode: only the sector may be segmented, in its own scale."""
    truth, box = screen(rng, heart(rng))
    height, width = truth.image.shape
    form = int(pick(rng, (2, 3)))  # M-mode, spectrum
    lower = region((0.05, 0.0035), (10, box[3] + 8, width - 11, height - 9), form, (4, 7 if form == 3 else 3))
    if rng.random() < 0.3:  # some scanners state centimetres for both
        lower.PhysicalUnitsXDirection = lower.PhysicalUnitsYDirection = 3
    sector = region((truth.spacing[0] / 10, truth.spacing[1] / 10), box)
    order = [lower, sector] if rng.random() < 0.5 else [sector, lower]
    path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=order)
    words = "doppler|m-mode|spectr|region|screen"
    name = "M-mode" if form == 2 else "Doppler"
    if rng.random() < 0.5:
        return Case("K1", f"{name} below the sector", "open", path, [truth._replace(mask=None)], words)
    return Case("K1", f"{name} below the sector, segmented", "predict", path, [truth], words)


def no_sector(rng: np.random.Generator, root: Path) -> Case:
    """A screen that is all spectrum, M-mode or a table."""
    height, width = 200, 260
    image = rng.integers(0, 120, (height, width), dtype=np.uint8)
    form, name = pick(rng, ((2, "M-mode"), (3, "Doppler"), (4, "curves"), (5, "a graph")))
    box = region((0.05, 0.0035), (0, 0, width - 1, height - 1), form, (4, 7))
    path = write_dicom(root / "a.dcm", image, (height, width), SequenceOfUltrasoundRegions=[box])
    words = "two-dimensional|2-?d|region|doppler|m-mode|spectr|apical"
    return Case("K1", f"a screen with nothing but {name}", "open", path, words=words, readable=False)


# Geometry


def two_regions(rng: np.random.Generator, root: Path) -> Case:
    """The sector beside a smaller one in another scale, as in a dual view or a zoom's overview."""
    truth = heart(rng)
    height, width = truth.image.shape
    small = 50
    image = np.zeros((height, width + 80), np.uint8)
    image[:small, :65] = truth.image[: small * 4 : 4, : 65 * 4 : 4][:small, :65] if width >= 260 else 40
    image[:, 80:] = truth.image
    coarse = region((truth.spacing[0] / 2.5, truth.spacing[1] / 2.5), (0, 0, 64, small - 1))
    sector = region((truth.spacing[0] / 10, truth.spacing[1] / 10), (80, 0, width + 79, height - 1))
    order = [coarse, sector] if rng.random() < 0.7 else [sector, coarse]
    path = _still(root / "a.dcm", Truth(image, None, None), SequenceOfUltrasoundRegions=order)
    shown = Truth(image, np.pad(truth.mask, ((0, 0), (80, 0))), truth.spacing)
    fault = "two two-dimensional regions in two scales"
    if rng.random() < 0.5:
        return Case("K2", fault, "open", path, [shown.scaled()], "region|scale", mm_optional=True)
    shown = shown._replace(region=np.s_[0:height, 80 : width + 80])
    return Case("K2", f"{fault}, segmented", "predict", path, [shown], "region|scale", mm_optional=True)


def region_beyond(rng: np.random.Generator, root: Path) -> Case:
    """A region larger than the picture, as after an export in another size: its scale isn't this picture's."""
    truth = heart(rng)
    height, width = truth.image.shape
    half = (truth.spacing[0] / 20, truth.spacing[1] / 20)
    box = region(half, (0, 0, 2 * width - 1, 2 * height - 1))
    path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=[box])
    words = "region|beyond|outside|larger|scale"
    return Case("K2", "the region is twice as large as the picture", "open", path, [truth.alone()], words)


def two_scales(rng: np.random.Generator, root: Path) -> Case:
    """PixelSpacing says another size of a pixel than the region does."""
    truth = heart(rng)
    wrong = [f"{mm * 2:.6f}" for mm in truth.spacing]
    path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=[whole_region(truth)], PixelSpacing=wrong)
    fault = "PixelSpacing is twice the region's"
    return Case("K2", fault, "open", path, [truth.scaled()], SCALE, mm_optional=True)


def other_units(rng: np.random.Generator, root: Path) -> Case:
    """A region in other units than centimetres has no millimetres."""
    truth = heart(rng)
    height, width = truth.image.shape
    delta = (truth.spacing[0] / 10, truth.spacing[1] / 10)
    units = pick(rng, ((0, 0), (1, 1), (4, 4), (3, 4), (4, 3)))
    box = region(delta, (0, 0, width - 1, height - 1), units=units)
    path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=[box])
    fault = f"the region's units are {units}, no centimetres"
    return Case("K2", fault, "open", path, [truth.alone()], f"unit|centimet|{SCALE}")


def frame_count(rng: np.random.Generator, root: Path) -> Case:
    """The number of frames stated and the pixels that are there."""
    truths = cine(rng)
    count = int(rng.integers(2, 5))
    truths = truths[:count]
    stated: Any = pick(rng, (count - 1 or None, count + 1, count + 2, 1, 0, None, ...))
    shown = [truth.alone() for truth in truths]
    frames = [truth.image for truth in truths]
    if rng.random() < 0.5:
        path = _loop(root / "a.dcm", truths, NumberOfFrames=stated)
        form = "uncompressed"
    else:
        data = [encoded(image, "JPEG", quality=95) for image in frames]
        tags = {"NumberOfFrames": stated, "syntax": JPEGBaseline8Bit}
        path = write_dicom(root / "a.dcm", data, frames[0].shape, **tags)
        form = "JPEG"
    said = {None: "nothing", ...: "no such tag"}.get(stated, stated)
    return Case("K2", f"{form}: {count} frames, NumberOfFrames {said}", "open", path, shown, COUNTS)


def frame_time(rng: np.random.Generator, root: Path) -> Case:
    truths = cine(rng)
    rate = float(pick(rng, (25, 40, 50, 80)))
    count = len(truths)
    name, tags = pick(
        rng,
        (
            ("a vector of times", {"FrameTimeVector": ["0"] + [f"{1000 / rate:g}"] * (count - 1)}),
            ("seconds in place of milliseconds", {"FrameTime": f"{1 / rate:g}"}),
            ("zero, with CineRate", {"FrameTime": "0", "CineRate": f"{rate:g}"}),
            ("empty, with CineRate", {"FrameTime": None, "CineRate": f"{rate:g}"}),
            ("microseconds", {"FrameTime": f"{1e6 / rate:g}"}),
        ),
    )
    path = _loop(root / "a.dcm", truths, **tags)
    shown = [truth.alone() for truth in truths]
    return Case("K2", f"frame time: {name}", "open", path, shown, "frame time|frame rate|time|rate|Hz", rate_hz=rate)


# The library's word


def mislabelled(rng: np.random.Generator, root: Path) -> Case:
    """A photometric interpretation that the length of the pixels contradicts."""
    truths = [even(truth) for truth in cine(rng)[: int(rng.integers(1, 4))]]
    colour = np.stack([np.dstack([t.image] * 3) for t in truths])
    tags: dict[str, Any] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    if len(truths) > 1:
        tags["NumberOfFrames"] = len(truths)
    what = pick(rng, ("says YBR_FULL_422, holds RGB", "says RGB, holds one grey channel", "says grey, holds RGB"))
    if what.startswith("says grey"):
        tags = {k: v for k, v in tags.items() if k == "NumberOfFrames"}
    elif what.startswith("says YBR"):
        tags["PhotometricInterpretation"] = "YBR_FULL_422"
    else:
        tags["PhotometricInterpretation"] = "RGB"
        colour = np.stack([t.image for t in truths])
    path = write_dicom(root / "a.dcm", colour, truths[0].image.shape, **tags)
    words = "colour|photometric|channel|samples|length|bytes|pixels|frames|YBR|RGB"
    return Case("K3", f"{len(truths)} frames: {what}", "open", path, [t.alone() for t in truths], words)


def relabelled_jpeg(rng: np.random.Generator, root: Path) -> Case:
    """A colour JPEG, which is YBR within, under another name."""
    truth = heart(rng)
    data = encoded(np.dstack([truth.image] * 3), "JPEG", quality=95, subsampling=int(pick(rng, (0, 1, 2))))
    said = pick(rng, ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "MONOCHROME2"))
    tags = {"PhotometricInterpretation": said, "syntax": JPEGBaseline8Bit, "PlanarConfiguration": 0}
    tags["SamplesPerPixel"] = 1 if said == "MONOCHROME2" else 3
    path = write_dicom(root / "a.dcm", [data], truth.image.shape, **tags)
    words = "colour|photometric|channel|samples|YBR|RGB"
    return Case("K3", f"a colour JPEG that says {said}", "open", path, [truth.alone()], words)


def trailing(rng: np.random.Generator, root: Path) -> Case:
    """Pixels of another size than Rows and Columns: rows left, or missing."""
    truth = heart(rng)
    height, width = truth.image.shape
    what, size = pick(
        rng,
        (
            ("Rows and Columns exchanged", (width, height)),
            ("8 rows fewer than there are", (height - 8, width)),
            ("8 columns fewer than there are", (height, width - 8)),
        ),
    )
    path = write_dicom(root / "a.dcm", truth.image, size)
    if what.startswith("Rows"):  # as many bytes: nothing in the file contradicts it but the sheared picture
        path = write_dicom(root / "a.dcm", encoded_jpeg(truth), size, syntax=JPEGBaseline8Bit)
    words = "rows|columns|size|length|bytes|pixels|larger|more"
    return Case("K3", f"states {what}", "open", path, [truth.alone()], words)


def encoded_jpeg(truth: Truth) -> list[bytes]:
    return [encoded(truth.image, "JPEG", quality=95)]


def bit_depth(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    wide = truth.image.astype(np.uint16)
    what, stored, tags = pick(
        rng,
        (
            ("16 bits that hold 10", wide * 4, {}),
            ("16 bits that hold 8", wide, {}),
            ("10 bits stated, 12 held", wide * 16, {"BitsStored": 10, "HighBit": 9}),
            ("8 bits stated in 16, 12 held", wide * 16, {"BitsStored": 8, "HighBit": 7}),
            ("12 bits, an empty window", wide * 16, {"BitsStored": 12, "HighBit": 11, "WindowWidth": None}),
            (
                "12 bits, two windows",
                wide * 16,
                {"BitsStored": 12, "HighBit": 11, "WindowCenter": ["2048", "300"], "WindowWidth": ["4096", "50"]},
            ),
            (
                "12 bits, a window far from all values",
                wide * 16,
                {"BitsStored": 12, "HighBit": 11, "WindowCenter": "30000", "WindowWidth": "100"},
            ),
            (
                "a window of another file, all white",
                wide.astype(np.uint8),
                {"WindowCenter": "-500", "WindowWidth": "9"},
            ),
        ),
    )
    path = write_dicom(root / "a.dcm", stored, truth.image.shape, **tags)
    shown = truth.alone()._replace(stretched=True)
    kind = "K1" if "hold" in what and "held" not in what else "K3"
    return Case(kind, what, "open", path, [shown], RANGE)


# Sentences and formats


def empty_tags(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    tags: dict[str, Any] = {}
    for tag in rng.choice(
        [
            "PixelSpacing",
            "WindowCenter",
            "WindowWidth",
            "RescaleSlope",
            "RescaleIntercept",
            "NumberOfFrames",
            "FrameTime",
            "CineRate",
            "SequenceOfUltrasoundRegions",
            "RecommendedDisplayFrameRate",
            "ModalityLUTSequence",
        ],
        size=int(rng.integers(1, 4)),
        replace=False,
    ).tolist():
        tags[tag] = [] if "Sequence" in tag else None
    if rng.random() < 0.2:
        tags["PixelRepresentation"] = ...
    if rng.random() < 0.2:
        box = whole_region(truth)
        del box.PhysicalDeltaX, box.PhysicalDeltaY
        tags["SequenceOfUltrasoundRegions"] = [box]
    if rng.random() < 0.1:
        tags = {"WindowWidth": "400"}
    path = _still(root / "a.dcm", truth, **tags)
    shown = truth.alone()._replace(stretched="WindowWidth" in tags)
    return Case("K5", f"empty or absent: {', '.join(tags)}", "open", path, [shown], "empty|" + "|".join(tags))


def no_photometric(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    tag = pick(rng, ("PhotometricInterpretation", "SamplesPerPixel", "BitsStored", "BitsAllocated"))
    path = _still(root / "a.dcm", truth, **{tag: pick(rng, (..., None))})
    words = f"{tag}|photometric|samples|bits|colour|grey"
    return Case("K5", f"no {tag}", "open", path, [truth.alone()], words)


def no_preamble(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    path = _still(root / "a.dcm", truth, **spacing_tag(truth))
    data = path.read_bytes()
    if rng.random() < 0.5:
        path.write_bytes(data[132:])
        what = "no preamble"
    else:
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        what = "neither preamble nor meta header"
    if rng.random() < 0.5:
        path = path.rename(root / "IM0001")
        what += ", a name without an ending"
    return Case("K5", what, "open", path, [truth.scaled()], "preamble|header|DICM", mm_optional=True)


def syntaxes(rng: np.random.Generator, root: Path) -> Case:
    """Transfer syntaxes; those of video and the deflated one are told by name."""
    truth = heart(rng)
    tags = spacing_tag(truth)
    size = truth.image.shape
    path = root / "a.dcm"
    name = pick(rng, ("RLE", "JPEG 2000", "JPEG 2000 Lossless", "deflated", "big endian", "implicit VR"))
    if name.startswith("JPEG 2000"):
        lossless = name.endswith("Lossless")
        options = {} if lossless else {"quality_mode": "rates", "quality_layers": [4]}
        data = encoded(truth.image, "JPEG2000", no_jp2=True, irreversible=not lossless, **options)
        write_dicom(path, [data], size, JPEG2000Lossless if lossless else JPEG2000, **tags)
    else:
        plain = {
            "deflated": DeflatedExplicitVRLittleEndian,
            "big endian": ExplicitVRBigEndian,
            "implicit VR": ImplicitVRLittleEndian,
        }
        _still(path, truth, **tags, syntax=plain.get(name, ExplicitVRLittleEndian))
        if name == "RLE":
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
    return Case("K5", f"transfer syntax: {name}", "open", path, [truth.scaled()], "deflate|compress|endian|syntax")


def video_inside(rng: np.random.Generator, root: Path) -> Case:
    truths = [even(truth) for truth in cine(rng)]
    video = write_video(root / "v.mp4", [truth.image for truth in truths], "mp4v")
    data = video.read_bytes()
    video.unlink()
    syntax, name = pick(rng, ((MPEG4HP41, "MPEG-4"), (MPEG2MPML, "MPEG-2")))
    tags = {"NumberOfFrames": len(truths), "syntax": syntax, "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    tags |= {"PhotometricInterpretation": "YBR_PARTIAL_420", "FrameTime": "20"}
    path = write_dicom(root / "a.dcm", [data], truths[0].image.shape, **tags)
    return Case("K5", f"{name} inside", "open", path, [t.alone() for t in truths], "MPEG|MP4|video")


def compact_disc(rng: np.random.Generator, root: Path) -> Case:
    """A CD: the image some folders down, with or without the index beside them."""
    truth = heart(rng)
    _still(root / pick(rng, ("DICOM/PAT00000/STU00000/IM000001", "IMAGES/1", "US/a.dcm")), truth, **spacing_tag(truth))
    if rng.random() < 0.5:
        write_text(root / "AUTORUN.INF", "[autorun]\nopen=viewer.exe\n")
    return Case("K5", "the image lies in a sub-folder", "open", root, [truth.scaled()], "sub-?folder|recursive|below")


# One among many


def bad_among(rng: np.random.Generator, root: Path) -> Case:
    """Of a folder of DICOM files one can't be right; it is named and the others are read."""
    goods = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(goods):
        _still(root / f"p{number}" / "a.dcm", truth, **spacing_tag(truth))
    truth, bad = heart(rng), root / "q" / "odd.dcm"
    what = pick(rng, ("ends in its header", "a scale of 0", "no image", "16 bits of colour"))
    if what == "ends in its header":
        _still(bad, truth)
        bad.write_bytes(bad.read_bytes()[:200])
    elif what == "a scale of 0":
        _still(bad, truth, PixelSpacing=["0", "0"])
    elif what == "no image":
        _still(bad, truth)
        bad.write_bytes(bytes(128) + b"DICM" + bytes(300))
    else:
        colour = np.dstack([truth.image.astype(np.uint16) * 257] * 3)
        tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        write_dicom(bad, colour, truth.image.shape, **tags)
    shown = [good.scaled() for good in goods]
    return Case("K7", f"one of four: {what}", "dicom", root, shown, "odd", among=True, damaged=True)


# Sound


def sound_still(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    size = truth.image.shape
    form = pick(rng, ("grey", "RGB", "planes", "YBR", "inverted", "12 bits", "RLE", "JPEG", "colour JPEG", "no scale"))
    scale = spacing_tag(truth)
    if rng.random() < 0.5:
        scale = {"SequenceOfUltrasoundRegions": [whole_region(truth)]}
    path = root / pick(rng, ("a.dcm", "a", "IM_0001", "1.2.840.1"))
    colour = np.dstack([truth.image] * 3)
    three = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    if form in ("grey", "RLE"):
        _still(path, truth, **scale)
        if form == "RLE":
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
    elif form == "no scale":
        _still(path, truth)
    elif form == "RGB":
        write_dicom(path, colour, size, **three, **scale)
    elif form == "planes":
        write_dicom(path, colour.transpose(2, 0, 1), size, **(three | {"PlanarConfiguration": 1}), **scale)
    elif form == "YBR":
        grey = np.full_like(truth.image, 128)
        ybr = np.dstack([truth.image, grey, grey])
        write_dicom(path, ybr, size, **(three | {"PhotometricInterpretation": "YBR_FULL"}), **scale)
    elif form == "inverted":
        write_dicom(path, 255 - truth.image, size, PhotometricInterpretation="MONOCHROME1", **scale)
    elif form == "12 bits":
        tags = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "2040", "WindowWidth": "4081"}
        write_dicom(path, truth.image.astype(np.uint16) * 16, size, **tags, **scale)
    elif form == "JPEG":
        write_dicom(path, encoded_jpeg(truth), size, syntax=JPEGBaseline8Bit, **scale)
    else:
        tags = three | {"PhotometricInterpretation": "YBR_FULL_422"}
        write_dicom(path, [encoded(colour, "JPEG", quality=95)], size, syntax=JPEGBaseline8Bit, **tags, **scale)
    shown = truth if form != "no scale" else truth.unscaled()
    if rng.random() < 0.5:
        return Case("K5", "", "open", path, [shown._replace(mask=None)])
    return Case("K5", "", "predict", path, [shown])


def sound_loop(rng: np.random.Generator, root: Path) -> Case:
    truths = cine(rng)
    rate = float(pick(rng, (25, 40, 50)))
    tags = pick(rng, ({"FrameTime": f"{1000 / rate:g}"}, {"CineRate": f"{rate:g}"}, {}))
    path = _loop(root / "a.dcm", truths, **spacing_tag(truths[0]), **tags)
    if rng.random() < 0.5:
        return Case("K2", "", "predict", path, truths)
    shown = [truth.scaled() for truth in truths]
    return Case("K2", "", "open", path, shown, rate_hz=rate if tags else None)


def sound_screen(rng: np.random.Generator, root: Path) -> Case:
    """The sector alone on a scanner's screen."""
    truth, box = screen(rng, heart(rng))
    image = truth.image.copy()
    image[box[3] + 1 :] = 0
    sector = region((truth.spacing[0] / 10, truth.spacing[1] / 10), box)
    truth = truth._replace(image=image)
    path = _still(root / "a.dcm", truth, SequenceOfUltrasoundRegions=[sector])
    if rng.random() < 0.5:
        return Case("K1", "", "open", path, [truth._replace(mask=None)])
    return Case("K1", "", "predict", path, [truth])


def sound_folder(rng: np.random.Generator, root: Path) -> Case:
    truths = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(truths):
        _still(root / f"p{number}" / "a.dcm", truth, **spacing_tag(truth))
    save(root / "p0" / "photo.png", truths[0].image)
    return Case("K7", "", "dicom", root, [truth.scaled() for truth in truths], patients=["p0", "p1", "p2"])


FAULTS: list[Maker] = [
    impossible_scale,
    jump,
    doppler,
    no_sector,
    two_regions,
    region_beyond,
    two_scales,
    other_units,
    frame_count,
    frame_count,
    frame_time,
    mislabelled,
    mislabelled,
    relabelled_jpeg,
    trailing,
    bit_depth,
    bit_depth,
    empty_tags,
    no_photometric,
    no_preamble,
    syntaxes,
    video_inside,
    compact_disc,
    bad_among,
]
SOUND: list[Maker] = [sound_still, sound_still, sound_loop, sound_screen, sound_folder]
