"""DICOM ultrasound, still or cine. Only pixels, spacing, frame rate and the place of the two-dimensional image leave a
file: no patient's name, number or date, also not in what is said of a damaged one.

Tags and colour models are those of DICOM PS3.3, C.7.6.3 (image pixels) and C.8.5.5 (ultrasound regions). What a file
states is compared with what its pixels are: where the two differ, it is refused or told.
"""

from __future__ import annotations

import hashlib
import mmap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.filereader import read_dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, as_pixel_options, get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from lvseg import __version__, files
from lvseg.errors import DataError, DataWarning, LvsegError
from lvseg.readers import dicom_pixels, jpeg_lossless
from lvseg.readers.common import MAX_FRAMES, check_size, cine_of, files_below, frame_of, reading
from lvseg.readers.dicom_regions import Screen, screen_of
from lvseg.readers.record import Frame, Pixels

_NAMES = """SOPClassUID Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation PlanarConfiguration
    BitsAllocated BitsStored HighBit PixelRepresentation RescaleSlope RescaleIntercept ModalityLUTSequence WindowCenter
    WindowWidth PixelSpacing SequenceOfUltrasoundRegions FrameTime FrameTimeVector CineRate RecommendedDisplayFrameRate
    BurnedInAnnotation"""
_PALETTE = [
    f"{'Segmented' * segmented}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for segmented, part in ((False, "Descriptor"), (False, "Data"), (True, "Data"))
]
_OVERLAYS = [Tag(group, 0x0102) for group in range(0x6000, 0x6020, 2)]
"""The bit in which a drawing over the picture lies among its pixels (OverlayBitPosition); 0 where it lies elsewhere."""
_TAGS: list[BaseTag | int] = [*(Tag(name) for name in (*_NAMES.split(), *_PALETTE)), *_OVERLAYS]
"""Nothing else of a header is even parsed."""

_SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1} | dict.fromkeys(
    ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), 3
)
"""How many numbers make a pixel, by what they mean."""
_CHANNELS = {1: "one grey channel", 3: "three of colour"}
_JPEG_2000_COLOURS = ("YBR_ICT", "YBR_RCT")
_LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_RATES = (0.5, 1000.0)
"""Frames per second that an echo cine can have: from one each two seconds to research scanners' ultrafast imaging."""
_UNUSED_BITS = 2
"""So many empty top bits, where no window is stated, leave a picture a quarter as bright as white, or less."""
_VIDEOS = {"MPEG2": "an MPEG-2", "MPEG-4": "an MPEG-4", "HEVC": "an HEVC"}
"""Kinds of video by a part of their transfer syntax's name."""
_OTHER_COLOURS = "says another colour model than its JPEG frames do; theirs was taken"
_MARK = b"DICM"
_PIXEL_DATA = 0x0010
"""The second half of the tag of grey levels; fractions have others."""
_VALUE_TYPES = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL US UT".split()

jpeg_lossless.register()


class _Told(NamedTuple):
    """What listing finds in a file; kept in the cache folder, so nothing in it names the file.

    frames: how many there are, 0 for what is no image. doubts: what should be known of it. refusal: why it can't be
    used.
    """

    frames: int = 0
    frame_rate_hz: float = 0.0
    doubts: Sequence[str] = ()
    refusal: str = ""


class _Image(NamedTuple):
    """A header, compared with the pixels it speaks of.

    total: how many frames there should be. places: where each lies, as far as the file goes. value_type: of the
    pixels, two letters (OB, OW).
    """

    header: pydicom.Dataset
    syntax: UID
    total: int = 0
    places: Sequence[dicom_pixels.Place] = ()
    screen: Screen = Screen()
    value_type: str = "OW"


def is_dicom(path: Path) -> bool:
    """Whether the content is DICOM, whatever the name ends in: by its mark, or from the first tag on without one."""
    with reading(path), path.open("rb") as file:
        start = file.read(132)
        return start[128:] == _MARK or _is_bare(start)


def may_be_dicom(path: Path) -> bool:
    """The same, and True for a file that can't be opened, so that reading it says why."""
    try:
        return is_dicom(path)
    except DataError:
        return True


def _is_bare(start: bytes) -> bool:
    """Whether a file begins with a tag of group 2 or 8, as those without the mark do (little-endian)."""
    if len(start) < 132 or start[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    short = int.from_bytes(start[2:4], "little") <= 0x20 and int.from_bytes(start[4:8], "little") <= 64
    return short or start[4:6] in _VALUE_TYPES


def open_folder(root: Path) -> list[Frame]:
    """The frames of all DICOM images below `root`, without masks; only headers are read, and only once.

    A file that can't be used gives one frame, which says so when it is read.
    """
    paths = files_below(root)
    return [frame for path, told in zip(paths, _kept(paths), strict=True) for frame in _frames(root, path, told)]


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames of one DICOM file, without masks; none where it holds no image (a report, a DICOMDIR)."""
    told = _told(path)
    if told.refusal:
        raise DataError(f"{path}: {told.refusal}")
    return _frames(root, path, told)


def may_show_names(path: Path) -> bool:
    """Whether text may be burnt into a DICOM's whole picture, as it states neither that none is, nor a 2-D region."""
    if not is_dicom(path):
        return False
    with _opened(path) as content:
        image = _examine(path, content, [])
        return not image.screen.placed and image.header.get("BurnedInAnnotation") != "NO"


def _frames(root: Path, path: Path, told: _Told) -> list[Frame]:
    if told.refusal:
        return [frame_of(root, path, partial(_refuse, f"{path}: {told.refusal}"))]
    _tell(path, told.doubts)
    return cine_of(root, path, told.frames, _read, frame_rate_hz=told.frame_rate_hz) if told.frames else []


def _refuse(sentence: str) -> NoReturn:
    raise DataError(sentence)


def _tell(path: Path, doubts: Sequence[str]) -> None:
    for doubt in doubts:
        warnings.warn(DataWarning(f"{path}: {doubt}"), stacklevel=2)


def _kept(paths: Sequence[Path]) -> list[_Told]:
    """What `_told` says of each file, from the cache folder if none has changed since (by name, size and time)."""
    stats = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()]]
    key = hashlib.sha256(repr((__version__, _Told._fields, stats)).encode()).hexdigest()[:32]
    place = files.cache_folder() / f"{key}.dicom.json"
    with suppress(DataError):  # it isn't there yet, or was damaged
        return [_Told(*told) for told in files.read_json(place)]
    told = [_told(path) for path in paths]
    with suppress(DataError):  # where nothing can be written, listing takes its time again
        files.write_json(place, told)
    return told


def _told(path: Path) -> _Told:
    """What the header of a file tells of its frames; that there are none, where it is no DICOM."""
    doubts: list[str] = []
    try:
        if not is_dicom(path):
            return _Told()
        with _opened(path) as content:
            image = _examine(path, content, doubts)
            rate = _frame_rate(image.header, image.total, doubts)
            return _Told(image.total, rate, doubts)
    except DataError as error:
        return _Told(refusal=str(error).removeprefix(f"{path}: "))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's bytes; of what pydicom says of them nothing is quoted, as that may be any value, a name too.

    Mapped, since reading as many bytes as a damaged element declares would ask for memory for all of them.
    """
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield content
        except LvsegError:
            raise
        except Exception:  # pydicom raises anything at all on damaged bytes
            raise DataError(
                f"{path}: can't be read as DICOM, as its header is damaged or against the standard; restore it from "
                "its source, or export it again"
            ) from None


def _examine(path: Path, content: Any, doubts: list[str]) -> _Image:
    """Read the header and compare what it states with what is there; no frame is decoded.

    `doubts` gets a sentence for what can be used and should be known; raises `DataError` for what can't be used.
    """
    header, syntax = _header(path, content, doubts)
    if "Rows" not in header:
        kind = header.get("SOPClassUID")
        if kind is None or "Image Storage" in kind.name:
            raise DataError(f"{path}: ends before its pixels; restore it from its source")
        doubts.clear()
        return _Image(header, syntax)
    for mark, video in _VIDEOS.items():
        if mark in syntax.name:
            raise DataError(
                f"{path}: holds {video} video, which isn't read inside a DICOM; export it as MP4 or uncompressed DICOM"
            )
    check_size(path, (header.Rows, header.Columns))
    _check_model(path, header, syntax, doubts)
    implicit = bool(header.original_encoding[0])
    if implicit != syntax.is_implicit_VR:
        doubts.append("is written in another way than its first part says (with or without types); read as it is")
    length, value_type = _pixels_head(path, content, implicit, syntax)
    places, total = _find(path, header, syntax, content, length, doubts)
    return _Image(header, syntax, total, places, screen_of(path, header, doubts), value_type)


def _header(path: Path, content: Any, doubts: list[str]) -> tuple[pydicom.Dataset, UID]:
    """The tags that pixels need, without empty ones, and the transfer syntax; `content` then stands at the pixels.

    A deflated file is refused, as nothing limits what it unpacks to.
    """
    marked = content[128:132] == _MARK
    content.seek(132 if marked else 0)
    meta = read_dataset(content, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax is None and marked and content.tell() >= len(content):
        raise DataError(f"{path}: ends within its header; restore it from its source")
    if syntax is None:
        doubts.append("lacks a DICOM file's first part, which says how pixels are stored; read as not compressed")
        explicit = content[content.tell() + 4 : content.tell() + 6] in _VALUE_TYPES
        syntax = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise DataError(f"{path}: stores its pixels in a manufacturer's own way; export it as standard DICOM")
    if syntax.is_deflated:
        raise DataError(f"{path}: is a deflated DICOM; save it uncompressed")
    header = read_dataset(
        content, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_at_pixels, specific_tags=_TAGS
    )
    for dataset in (header, *(header.get("SequenceOfUltrasoundRegions") or [])):
        for tag in list(dataset.keys()):
            if _is_empty(dataset.get_item(tag).value):
                del dataset[tag]
    return header, syntax


def _is_empty(value: object) -> bool:
    """Whether a tag's value, as it was stored, says nothing: no item, no byte, or blanks alone."""
    return value is None or value in ([], b"", "") or (isinstance(value, bytes) and not value.strip(b" "))


def _at_pixels(tag: BaseTag, *_: object) -> bool:
    return tag.group == 0x7FE0 and tag.element >= 0x0008


def _check_model(path: Path, header: pydicom.Dataset, syntax: UID, doubts: list[str]) -> None:
    """Refuse a header that doesn't say what its numbers mean; what has one usual value gets it, and that is told."""
    model = header.get("PhotometricInterpretation")
    if model is None:
        raise DataError(
            f"{path}: doesn't say what its numbers mean; set PhotometricInterpretation (MONOCHROME2 if they are grey)"
        )
    if model not in _SAMPLES or header.get("SamplesPerPixel", _SAMPLES[model]) != _SAMPLES[model]:
        raise DataError(
            f"{path}: PhotometricInterpretation isn't a known one that fits its SamplesPerPixel; correct the two"
        )
    header.SamplesPerPixel = _SAMPLES[model]
    if "BitsAllocated" not in header:
        raise DataError(f"{path}: doesn't say how many bits a number has; set BitsAllocated")
    usual = {"BitsStored": header.BitsAllocated, "PixelRepresentation": 0}
    if _SAMPLES[model] == 3 and not syntax.is_compressed:
        usual["PlanarConfiguration"] = 0
    for name, value in usual.items():
        if name not in header:
            setattr(header, name, value)
            doubts.append(f"has no {name}; it was taken as {value}")
    header.setdefault("PlanarConfiguration", 0)
    if header.PixelRepresentation and header.BitsStored <= 8:
        doubts.append("says that its 8-bit numbers have a sign, as no ultrasound's have; does it look right?")
    if (
        header.BitsStored < header.BitsAllocated
        and header.get("HighBit", header.BitsStored - 1) != header.BitsStored - 1
    ):
        raise DataError(f"{path}: has its numbers in the upper bits (HighBit); export it with them in the lower ones")


def _find(
    path: Path, header: pydicom.Dataset, syntax: UID, content: Any, length: int, doubts: list[str]
) -> tuple[list[dicom_pixels.Place], int]:
    """Where the frames are, and how many there should be: more than there are, where the file was cut.

    content: stands at the first byte of the pixels. length: theirs, as stated where they aren't compressed.
    """
    stated = int(header.get("NumberOfFrames", 0))
    if not 0 <= stated <= MAX_FRAMES:
        raise DataError(
            f"{path}: declares a number of frames that isn't within 1 to {MAX_FRAMES}; correct NumberOfFrames"
        )
    start = content.tell()
    if syntax.is_encapsulated:
        frames, whole = dicom_pixels.compressed_frames(content, start, syntax == RLELossless)
    else:
        size = _frame_bytes(path, header, length, stated)
        frames, whole = dicom_pixels.plain_frames(start, length, size), start + length <= len(content)
        rest = length - len(frames) * size
        if whole and len(frames) and rest > 1 and len(frames) != (stated or 1):
            raise DataError(
                f"{path}: its pixels are no whole number of frames of {header.Rows} x {header.Columns}; correct Rows, "
                "Columns or what says how a pixel is stored, or export it again"
            )
        if whole and len(frames) and rest > 1:
            doubts.append(f"has {rest} bytes after its last frame; they were left out")
    if not whole:
        return frames, stated or max(1, len(frames))
    if not frames:
        raise DataError(
            f"{path}: can't be read, as its pixels are less than one frame of {header.Rows} x {header.Columns}; "
            "correct Rows, Columns or what says how a pixel is stored, or export it again"
        )
    if len(frames) != stated and (stated or len(frames) > 1):
        doubts.append(f"states {stated or 'no number of'} frames and holds {len(frames)}; those were taken")
    return frames, len(frames)


def _pixels_head(path: Path, content: Any, implicit: bool, syntax: UID) -> tuple[int, str]:
    """The stated length of the pixels in bytes and their value type; `content` moves from their tag to them."""
    order: Literal["little", "big"] = "little" if syntax.is_little_endian else "big"
    start = content.read(8)
    if len(start) < 8:
        raise DataError(f"{path}: ends before its pixels; restore it from its source")
    if int.from_bytes(start[2:4], order) != _PIXEL_DATA:
        raise DataError(f"{path}: holds fractions, not grey levels; export it as an ordinary image")
    length = int.from_bytes(start[4:8] if implicit else content.read(4), order)
    if (length == 2**32 - 1) != syntax.is_encapsulated:
        raise DataError(f"{path}: its pixels aren't compressed as its transfer syntax says; export it again")
    return length, "OW" if implicit else start[4:6].decode("latin-1")


def _frame_bytes(path: Path, header: pydicom.Dataset, length: int, stated: int) -> int:
    """The bytes of an uncompressed frame; refuses colours at half resolution that aren't, and the other way round."""
    plane = header.Rows * header.Columns * header.BitsAllocated
    if plane <= 0 or plane % 8:
        raise DataError(f"{path}: its rows aren't stored in whole bytes; export it with 8 bits a pixel")
    full, half = plane // 8 * header.SamplesPerPixel, plane // 8 * 2
    frames, length = stated or 1, length - length % 2
    shared = header.PhotometricInterpretation == "YBR_FULL_422"
    wrong = length >= frames * full if shared else header.SamplesPerPixel == 3 and length == frames * half
    if wrong:
        said, are = ("half", "full") if shared else ("full", "half")
        raise DataError(
            f"{path}: says that its colours have {said} resolution, but its pixels have {are}; correct "
            "PhotometricInterpretation (YBR_FULL_422 is half; RGB and YBR_FULL are full)"
        )
    return half if shared else full


def _read(path: Path, index: int) -> Pixels:
    doubts: list[str] = []
    with _opened(path) as content:
        image = _examine(path, content, [])  # listing has told its doubts
        encoded = dicom_pixels.bytes_of(content, image.places[index]) if index < len(image.places) else None
        if encoded is None:
            raise DataError(f"{path}: ends within its pixels; restore it from its source")
        frame = _decode(path, image, encoded, doubts)
        used = _bits_used(path, _stamp(path)) if _are_bits_asked(image.header) else 0
        grey = _grey(path, image.header, frame, used, doubts)
    _tell(path, doubts)
    return Pixels(grey, None, image.screen.spacing_mm, image.screen.region)


def _are_bits_asked(header: pydicom.Dataset) -> bool:
    """Whether the values may use another number of bits than the stated one: not where both are a byte's eight."""
    return not header.PixelRepresentation and not header.BitsStored == header.BitsAllocated == 8


def _stamp(path: Path) -> tuple[int, int]:
    """What tells one state of a file from another."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4)  # a cine is read frame by frame
def _bits_used(path: Path, stamp: tuple[int, int]) -> int:
    """The bits that the largest value of all frames needs, so that each is shown on the same scale.

    Frames that can't be decoded are passed over: reading them says so.
    """
    highest = 0
    with _opened(path) as content:
        image = _examine(path, content, [])
        for place in image.places:
            encoded = dicom_pixels.bytes_of(content, place)
            with suppress(DataError):
                highest = max(highest, int(_decode(path, image, encoded, []).max()) if encoded else 0)
    return highest.bit_length()


def _decode(path: Path, image: _Image, encoded: bytes, doubts: list[str]) -> np.ndarray:
    """One frame's numbers (rows, columns[, 3]), YBR as RGB; what pydicom warns of is told."""
    header, syntax = image.header, image.syntax
    options = as_pixel_options(header, number_of_frames=1, pixel_keyword="PixelData", pixel_vr=image.value_type)
    if not header.PixelRepresentation and not _has_overlay(header):
        # else values above the stated bits would lose those bits in silence
        options["correct_unused_bits"] = False
    if syntax.is_encapsulated:
        _check_shape(path, header, encoded)
        if header.PhotometricInterpretation in _JPEG_2000_COLOURS and syntax in _LOSSY_JPEG:
            options["photometric_interpretation"] = "YBR_FULL"  # a JPEG's colours, unless it says others
            doubts.append(_OTHER_COLOURS)
        adobe = dicom_pixels.adobe_transform(encoded) if header.SamplesPerPixel == 3 else None
        if adobe is not None:  # such a frame is decoded to RGB
            options["photometric_interpretation"] = "RGB"
            if (adobe == 0) != (header.PhotometricInterpretation == "RGB"):
                doubts.append(_OTHER_COLOURS)
        encoded = encapsulate([encoded])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            frame = get_decoder(syntax).as_array(encoded, index=0, **options)[0]
        except Exception:
            raise DataError(
                f"{path}: can't be read, as its pixels are damaged or compressed in a way that isn't known here; "
                "restore it from its source, or export it uncompressed"
            ) from None
    doubts += [_OTHER_COLOURS for one in said if "Photometric Interpretation" in str(one.message)]
    return frame


def _check_shape(path: Path, header: pydicom.Dataset, encoded: bytes) -> None:
    """Refuse a compressed frame that says another size or number of channels of itself than the header does, or is a
    JPEG of a kind that no decoder here knows."""
    if (bits := dicom_pixels.jpeg_bits(encoded)) not in (None, 8):
        raise DataError(
            f"{path}: holds JPEG frames of {bits} bits a number, and only those of 8 are read; export it uncompressed, "
            "or as JPEG 2000, JPEG-LS or RLE"
        )
    shape = dicom_pixels.coded_shape(encoded)
    if shape is None:
        return
    rows, columns, channels = shape
    if (rows, columns) != (header.Rows, header.Columns):
        raise DataError(
            f"{path}: states {header.Rows} x {header.Columns} pixels, but its compressed frames have "
            f"{rows} x {columns}; correct Rows and Columns, or export it again"
        )
    if channels != header.SamplesPerPixel:
        raise DataError(
            f"{path}: states {_CHANNELS[header.SamplesPerPixel]} ({header.PhotometricInterpretation}), but its "
            f"compressed frames hold {_CHANNELS.get(channels, f'{channels} channels')}; correct "
            "PhotometricInterpretation and SamplesPerPixel, or export it again"
        )


def _has_overlay(header: pydicom.Dataset) -> bool:
    """Whether bits above the stated ones hold drawings, not grey levels."""
    return any(header[tag].value for tag in _OVERLAYS if tag in header)


def _grey(path: Path, header: pydicom.Dataset, frame: np.ndarray, used: int, doubts: list[str]) -> np.ndarray:
    """A decoded frame as uint8 grey levels; YBR is RGB already. used: the bits that the file's values need, 0 where
    the stated ones are believed."""
    if used > header.BitsStored:
        doubts.append(f"states {header.BitsStored} bits a number, but its values need {used}, which were taken")
        header.BitsStored = used
    if header.PhotometricInterpretation == "PALETTE COLOR":
        frame = apply_color_lut(frame, header)
        frame = (frame >> 8 * (frame.itemsize - 1)).astype(np.uint8)
    if frame.ndim == 3:
        if frame.dtype != np.uint8:
            raise DataError(f"{path}: has colours of more than 8 bits; convert it to 8 bits a channel")
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    black, white = sorted(_window(header, used, doubts))
    if not 0 < white - black < np.inf:
        raise DataError(f"{path}: states no range of grey levels; correct its window or its rescale slope")
    levels = np.clip((apply_modality_lut(frame, header) - black) / (white - black), 0, 1)
    if levels.min() == levels.max() and frame.min() < frame.max():
        doubts.append("its window of grey levels leaves one shade only; correct WindowCenter and WindowWidth")
    if header.PhotometricInterpretation == "MONOCHROME1":  # its lowest value is white
        levels = 1 - levels
    return np.rint(255 * levels).astype(np.uint8)


def _window(header: pydicom.Dataset, used: int, doubts: list[str]) -> tuple[float, float]:
    """The values shown black and white: of the first window (PS3.3, C.11.2.1.2.1), else all that fit the bits.

    Of numbers without a window that leave their top bits empty, those bits are left out, and that is told.
    """
    centre, width = _numbers(header, "WindowCenter"), _numbers(header, "WindowWidth")
    if centre and width and width[0] > 1:
        return centre[0] - 0.5 - (width[0] - 1) / 2, centre[0] - 0.5 + (width[0] - 1) / 2
    bits = int(header.BitsStored)
    if used and bits - max(8, used) >= _UNUSED_BITS:
        bits = max(8, used)
        doubts.append(
            f"states {header.BitsStored} bits and no window, but its values need {bits}, which were taken as black to "
            "white"
        )
    lowest = -(2 ** (bits - 1)) if header.PixelRepresentation else 0
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return lowest * slope + intercept, (lowest + 2**bits - 1) * slope + intercept


def _numbers(header: pydicom.Dataset, name: str) -> list[float]:
    """The numbers in a tag; none where it is missing or holds something else."""
    try:
        return [float(value) for value in np.ravel(header.get(name, []))]
    except (TypeError, ValueError):
        return []


def _frame_rate(header: pydicom.Dataset, count: int, doubts: list[str]) -> float:
    """Frames per second, from the times between them (in ms) or as the viewer was told; 0 where it isn't known."""
    steps = _numbers(header, "FrameTimeVector")[1:]  # the first frame has none before it
    if steps and len(steps) + 1 != count:
        doubts.append(f"states the times of {len(steps) + 1} frames and holds {count}; they were left out")
        steps = []
    times = [time for time in (*_numbers(header, "FrameTime"), sum(steps) / max(1, len(steps))) if time]
    viewer = [rate for name in ("CineRate", "RecommendedDisplayFrameRate") for rate in _numbers(header, name)]
    rates = [1000 / time for time in times] + viewer
    if wrong := [rate for rate in rates if rate and not _RATES[0] <= rate <= _RATES[1]]:
        doubts.append(f"its times make {wrong[0]:.4g} frames a second; are they in ms? They were left out")
    return next((rate for rate in rates if _RATES[0] <= rate <= _RATES[1]), 0.0)
