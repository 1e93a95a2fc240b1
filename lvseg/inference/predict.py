"""Segment whatever files and folders a person has: masks, overlays and measurements."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import tee
from pathlib import Path

import numpy as np
import pandas as pd

from lvseg import clinical, files
from lvseg.data import plausible
from lvseg.errors import DataError, DataWarning
from lvseg.inference import outputs
from lvseg.inference.segmenter import Segmenter
from lvseg.masks import Spacing, overlay, write_png
from lvseg.readers import Frame, Pixels, disc_files, image_files, list_file, may_show_names, no_images
from lvseg.readers.common import stem

MEASUREMENTS = "measurements.csv"


def predict(
    segmenter: Segmenter,
    inputs: Iterable[Path],
    out: Path,
    *,
    anonymous: bool = False,
    labelme: bool = False,
    quality: bool = False,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Segment files and folders into `out`: `NAME_mask.png`, `NAME_overlay.png`, and a row in `measurements.csv`.

    NAME is the file's stem, with the frame's number from 1 in a cine (`stem_0001`). A mask has 0 outside and 255
    inside, in the image's own size, upright. Of a folder, sub-folders, hidden files, labels and masks are passed over;
    where nothing is left, the DICOM files in its sub-folders are taken, their folders before NAME.
    Of a scanner's screen the two-dimensional image alone is segmented and shown in the overlay.
    Masks of a NIfTI file are also written as NIfTI, in the file's own geometry (`stem_mask.nii.gz`).
    anonymous: NAME is a number, the files' names stand in `key.csv` alone. labelme: outlines and pictures go into
    `labelme/` too, to be corrected there. quality: a column `trust`, and `overview.png` with the least trusted first.
    Returns the measurements, a row per frame (lengths, areas and volumes are NaN where the spacing is not known, and
    where they can't be: then `doubt` says why, which is NaN elsewhere, and `DataWarning` once for a file), and by
    file a sentence for each that couldn't be used; the others are written all the same, as are the good frames of
    a damaged cine. Nothing is made where there are none. Raises `lvseg.DataError` where `out` can't be written.
    """
    frames, problems = _collect(inputs, out)
    if anonymous:
        frames = outputs.anonymous(frames, out)
        _check_names({frame.name: frame for frame in frames}, {}, out)
    pictures, ahead = tee(_readable(frames, problems))  # the segmenter reads a batch ahead
    masks = segmenter.masks(pixels.shown for _, pixels in ahead)
    rows = []
    for (frame, pixels), part in zip(pictures, masks, strict=True):
        mask = _pasted(part, pixels)
        write_png(out / f"{frame.name}_mask.png", mask.astype(np.uint8) * 255)
        write_png(out / f"{frame.name}_overlay.png", overlay(pixels.shown, part))
        file = frame.patient if anonymous else str(frame.files[0])
        rows.append({"file": file, "frame": frame.name, **_measure(mask, pixels.spacing_mm, pixels.region)})
        if labelme:
            outputs.write_labelme(frame, pixels.shown, part, out)
        if quality:
            rows[-1]["trust"] = outputs.agreement(segmenter, pixels.shown, part)
    table = pd.DataFrame(rows)
    if rows:
        _doubt_jumps(table)
        _tell_doubts(table, {frame.name: frame.files[0] for frame in frames})
        outputs.write_nifti_masks(frames, out)
        if quality:
            table.loc[table.doubt.notna(), "trust"] = 0.0
            outputs.write_overview(table, out)
        text = files.csv_text(table, float_format="%.6g")
        files.write_text(out / MEASUREMENTS, text.encode(errors="replace").decode())  # names may be no UTF-8
    return table, problems


def ejection_fractions(table: pd.DataFrame) -> pd.DataFrame:
    """Of `predict`'s measurements, a row per cine whose volumes are known: its ejection fraction from one plane.

    Columns: file; ed_frame, es_frame, the names of the frames of largest and smallest area; edv_ml, esv_ml, their
    volumes by the method of disks; ef_percent; doubt, why that is NaN ("" where it isn't). Frames in which no LV was
    found are passed over, and so are doubted ones; where those are half of a cine, nothing is said of it.
    """
    rows = []
    for file, cine in table.groupby("file", sort=False):
        seen = cine[cine.volume_ml.notna()]
        if len(seen) > max(1, ((cine.lv_pixels > 0) & cine.volume_ml.isna()).sum()):
            ed, es = (seen.iloc[i] for i in clinical.ed_es_frames(seen.area_mm2))
            said = plausible.ejection_doubt(ed.volume_ml, es.volume_ml)
            ef = np.nan if said else clinical.ejection_fraction(ed.volume_ml, es.volume_ml)
            rows.append((file, ed.frame, es.frame, ed.volume_ml, es.volume_ml, ef, said))
    columns = ["file", "ed_frame", "es_frame", "edv_ml", "esv_ml", "ef_percent", "doubt"]
    return pd.DataFrame(rows, columns=columns)


def _collect(inputs: Iterable[Path], out: Path) -> tuple[list[Frame], dict[str, str]]:
    """Every input's frames, named as their output will be, and by file a sentence for each that can't be used."""
    frames: dict[str, Frame] = {}
    problems: dict[str, str] = {}
    for path in inputs:
        images = 0
        for search in (image_files, disc_files):
            for file in [] if images else search(path):
                try:
                    found = {frame.name.casefold(): frame for frame in _named(list_file(file), file, path)}
                    _check_names(found, frames, out)
                except DataError as error:
                    images += 1
                    problems[str(file)] = str(error)
                else:
                    images += len(found)
                    frames |= found
        if not images:
            problems[str(path)] = no_images(path)
    return list(frames.values()), problems


def _named(frames: list[Frame], file: Path, folder: Path) -> list[Frame]:
    """The frames of one file by the file's own stem, whatever is in it, and their number where there are several.

    The sub-folders of `folder` that the file lies in come before it.
    """
    deeper = file.relative_to(folder).parts[:-1] if file != folder else ()
    name = "_".join((*deeper, stem(file)))
    if len(frames) == 1:
        return [replace(frames[0], name=name)]
    return [replace(frame, name=f"{name}_{number:04d}") for number, frame in enumerate(frames, start=1)]


def _check_names(found: dict[str, Frame], frames: dict[str, Frame], out: Path) -> None:
    """Raises `lvseg.DataError` where a mask would replace another input's, or one that somebody else drew."""
    for name, frame in found.items():
        file = frame.files[0]
        drawn = [
            out / f"{frame.name}_mask.png",
            *([out / f"{stem(file)}_mask.nii.gz"] if outputs.is_nifti(file) else []),
        ]
        if name in frames and frames[name].files[0].absolute() != file.absolute():
            raise DataError(f"{file}: its masks would be named as those of {frames[name].files[0]}; rename one of them")
        mask = next((mask for mask in drawn if mask.exists()), None)
        if mask and out.samefile(file.parent) and not (out / MEASUREMENTS).exists():
            raise DataError(f"{file}: beside it is a {mask.name} that lvseg didn't make; choose another output folder")


def _readable(frames: Iterable[Frame], problems: dict[str, str]) -> Iterator[tuple[Frame, Pixels]]:
    """The frames with their pixels; `problems` gets a sentence for each file that has an unreadable frame.

    At the end it is told which files may show names.
    """
    screens: dict[Path, bool] = {}
    for frame in frames:
        file = frame.files[0]
        try:
            pixels = frame.read()
            if file not in screens:
                screens[file] = pixels.region is None and may_show_names(file)
        except DataError as error:
            problems.setdefault(str(file), str(error))
        else:
            yield frame, pixels
    if named := [file for file, may in screens.items() if may]:
        others = f" (nor do {len(named) - 1} other files)" if len(named) > 1 else ""
        said = (
            f"{named[0]}: doesn't say that no text is burnt into it, nor where its two-dimensional image is{others}; "
            "overlays show the whole picture, so look for names before you share them"
        )
        warnings.warn(DataWarning(said), stacklevel=2)


def _pasted(part: np.ndarray, pixels: Pixels) -> np.ndarray:
    """The mask of what is shown, in the whole picture's size."""
    if pixels.region is None:
        return part
    mask = np.zeros(pixels.image.shape, bool)
    mask[pixels.region] = part
    return mask


_MEASURED = ["area_mm2", "length_mm", "volume_ml"]


def _measure(mask: np.ndarray, spacing_mm: Spacing | None, region: tuple[slice, slice] | None) -> dict[str, object]:
    """A frame's measurements; those in mm are NaN where the spacing is not known, or the frame is doubted."""
    height, width = mask.shape
    row_mm, column_mm = spacing_mm or (np.nan, np.nan)
    said = plausible.doubt(mask, region)
    sizes = (np.nan,) * 3 if spacing_mm is None or said else clinical.measured(mask, spacing_mm)
    if spacing_mm is not None and not said and (said := plausible.size_doubt(*sizes, spacing_mm)):
        sizes = (np.nan,) * 3
    return {
        "height": height,
        "width": width,
        "lv_pixels": int(mask.sum()),
        "row_mm": row_mm,
        "column_mm": column_mm,
        **dict(zip(_MEASURED, sizes, strict=True)),
        "doubt": said or np.nan,
    }


def _doubt_jumps(table: pd.DataFrame) -> None:
    """Doubt, in a cine, the frames whose area jumps; `table` is changed."""
    table["doubt"] = table.doubt.astype(object)
    for _, cine in table.groupby("file", sort=False):
        for place, said in plausible.jumps(cine.lv_pixels.to_numpy()).items():
            row = cine.index[place]
            table.loc[row, _MEASURED] = np.nan
            if pd.isna(table.doubt[row]):
                table.loc[row, "doubt"] = said


def _tell_doubts(table: pd.DataFrame, paths: Mapping[str, Path]) -> None:
    """Say once a file what is doubtful in it."""
    for _, frames in table.groupby("file", sort=False):
        doubted = frames[frames.doubt.notna()]
        if len(doubted):
            first = doubted.iloc[0]
            where = f" (in {len(doubted)} of {len(frames)} frames, first {first.frame})" if len(frames) > 1 else ""
            said = f"{paths[first.frame]}: not measured, as {first.doubt}{where}"
            warnings.warn(DataWarning(said), stacklevel=3)
