"""Where the frames lie in the pixel data of a DICOM file, and what a compressed one says of itself (DICOM PS3.5, A.4).

A frame is counted where its bytes are, not where a table or `NumberOfFrames` says so: both are wrong in some files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lvseg.readers.common import MAX_FRAMES

Place = list[tuple[int, int]]
"""The (start, length) of each piece of one frame, in bytes from the start of the file."""

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MARKS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
"""How a JPEG or JPEG-LS, a JPEG 2000 and a wrapped JPEG 2000 picture begin."""
_JPEG_LS = 0xF7
_SIZES = {*range(0xC0, 0xD0), _JPEG_LS} - {0xC4, 0xC8, 0xCC}
"""JPEG's and JPEG-LS's segments that state the picture's size."""


def compressed_frames(content: Any, start: int, one_piece: bool) -> tuple[list[Place], bool]:
    """The frames from the offset table at `start` on, and whether the file goes on to their end.

    content: the file's bytes. one_piece: every piece is a frame (RLE), else one begins with each picture's mark.
    """
    pieces, whole = _pieces(content, start)
    frames: list[Place] = []
    for place, length in pieces[1:]:  # the first is the offset table
        if one_piece or not frames or content[place : place + 6].startswith(_MARKS):
            frames.append([])
        frames[-1].append((place, length))
    return frames, whole


def _pieces(content: Any, start: int) -> tuple[Place, bool]:
    pieces: Place = []
    while content[start : start + 4] == _ITEM and len(pieces) < 16 * MAX_FRAMES:
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        pieces.append((start + 8, length))
        start += 8 + length
    return pieces, content[start : start + 4] == _END


def plain_frames(start: int, length: int, size: int) -> list[Place]:
    """The frames of `size` bytes each among the `length` bytes from `start` on."""
    return [[(start + i * size, size)] for i in range(min(length // size, MAX_FRAMES + 1))]


def bytes_of(content: Any, place: Place) -> bytes | None:
    """One frame's bytes; None where the file ends before them."""
    if any(start + length > len(content) for start, length in place):
        return None
    return b"".join(content[start : start + length] for start, length in place)


def coded_shape(encoded: bytes) -> tuple[int, int, int] | None:
    """The (rows, columns, channels) that a JPEG, JPEG-LS or JPEG 2000 picture states of itself."""
    if encoded.startswith(_MARKS[1]):
        width, height, left, top = (int.from_bytes(encoded[i : i + 4], "big") for i in (8, 12, 16, 20))
        return height - top, width - left, int.from_bytes(encoded[40:42], "big")
    for marker, segment in _segments(encoded):
        if marker in _SIZES and len(segment) > 5:
            return int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big"), segment[5]
    return None


def jpeg_bits(encoded: bytes) -> int | None:
    """How many bits a number of a JPEG has by its own word; None for what is no JPEG (JPEG-LS, JPEG 2000, RLE)."""
    sizes = (segment for marker, segment in _segments(encoded) if marker in _SIZES - {_JPEG_LS})
    return next((segment[0] for segment in sizes if segment), None)


def adobe_transform(encoded: bytes) -> int | None:
    """What an Adobe segment says of a JPEG's colours: 0 for RGB, 1 for YCbCr; None where there is none."""
    for marker, segment in _segments(encoded):
        if marker == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
            return segment[11]
    return None


def _segments(encoded: Sequence[int] | bytes) -> Iterator[tuple[int, bytes]]:
    """A JPEG's segments (marker, content) before its samples."""
    place = 2
    while bytes(encoded[:2]) == b"\xff\xd8" and place + 4 <= len(encoded) and encoded[place + 1] != 0xDA:
        length = int.from_bytes(bytes(encoded[place + 2 : place + 4]), "big")
        yield encoded[place + 1], bytes(encoded[place + 4 : place + 2 + length])
        place += 2 + length
