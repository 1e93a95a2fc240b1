"""DICOM files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLossless,
    MediaStorageDirectoryStorage,
)

from benchmarks.fuzz_readers import PICTURE, region, write_dicom
from tests.field import dicom_support as support
from tests.readers.causes import Cause

COLOURS = np.dstack([PICTURE, 255 - PICTURE, PICTURE // 2])
THREE = np.stack([PICTURE, 255 - PICTURE, PICTURE[::-1]])
JPEG = support.jpeg(PICTURE)


def plain(pixels: np.ndarray = PICTURE, colour: str = "MONOCHROME2", without: tuple[str, ...] = (), **tags: object):
    def make(root: Path) -> Path:
        path = write_dicom(root / "a", pixels, colour, **tags)
        if without:
            data = pydicom.dcmread(path)
            for name in without:
                delattr(data, name)
            data.save_as(path)
        return path

    return make


def packed(frame: bytes, like: np.ndarray = PICTURE, colour: str = "MONOCHROME2", **tags: object):
    syntax = tags.pop("syntax", JPEGBaseline8Bit)
    return lambda root: support.write_compressed(root / "a", [frame], syntax, like, colour, **tags)


def spoilt(change: Callable[[bytes], bytes], make: Callable[[Path], Path] = plain()):  # noqa: B008
    def spoil(root: Path) -> Path:
        path = make(root)
        path.write_bytes(change(path.read_bytes()))
        return path

    return spoil


def bare(root: Path) -> Path:
    """Without preamble, mark and first part."""
    data = pydicom.dcmread(write_dicom(root / "a", PICTURE))
    del data.preamble, data.file_meta
    data.save_as(root / "a", implicit_vr=True, little_endian=True, enforce_file_format=False)
    return root / "a"


def index(root: Path) -> Path:
    data = pydicom.dcmread(write_dicom(root / "DICOMDIR", PICTURE))
    del data.Rows, data.PixelData
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    data.save_as(root / "DICOMDIR")
    return root / "DICOMDIR"


def disc(root: Path) -> Path:
    write_dicom(root / "DICOM" / "IM1", PICTURE)
    return root


def folders(root: Path) -> Path:
    (root / "deeper").mkdir()
    (root / "deeper" / "a.png").write_bytes(b"")
    return root


def notes(root: Path) -> Path:
    (root / "notes.txt").write_text("hello")
    return root / "notes.txt"


def drawn_fractions(root: Path) -> Path:
    data = pydicom.dcmread(write_dicom(root / "a", PICTURE))
    del data.PixelData
    data.FloatPixelData = PICTURE.astype(np.float32).tobytes()
    data.save_as(root / "a")
    return root / "a"


def regions(*found: pydicom.Dataset, **tags: object):
    return plain(SequenceOfUltrasoundRegions=list(found), **tags)


def adobe(root: Path) -> Path:
    return support.write_compressed(
        root / "a", [support.jpeg(COLOURS, keep_rgb=True)], JPEGBaseline8Bit, COLOURS, "YBR_FULL_422"
    )


def signed(root: Path) -> Path:
    return write_dicom(root / "a", PICTURE, PixelRepresentation=1)


PLACED = support.region(0, 0, 9, 9)
BESIDE = support.region(20, 0, 29, 9)

CAUSES = {
    "no image": Cause(
        notes,
        "{root}/notes.txt: holds no PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000, NIfTI, MetaImage, "
        "DICOM, AVI or MP4 image; name one, or a folder of them",
    ),
    "an index of a disc": Cause(
        index, "{root}/DICOMDIR: is a DICOM without an image (a report, or the index of a disc); name its folder"
    ),
    "pictures in sub-folders": Cause(
        folders,
        "{root}: holds no PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000, NIfTI, MetaImage, DICOM, AVI or "
        "MP4 image itself, and sub-folders are passed over; name the one to segment",
    ),
    "a disc": Cause(disc, "{root}: holds no image itself; the DICOM files in its sub-folders were taken (1)"),
    "cut in its pixels": Cause(
        spoilt(lambda data: data[:-100]), "{root}/a: ends within its pixels; restore it from its source", True
    ),
    "cut before its pixels": Cause(
        spoilt(lambda data: data[: data.index(b"\xe0\x7f\x10\0")]),
        "{root}/a: ends before its pixels; restore it from its source",
        True,
    ),
    "cut in its pixels' tag": Cause(
        spoilt(lambda data: data[: data.index(b"\xe0\x7f\x10\0") + 4]),
        "{root}/a: ends before its pixels; restore it from its source",
        True,
    ),
    "cut in its header": Cause(
        spoilt(lambda data: data[:140]), "{root}/a: ends within its header; restore it from its source", True
    ),
    "cut after its mark": Cause(
        spoilt(lambda data: data[:132]), "{root}/a: ends within its header; restore it from its source", True
    ),
    "no first part": Cause(
        bare, "{root}/a: lacks a DICOM file's first part, which says how pixels are stored; read as not compressed"
    ),
    "a first part that says another way": Cause(
        spoilt(lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")),
        "{root}/a: is written in another way than its first part says (with or without types); read as it is",
    ),
    "a manufacturer's way": Cause(
        spoilt(lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.841.10008.1.2.1\0")),
        "{root}/a: stores its pixels in a manufacturer's own way; export it as standard DICOM",
    ),
    "deflated": Cause(
        plain(syntax=DeflatedExplicitVRLittleEndian), "{root}/a: is a deflated DICOM; save it uncompressed"
    ),
    "a video": Cause(
        packed(bytes(500), COLOURS, "YBR_PARTIAL_420", syntax=MPEG4HP41),
        "{root}/a: holds an MPEG-4 video, which isn't read inside a DICOM; export it as MP4 or uncompressed DICOM",
    ),
    "too large": Cause(
        plain(Rows=65535, Columns=65535),
        "{root}/a: declares 65535 x 65535 pixels, not 1 to 16777216; make it smaller, or export it "
        "again if that isn't its size",
    ),
    "no colour model": Cause(
        plain(without=("PhotometricInterpretation",)),
        "{root}/a: doesn't say what its numbers mean; set PhotometricInterpretation (MONOCHROME2 if they are grey)",
    ),
    "an unknown colour model": Cause(
        plain(PhotometricInterpretation="CMYK"),
        "{root}/a: PhotometricInterpretation isn't a known one that fits its SamplesPerPixel; correct the two",
    ),
    "no bits": Cause(
        plain(without=("BitsAllocated",)), "{root}/a: doesn't say how many bits a number has; set BitsAllocated"
    ),
    "no sign": Cause(
        plain(without=("PixelRepresentation",)), "{root}/a: has no PixelRepresentation; it was taken as 0"
    ),
    "8 bits with a sign": Cause(
        signed, "{root}/a: says that its 8-bit numbers have a sign, as no ultrasound's have; does it look right?"
    ),
    "upper bits": Cause(
        plain(BitsAllocated=16, BitsStored=12, HighBit=15),
        "{root}/a: has its numbers in the upper bits (HighBit); export it with them in the lower ones",
    ),
    "single bits": Cause(
        plain(BitsAllocated=1, BitsStored=1, HighBit=0, Rows=3, Columns=3),
        "{root}/a: its rows aren't stored in whole bytes; export it with 8 bits a pixel",
    ),
    "a number of frames below 0": Cause(
        plain(NumberOfFrames=-4),
        "{root}/a: declares a number of frames that isn't within 1 to 9999; correct NumberOfFrames",
    ),
    "another number of frames": Cause(
        plain(THREE, NumberOfFrames=2), "{root}/a: states 2 frames and holds 3; those were taken"
    ),
    "bytes after the last frame": Cause(
        plain(THREE, PixelData=THREE.tobytes() + bytes(64)),
        "{root}/a: has 64 bytes after its last frame; they were left out",
    ),
    "another width": Cause(
        plain(THREE, Columns=20),
        "{root}/a: its pixels are no whole number of frames of 24 x 20; correct Rows, Columns or what "
        "says how a pixel is stored, or export it again",
    ),
    "more rows than there are": Cause(
        plain(Rows=240),
        "{root}/a: can't be read, as its pixels are less than one frame of 240 x 32; correct Rows, "
        "Columns or what says how a pixel is stored, or export it again",
    ),
    "fractions": Cause(drawn_fractions, "{root}/a: holds fractions, not grey levels; export it as an ordinary image"),
    "pixels that aren't compressed": Cause(
        spoilt(lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")),
        "{root}/a: its pixels aren't compressed as its transfer syntax says; export it again",
    ),
    "colours said to be half": Cause(
        plain(COLOURS, "YBR_FULL_422"),
        "{root}/a: says that its colours have half resolution, but its pixels have full; correct "
        "PhotometricInterpretation (YBR_FULL_422 is half; RGB and YBR_FULL are full)",
    ),
    "colours of 16 bits": Cause(
        plain(np.zeros((4, 5, 3), np.uint16), "RGB"),
        "{root}/a: has colours of more than 8 bits; convert it to 8 bits a channel",
    ),
    "damaged pixels": Cause(
        packed(b"\xff\xd8\xff", syntax=JPEGLossless),
        "{root}/a: can't be read, as its pixels are damaged or compressed in a way that isn't known "
        "here; restore it from its source, or export it uncompressed",
        True,
    ),
    "JPEG Lossless of 12 bits": Cause(
        packed(
            support.jpeg_lossless(PICTURE.astype(np.uint16) * 16, 12), PICTURE.astype(np.uint16), syntax=JPEGLossless
        ),
        "{root}/a: holds JPEG frames of 12 bits a number, and only those of 8 are read; export it "
        "uncompressed, or as JPEG 2000, JPEG-LS or RLE",
    ),
    "a compressed picture of another size": Cause(
        packed(support.jpeg(PICTURE.T)),
        "{root}/a: states 24 x 32 pixels, but its compressed frames have 32 x 24; correct Rows and "
        "Columns, or export it again",
    ),
    "a compressed picture of other channels": Cause(
        packed(support.jpeg(COLOURS)),
        "{root}/a: states one grey channel (MONOCHROME2), but its compressed frames hold three of "
        "colour; correct PhotometricInterpretation and SamplesPerPixel, or export it again",
    ),
    "a JPEG of RGB": Cause(adobe, "{root}/a: says another colour model than its JPEG frames do; theirs was taken"),
    "a JPEG under the colours of JPEG 2000": Cause(
        packed(support.jpeg(COLOURS), COLOURS, "YBR_ICT"),
        "{root}/a: says another colour model than its JPEG frames do; theirs was taken",
    ),
    "a palette without its colours": Cause(
        plain(PhotometricInterpretation="PALETTE COLOR"),
        "{root}/a: can't be read as DICOM, as its header is damaged or against the standard; restore it "
        "from its source, or export it again",
        True,
    ),
    "no range": Cause(
        plain(RescaleSlope=0, RescaleIntercept=0),
        "{root}/a: states no range of grey levels; correct its window or its rescale slope",
    ),
    "a window that shows nothing": Cause(
        plain(WindowCenter=5000, WindowWidth=10),
        "{root}/a: its window of grey levels leaves one shade only; correct WindowCenter and WindowWidth",
    ),
    "empty top bits": Cause(
        plain(PICTURE.astype(np.uint16) * 4),
        "{root}/a: states 16 bits and no window, but its values need 10, which were taken as black to white",
    ),
    "more bits than stated": Cause(
        plain(PICTURE.astype(np.uint16) * 4, BitsStored=8, HighBit=7),
        "{root}/a: states 8 bits a number, but its values need 10, which were taken",
    ),
    "times of more frames": Cause(
        plain(THREE, FrameTimeVector=[0, 20, 20, 20]),
        "{root}/a: states the times of 4 frames and holds 3; they were left out",
    ),
    "times in seconds": Cause(
        plain(THREE, FrameTime=0.02),
        "{root}/a: its times make 5e+04 frames a second; are they in ms? They were left out",
    ),
    "a pixel size of 0": Cause(
        plain(PixelSpacing=[0, 0.3]), "{root}/a: states pixels of 0 x 0.3 mm; correct its spacing (0.001 to 10 mm)"
    ),
    "a pixel size of one number": Cause(
        plain(PixelSpacing=0.3), "{root}/a: states a pixel size of one number, not two; it was taken as not known"
    ),
    "a Doppler screen": Cause(
        regions(region(1, 1, form=3)),
        "{root}/a: shows no two-dimensional image, its regions are Doppler spectra, M-modes, curves or "
        "graphics; choose a file that shows the ventricle",
    ),
    "regions beyond the picture": Cause(
        regions(support.region(0, 0, 400, 9)),
        "{root}/a: its regions don't fit into its 24 x 32 pixels, so it was cut or resized after they "
        "were measured; the whole picture was taken, its pixel size as not known",
    ),
    "two images of one size": Cause(
        regions(PLACED, BESIDE),
        "{root}/a: shows several two-dimensional images of about one size, columns 0 to 9 of rows 0 to "
        "9 and columns 20 to 29 of rows 0 to 9; save the one with the ventricle as a picture of its own",
    ),
    "a smaller image beside it": Cause(
        regions(PLACED, support.region(20, 0, 25, 5)),
        "{root}/a: shows several two-dimensional images; the largest was taken, columns 0 to 9 of rows 0 to 9",
    ),
    "regions of two scales": Cause(
        regions(region(0.05, 0.05), region(0.04, 0.04)),
        "{root}/a: its two-dimensional regions differ in scale, and none says where it is; pixel size not known",
    ),
    "two pixel sizes": Cause(
        regions(region(0.05, 0.05), PixelSpacing=[0.3, 0.3]),
        "{root}/a: states pixels of 0.5 x 0.5 mm in its two-dimensional region and others in "
        "PixelSpacing; the region's were taken",
    ),
}
