"""Which part of a scanner's screen is the two-dimensional image, and its pixel size (DICOM PS3.3, C.8.5.5)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom

from lvseg.errors import DataError
from lvseg.readers.common import stated_spacing

Place = tuple[slice, slice]

_TWO_DIMENSIONAL = 1
_TISSUE = (None, 0, 1)
"""Region data types: tissue, or nothing stated; 2 is colour flow, which lies over tissue or stands alone."""
_CENTIMETRES = 3
_CLEARLY_LARGER = 1.5


class Screen(NamedTuple):
    """What the regions of a file say.

    region: rows and columns of its two-dimensional image, where that is a part of the picture. spacing_mm: (row,
    column) size of that image's pixels. placed: whether anybody says where the two-dimensional image is.
    """

    region: Place | None = None
    spacing_mm: tuple[float, float] | None = None
    placed: bool = False


def screen_of(path: Path, header: pydicom.Dataset, doubts: list[str]) -> Screen:
    """The one two-dimensional image on the screen; `doubts` gets a sentence for what should be known of the choice.

    Raises `lvseg.DataError` where the screen shows none, or several of about one size side by side.
    """
    regions = list(header.get("SequenceOfUltrasoundRegions") or [])
    formats = [region.get("RegionSpatialFormat") for region in regions]
    flat = [region for region, form in zip(regions, formats, strict=True) if form == _TWO_DIMENSIONAL]
    if not flat and formats and all(formats):  # a format of 0, or none, says nothing
        raise DataError(
            f"{path}: shows no two-dimensional image, its regions are Doppler spectra, M-modes, curves or graphics; "
            "choose a file that shows the ventricle"
        )
    shape = int(header.Rows), int(header.Columns)
    places = [_place(region) for region in regions]
    if not all(_fits(place, shape) for place in places):
        doubts.append(
            f"its regions don't fit into its {shape[0]} x {shape[1]} pixels, so it was cut or resized after they were "
            "measured; the whole picture was taken, its pixel size as not known"
        )
        return Screen()
    placed = [
        (region, place)
        for region, form, place in zip(regions, formats, places, strict=True)
        if form == _TWO_DIMENSIONAL and place
    ]
    if not placed:
        return Screen(None, _common_spacing(path, header, flat, doubts))
    chosen, place = _choose(path, placed, doubts)
    whole = _area(place) == shape[0] * shape[1]
    return Screen(None if whole else _clip(place, shape), _common_spacing(path, header, [chosen], doubts), True)


def _place(region: pydicom.Dataset) -> Place | None:
    """Where a region lies; None where it doesn't say. Its maxima are inside it."""
    corners = [region.get(f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    if any(corner is None for corner in corners):
        return None
    left, top, right, bottom = map(int, corners)
    return slice(top, bottom + 1), slice(left, right + 1)


def _fits(place: Place | None, shape: tuple[int, int]) -> bool:
    """Whether a region is some pixels within the picture; some scanners count its end one too far."""
    if place is None:
        return True
    return all(side.start >= 0 and side.start + 1 < side.stop <= n + 1 for side, n in zip(place, shape, strict=True))


def _clip(place: Place, shape: tuple[int, int]) -> Place:
    rows, columns = (slice(side.start, min(side.stop, n)) for side, n in zip(place, shape, strict=True))
    return rows, columns


def _choose(
    path: Path, placed: list[tuple[pydicom.Dataset, Place]], doubts: list[str]
) -> tuple[pydicom.Dataset, Place]:
    """The largest image, of tissue where there is one; another beside it is told, or undecidable if as large."""
    tissue = [each for each in placed if each[0].get("RegionDataType") in _TISSUE]
    first, *others = sorted(tissue or placed, key=lambda each: -_area(each[1]))
    beside = [other for _, other in others if _overlap(first[1], other) < 0.5 * _area(other)]
    if not beside:  # an image within the image, such as a zoomed part
        return first
    if _area(first[1]) < _CLEARLY_LARGER * _area(beside[0]):
        raise DataError(
            f"{path}: shows several two-dimensional images of about one size, {_told(first[1])} and "
            f"{_told(beside[0])}; save the one with the ventricle as a picture of its own"
        )
    doubts.append(f"shows several two-dimensional images; the largest was taken, {_told(first[1])}")
    return first


def _area(place: Place) -> int:
    return (place[0].stop - place[0].start) * (place[1].stop - place[1].start)


def _overlap(one: Place, other: Place) -> int:
    sides = [max(0, min(a.stop, b.stop) - max(a.start, b.start)) for a, b in zip(one, other, strict=True)]
    return sides[0] * sides[1]


def _told(place: Place) -> str:
    rows, columns = place
    return f"columns {columns.start} to {columns.stop - 1} of rows {rows.start} to {rows.stop - 1}"


def _common_spacing(
    path: Path, header: pydicom.Dataset, regions: list[pydicom.Dataset], doubts: list[str]
) -> tuple[float, float] | None:
    """(row, column) in mm: of the regions in cm, if they agree, else `PixelSpacing`, else None."""
    stated = {spacing for region in regions if (spacing := _region_spacing(path, region))}
    if len(stated) > 1:
        doubts.append("its two-dimensional regions differ in scale, and none says where it is; pixel size not known")
        return None
    general = [float(value) for value in np.ravel(header.get("PixelSpacing", []))]
    if len(general) == 1:
        doubts.append("states a pixel size of one number, not two; it was taken as not known")
    if len(general) != 2:
        return stated.pop() if stated else None
    if not stated:
        return stated_spacing(path, *general)
    spacing = stated.pop()
    if not np.allclose(spacing, general, rtol=0.01):
        doubts.append(
            f"states pixels of {spacing[0]:g} x {spacing[1]:g} mm in its two-dimensional region and others in "
            "PixelSpacing; the region's were taken"
        )
    return spacing


def _region_spacing(path: Path, region: pydicom.Dataset) -> tuple[float, float] | None:
    units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
    deltas = [region.get("PhysicalDeltaY"), region.get("PhysicalDeltaX")]
    if units != {_CENTIMETRES} or None in deltas:
        return None
    return stated_spacing(path, *(10 * abs(float(delta)) for delta in deltas))
