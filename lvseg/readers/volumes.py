"""NIfTI (`.nii`, `.nii.gz`) and MetaImage (`.mhd`, `.mha`): one frame, or a cine with frames along the last axes.

What the file says of its geometry is honoured: axes of one pixel are no axes, an affine turns the picture, three equal
planes are colours. Where two statements disagree, or one is only what programs write by default, that is told.

A MetaImage is a text of `key = value` lines, with its pixels behind it or in a file beside it. We read it ourselves:
the forms in use are simple, and the libraries for it print to the terminal and follow file names out of the folder.
"""

from __future__ import annotations

import gzip
import io
import math
import warnings
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from lvseg.errors import DataError, DataWarning
from lvseg.readers.common import MAX_BYTES, check_bytes, check_size, cine_of, grey_levels, reading, stated_spacing
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.upright import Turn, fan_tip, stated_turn

_MHD_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MHD_TEXT = 2**16
_UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""NIfTI's codes for metre, millimetre and micrometre; without one, millimetres are meant."""
_LONGEST = 4
"""Times its shorter side: no echo picture is longer, but a cine whose axes are taken in a wrong order is."""
_FEW_LEVELS = 8
"""A picture has more grey levels, a label map hasn't."""
_LPS = np.array([-1.0, -1.0, 1.0])
"""From NIfTI's axes (right, anterior, superior) to left, posterior, superior."""
_NO_NIFTI = "doesn't begin as a NIfTI file does: it is damaged or of another kind; restore it, or convert it anew"


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames in `path`, without masks; only the header is read, unless its last axis may hold colours."""
    with reading(path):
        return cine_of(root, path, frame_count(path), _read, *_files(path)[1:])


def frame_count(path: Path) -> int:
    """How many frames `path` holds; reads no more than `list_file`."""
    with reading(path):
        axes = _axes(path, _mhd_header(path).shape if _is_mhd(path) else _nifti_shape(path))
        return _picture(path, _stamps(path)).length if axes.may_be_colour else math.prod(axes.frames)


def read_picture(path: Path, index: int = 0) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Frame `index` as an upright uint8 picture (height, width), and its (row, column) spacing in mm where it is known.

    Raises `DataError` for what is no grey picture; warns (`DataWarning`) of geometry that is doubtful.
    """
    with reading(path):
        found = _picture(path, _stamps(path))
        for sentence in found.told:
            warnings.warn(DataWarning(f"{path}: {sentence}"), stacklevel=2)
        picture = grey_levels(path, found.turn(_grey(found.volume, index, found.colour)))
        levels = np.flatnonzero(np.bincount(picture.ravel(), minlength=256))
        if 1 < len(levels) <= _FEW_LEVELS:
            raise DataError(
                f"{path}: holds only the values {_some(levels)}: a map of labels, not a picture; leave it out"
            )
        spacing = found.volume.spacing
        return picture, spacing if spacing is None or found.turn.rows_first else spacing[::-1]


def read_labels(path: Path, index: int, image: Path) -> np.ndarray:
    """Frame `index` of a map of labels 0 to 3, upright as the image it was drawn on: integers (height, width).

    Raises `DataError` where it doesn't fit the image or holds other values; warns where the pixel sizes differ.
    """
    with reading(path):
        labels, picture = _load(path, _stamps(path)), _picture(image, _stamps(image))
        count = math.prod(labels.axes.frames)
        if count != picture.length:
            raise DataError(
                f"{path}: has {count} frames, its image {image.name} has {picture.length}; bring its own map"
            )
        values = _label_turn(labels, picture)(labels.frame(index))
        if values.dtype.kind not in "buif":
            raise DataError(f"{path}: holds colours, not labels 0 to 3; write the labels' numbers")
        if not ((values >= 0) & (values <= 3)).all() or (values != values.astype(np.uint8)).any():
            raise DataError(f"{path}: {_unlike_labels(np.unique(values))}")
        if _differ(labels.spacing, picture.volume.spacing):
            sizes = f"{_by(labels.spacing)} mm, its image {image.name} of {_by(picture.volume.spacing)} mm"
            warnings.warn(DataWarning(f"{path}: states pixels of {sizes}; the image's are taken"), stacklevel=2)
        return values


def _unlike_labels(found: np.ndarray) -> str:
    """What is wrong with a label map of the values `found`, sorted."""
    if not np.isin(found, np.rint(found)).all():
        return (
            f"holds values between labels ({found[0]:g} to {found[-1]:g}), as after smooth resampling; "
            "resample its original by nearest neighbour"
        )
    return f"holds the values {_some(found)}, not labels 0 to 3 (0 background, 1 left ventricle); give it these"


def _some(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values[:_FEW_LEVELS])


def _read(path: Path, index: int) -> Pixels:
    picture, spacing = read_picture(path, index)
    return Pixels(picture, None, spacing)


class _Axes(NamedTuple):
    """What a stored array's axes are. picture: the two of a frame. others: the rest; frames: how long they are."""

    picture: tuple[int, int]
    others: tuple[int, ...]
    frames: tuple[int, ...]

    @property
    def may_be_colour(self) -> bool:
        """Whether the last axis that has more than one place has as many as there are colours."""
        return next((n for n in reversed(self.frames) if n > 1), 0) in (3, 4)

    def without_colour(self) -> _Axes:
        """The same for a file whose last such axis holds colours."""
        place = max(i for i, n in enumerate(self.frames) if n > 1)
        return self._replace(frames=(*self.frames[:place], 1, *self.frames[place + 1 :]))


def _axes(path: Path, shape: tuple[int, ...]) -> _Axes:
    """The axes of an array of this shape: the first two that have more than one place are the picture's."""
    check_size(path, shape)
    long = [axis for axis, n in enumerate(shape) if n > 1]
    first, second = long[:2] if len(long) > 1 else (0, 1)
    others = tuple(axis for axis in range(len(shape)) if axis not in (first, second))
    frames = tuple(shape[axis] for axis in others)
    short, side = sorted((shape[first], shape[second]))
    if side > _LONGEST * short and math.prod(frames) > short:
        raise DataError(
            f"{path}: would hold {math.prod(frames)} frames of {shape[first]} x {shape[second]} pixels; "
            "store it with the frames (or colours) along the last axis"
        )
    return _Axes((first, second), others, frames)


class _Volume(NamedTuple):
    """A file's array and what it says of its geometry.

    spacing: mm of the picture's first, second axis; None if not known. directions: (2, 3) towards left, posterior,
    superior of the same; None where it states none. at_origin: whether its first pixel is the origin. told: sentences.
    """

    stored: Any
    axes: _Axes
    spacing: tuple[float, float] | None
    directions: np.ndarray | None
    at_origin: bool
    told: tuple[str, ...]

    def frame(self, index: int) -> np.ndarray:
        """Frame `index` as stored, (first axis, second axis), of any dtype."""
        return self._part(np.unravel_index(index, self.axes.frames, order="F"))

    def planes(self, index: int) -> list[np.ndarray]:
        """The first three planes of the colour picture `index`."""
        place = max(i for i, n in enumerate(self.axes.frames) if n > 1)
        at = list(np.unravel_index(index, self.axes.without_colour().frames, order="F"))
        return [self._part((*at[:place], colour, *at[place + 1 :])) for colour in range(3)]

    def _part(self, at: tuple[Any, ...]) -> np.ndarray:
        where: list[Any] = [slice(None)] * len(self.stored.shape)
        for axis, place in zip(self.axes.others, at, strict=True):
            where[axis] = int(place)
        return np.asarray(self.stored[tuple(where)])


def _grey(volume: _Volume, index: int, colour: bool) -> np.ndarray:
    """Frame `index` as stored, its colours (if it has any) weighed as the eye does."""
    if colour:
        planes = volume.planes(index)
    elif names := (values := volume.frame(index)).dtype.names:  # NIfTI's own type for colours
        planes = [values[name] for name in names[:3]]
    else:
        return values
    return np.rint(np.tensordot((0.299, 0.587, 0.114), np.stack(planes).astype(float), 1))


def _is_colour(volume: _Volume) -> bool:
    """Whether the last axis holds colours: most pixels of an echo picture are grey, where frames of a cine differ."""
    if not volume.axes.may_be_colour or volume.stored.dtype.names:
        return False
    first, *rest = volume.planes(0)
    seen = np.any([first, *rest], axis=0)
    grey = np.logical_and.reduce([first == plane for plane in rest])
    return bool(grey[seen].mean() > 0.5) if seen.any() else False


class _Picture(NamedTuple):
    """A volume whose frames are pictures: how many, whether its last axis holds colours, and how they are turned."""

    volume: _Volume
    length: int
    colour: bool
    turn: Turn
    told: tuple[str, ...]


@lru_cache(maxsize=2)
def _picture(path: Path, stamps: tuple) -> _Picture:
    volume = _load(path, stamps)
    colour = _is_colour(volume)
    axes = volume.axes.without_colour() if colour else volume.axes
    turn, told = _upright(_grey(volume, 0, colour), volume)
    return _Picture(volume, math.prod(axes.frames), colour, turn, (*volume.told, *told))


def _upright(stored: np.ndarray, volume: _Volume) -> tuple[Turn, list[str]]:
    """How a volume's pictures, of which `stored` is the first, are turned upright; and what is doubtful in it.

    The affine's word is taken. But a mirrored one may mean rows or columns (half a turn apart), and half a turn about
    the origin is what programs write where nobody stated an affine: there the fan's tip decides.
    """
    turn, told = Turn(), []
    if volume.directions is not None:
        stated = stated_turn(volume.directions)
        turn = stated or turn
        if stated is None:
            told.append("its affine puts the picture into a plane that has no way up; taken as stored")
        elif stated.up or stated.left:
            unsaid = stated.up and stated.left and volume.at_origin
            turn = stated.opposite() if unsaid else stated
            if fan_tip(turn(stored)) == "bottom":
                turn = turn.opposite()
            if turn != stated and not (unsaid and fan_tip(turn(stored)) == "top"):
                told.append(
                    "its affine isn't followed, as its fan lies otherwise or it seems a default; look if it is upright"
                )
    if (tip := fan_tip(turn(stored))) not in ("", "top"):
        told.append(f"the tip of its ultrasound fan is at the {tip}, not at the top; turn the picture or its affine")
    return turn, told


def _label_turn(labels: _Volume, picture: _Picture) -> Turn:
    """How a label map is turned: as its image where it says the same or nothing, else as it says itself."""
    if labels.directions is not None and picture.volume.directions is not None:
        own = stated_turn(labels.directions)
        if own is not None and own != stated_turn(picture.volume.directions):
            return own
    return picture.turn


def _known_spacing(path: Path, sizes: tuple[float, ...]) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """The pixel size, unless it is what programs write where nobody stated one; and a sentence where it is."""
    if 1.0 in sizes and all(size > 0 for size in sizes):
        told = f"states pixels of {_by(sizes)} mm, and 1 mm is what programs write for not known; no mm are given"
        return None, (told,)
    return stated_spacing(path, sizes[0], sizes[1]), ()


def _differ(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one is not None and other is not None and not np.allclose(one, other, rtol=0.01)


def _by(sizes: tuple[float, ...] | None) -> str:
    return " x ".join(f"{size:g}" for size in sizes or ())


def _stamps(path: Path) -> tuple:
    """What tells one state of the files from another."""
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in (file.stat() for file in _files(path)))


@lru_cache(maxsize=2)  # a cine is read frame by frame, its labels in turn with it: unpack each once
def _load(path: Path, stamps: tuple) -> _Volume:
    return _load_mhd(path) if _is_mhd(path) else _load_nifti(path)


def _is_mhd(path: Path) -> bool:
    return path.suffix.lower() in (".mhd", ".mha")


def _files(path: Path) -> tuple[Path, ...]:
    """`path` and, of a MetaImage, the file with its pixels, where that is another."""
    return tuple(dict.fromkeys((path, _mhd_header(path).pixels))) if _is_mhd(path) else (path,)


def _open_nifti(path: Path) -> Any:
    with path.open("rb") as file:  # names don't tell: browsers unpack, and people rename
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _nifti_bytes(path: Path, most: int) -> bytes:
    """The file's first `most` bytes, unpacked."""
    try:
        with _open_nifti(path) as file:
            return file.read(most)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: its compressed content is cut short or damaged; restore the file") from None


def _nifti_kind(path: Path, data: bytes) -> Any:
    """nibabel's class for the file, by the length that its header states: nibabel itself would mend a wrong one."""
    lengths = [int.from_bytes(data[:4], order) for order in ("little", "big")]
    if 348 not in lengths and 540 not in lengths:
        raise DataError(f"{path}: {_NO_NIFTI}")
    return nibabel.Nifti2Image if 540 in lengths else nibabel.Nifti1Image


def _nifti_header(path: Path, data: bytes, check: bool = True) -> Any:
    try:
        return _nifti_kind(path, data).header_class.from_fileobj(io.BytesIO(data), check=check)
    except (HeaderDataError, WrapStructError):
        raise DataError(f"{path}: {_NO_NIFTI}") from None


def _nifti_shape(path: Path) -> tuple[int, ...]:
    return _nifti_header(path, _nifti_bytes(path, 540)).get_data_shape()


def _load_nifti(path: Path) -> _Volume:
    """nibabel's proxy, which unpacks and scales only the frames it is asked for."""
    check_bytes(path)
    data = _nifti_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes; cut it into single frames")
    try:
        image = _nifti_kind(path, data).from_bytes(data)
    except (HeaderDataError, WrapStructError, ImageFileError):
        raise DataError(f"{path}: isn't one whole NIfTI file; restore it, or convert it anew") from None
    axes = _axes(path, image.shape)
    if np.prod(image.shape) * image.get_data_dtype().itemsize > len(data):
        raise DataError(f"{path}: holds fewer pixels than its header declares; restore the file")
    # Unchecked, as nibabel's check would turn a size of 0 into 1 mm, and -0.3 into 0.3.
    header = _nifti_header(path, data, check=False)
    unit = _UNITS_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    sizes = tuple(round(float(header["pixdim"][1 + axis]) * unit, 9) for axis in axes.picture)
    spacing, told = _known_spacing(path, sizes)
    if not (header["sform_code"] or header["qform_code"]) or np.array_equal(image.affine, np.eye(4)):
        return _Volume(image.dataobj, axes, spacing, None, True, told)
    # The affine has three axes; a cine's frames may take the third's place, colours and times come after it.
    steps = np.array([image.affine[:3, axis] * _LPS if axis < 3 else np.zeros(3) for axis in axes.picture])
    lengths = np.linalg.norm(steps, axis=1)
    stated = float(lengths[0]) * unit, float(lengths[1]) * unit
    if _differ(spacing, stated):
        told = (f"states pixels of {_by(sizes[:2])} mm, but of {_by(stated)} mm in its affine; no mm are given",)
        spacing = None
    directions = steps / np.maximum(lengths, 1e-9)[:, None]
    return _Volume(image.dataobj, axes, spacing, directions, not image.affine[:2, 3].any(), told)


class _MhdHeader(NamedTuple):
    shape: tuple[int, ...]  # (x, y) or (x, y, frames)
    spacing: tuple[float, ...] | None
    matrix: tuple[float, ...] | None  # the directions of the axes, one after the other
    offset: tuple[float, ...] | None
    dtype: np.dtype
    packed: bool
    pixels: Path
    start: int  # where in that file the pixels begin


def _mhd_header(path: Path) -> _MhdHeader:
    fields, start = _mhd_fields(path)
    flags = {key: value.lower() == "true" for key, value in fields.items()}
    named = fields.get("ElementDataFile", "")
    local = named.upper() == "LOCAL"
    if not named:
        raise DataError(
            f"{path}: has no line ElementDataFile, which names the file of its pixels in this folder; add it"
        )
    pixels = path if local else path.parent / named
    if pixels.parent != path.parent or pixels.is_symlink() or not pixels.is_file():
        raise DataError(
            f"{path}: names {pixels.name} as the file with its pixels, which isn't in the same folder; put it there"
        )
    plain = _numbers(path, fields, "ElementNumberOfChannels", int) in (None, (1,))
    plain = plain and _numbers(path, fields, "HeaderSize", int) in (None, (0,))
    if not plain or fields.get("ElementType") not in _MHD_TYPES:
        raise DataError(f"{path}: isn't a grey image of bare numbers; convert it to NIfTI")
    big_endian = flags.get("ElementByteOrderMSB") or flags.get("BinaryDataByteOrderMSB")
    return _MhdHeader(
        shape=_numbers(path, fields, "DimSize", int) or (),
        spacing=_numbers(path, fields, "ElementSpacing", float),
        matrix=_numbers(path, fields, "TransformMatrix", float),
        offset=_numbers(path, fields, "Offset", float),
        dtype=np.dtype(_MHD_TYPES[fields["ElementType"]]).newbyteorder(">" if big_endian else "<"),
        packed=flags.get("CompressedData", False),
        pixels=pixels,
        start=start if local else 0,
    )


def _mhd_fields(path: Path) -> tuple[dict[str, str], int]:
    """The lines up to `ElementDataFile`, which is the last, and where what follows it begins."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _MHD_TEXT and (line := file.readline(_MHD_TEXT)):
            key, _, value = line.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf").partition("=")
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile" and value.strip().upper() == "LOCAL":
                break
        return fields, file.tell()


def _numbers(path: Path, fields: dict[str, str], key: str, kind: Any) -> tuple[Any, ...] | None:
    try:
        return tuple(map(kind, fields[key].split())) if fields.get(key) else None
    except ValueError:
        raise DataError(f"{path}: can't be read, as its {key} isn't a row of numbers; correct that line") from None


def _load_mhd(path: Path) -> _Volume:
    header = _mhd_header(path)
    axes = _axes(path, header.shape)
    expected = math.prod(header.shape) * header.dtype.itemsize
    check_bytes(header.pixels)
    data = header.pixels.read_bytes()[header.start :]
    if header.packed:
        try:
            data = zlib.decompressobj().decompress(data, expected + 1)
        except zlib.error:
            raise DataError(f"{header.pixels}: its compressed pixels are damaged; restore the file") from None
    if len(data) != expected:
        raise DataError(f"{header.pixels}: doesn't hold the {expected} bytes that {path.name} declares; restore it")
    stored = np.frombuffer(data, header.dtype).reshape(header.shape, order="F")
    told: tuple[str, ...] = ()
    spacing = None
    if header.spacing and len(header.spacing) > max(axes.picture):
        spacing, told = _known_spacing(path, tuple(header.spacing[axis] for axis in axes.picture))
    directions, n = None, len(header.shape)
    if header.matrix and len(header.matrix) == n * n:
        rows = np.reshape(header.matrix, (n, n))[list(axes.picture), :3]
        directions = np.pad(rows, ((0, 0), (0, 3 - rows.shape[1])))
    return _Volume(stored, axes, spacing, directions, not any((header.offset or ())[:2]), told)
