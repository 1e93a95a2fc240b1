"""NIfTI, MetaImage and videos."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from benchmarks.fuzz_readers import PICTURE, write_camus, write_mhd, write_nifti, write_video
from tests.field.test_volume_geometry import FAN, restate
from tests.readers.causes import Cause

LPS = np.diag([-0.3, -0.3, 1.0, 1.0])


def nifti(change: Callable[[bytearray], object] = lambda data: None, values: np.ndarray = PICTURE):
    def make(root: Path) -> Path:
        path = write_nifti(root / "a.nii", values)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)
        return path

    return make


def turned(affine: np.ndarray, stored: np.ndarray = FAN.T, **header: object):
    def make(root: Path) -> Path:
        image = nibabel.Nifti1Image(stored, affine)
        for name, value in header.items():
            image.header[name] = value
        nibabel.save(image, root / "a.nii")
        return root / "a.nii"

    return make


def sizes(row: float, column: float) -> Callable[[bytearray], object]:
    return lambda data: data.__setitem__(slice(80, 88), np.array([column, row], "<f4").tobytes())


def cut_gzip(root: Path) -> Path:
    path = root / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti()(root).read_bytes())[:-200])
    return path


def bomb(root: Path) -> Path:
    path = root / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti()(root).read_bytes() + bytes(2**28), 1))
    return path


def outgrown(root: Path) -> Path:
    with (path := nifti()(root)).open("r+b") as file:
        file.truncate(2**28 + 1)
    return path


def mhd(*change: str):
    def make(root: Path) -> Path:
        path = write_mhd(root / "a.mhd", PICTURE)
        path.write_text(path.read_text().replace(*change))
        return path

    return make


def cut_raw(root: Path) -> Path:
    path = write_mhd(root / "a.mhd", PICTURE)
    (root / "a.raw").write_bytes(b"hello")
    return path


def packed_raw(root: Path) -> Path:
    path = cut_raw(root)
    path.write_text(path.read_text().replace("CompressedData = False", "CompressedData = True"))
    return path


def plain_mhd(root: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(PICTURE), str(root / "a.mha"))
    return root / "a.mha"


def labels(values: np.ndarray, spacing: tuple[float, float] = (0.3, 0.2)):
    def make(root: Path) -> str:
        write_nifti(write_camus(root / "set") / "patient0001_4CH_ED_gt.nii.gz", values, spacing)
        return f"camus:{root / 'set'}"

    return make


def unknown_numbers(root: Path) -> str:
    path = write_camus(root / "set", ending=".nii") / "patient0001_4CH_ED.nii"
    data = bytearray(path.read_bytes())
    data[70:72] = b"\x4d\x01"
    path.write_bytes(data)
    return f"camus:{root / 'set'}"


def coloured_labels(root: Path) -> str:
    path = write_camus(root / "set") / "patient0001_4CH_ED_gt.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((32, 24), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)), path)
    return f"camus:{root / 'set'}"


def video(data: bytes):
    def make(root: Path) -> Path:
        (root / "a.avi").write_bytes(data)
        return root / "a.avi"

    return make


def cut_video(root: Path) -> Path:
    return video(write_video(root / "b.avi", [20, 60, 100]).read_bytes()[:-9])(root)


def restated_video(root: Path) -> Path:
    restate(path := write_video(root / "a.avi", [20, 60]), 7)
    return path


def slow_video(root: Path) -> Path:
    data = bytearray(write_video(root / "a.avi", [20, 60]).read_bytes())
    place = data.index(b"strh") + 28  # scale and rate of the stream
    data[place : place + 8] = (4).to_bytes(4, "little") + (1).to_bytes(4, "little")
    return video(bytes(data))(root)


def empty_frame(root: Path) -> Path:
    data = write_video(root / "b.avi", [20, 60, 100]).read_bytes()
    start = data.index(b"00dc", data.index(b"movi")) + 8
    start = data.index(b"00dc", start) + 8  # the second
    length = int.from_bytes(data[start - 4 : start], "little")
    return video(data[:start] + b"\xff" * length + data[start + length :])(root)


def many_frames(root: Path) -> Path:
    return write_nifti(root / "a.nii", np.zeros((2, 2, 10_000), np.uint8))


CAUSES = {
    "a text under a NIfTI's name": Cause(
        nifti(lambda d: d.__setitem__(slice(0, 4), b"text")),
        "{root}/a.nii: doesn't begin as a NIfTI file does: it is damaged or of another kind; restore "
        "it, or convert it anew",
        True,
    ),
    "a NIfTI that is cut in its header": Cause(
        nifti(lambda d: d.__delitem__(slice(90, None))),
        "{root}/a.nii: doesn't begin as a NIfTI file does: it is damaged or of another kind; restore "
        "it, or convert it anew",
        True,
    ),
    "a NIfTI that is cut in its pixels": Cause(
        nifti(lambda d: d.__delitem__(slice(500, None))),
        "{root}/a.nii: holds fewer pixels than its header declares; restore the file",
        True,
    ),
    "a NIfTI of no known numbers": Cause(
        nifti(lambda d: d.__setitem__(slice(70, 72), b"\x4d\x01")),
        "{root}/a.nii: doesn't begin as a NIfTI file does: it is damaged or of another kind; restore "
        "it, or convert it anew",
        True,
    ),
    "a NIfTI whose pixels begin in its header": Cause(
        nifti(lambda d: d.__setitem__(slice(108, 112), np.array([16], "<f4").tobytes())),
        "{root}/a.nii: doesn't begin as a NIfTI file does: it is damaged or of another kind; restore "
        "it, or convert it anew",
        True,
    ),
    "a CAMUS picture of no known numbers": Cause(
        unknown_numbers,
        "{root}/set/patient0001/patient0001_4CH_ED.nii: isn't one whole NIfTI file; restore it, or convert it anew",
        True,
    ),
    "a gzip that is cut": Cause(
        cut_gzip, "{root}/a.nii.gz: its compressed content is cut short or damaged; restore the file", True
    ),
    "a gzip of too much": Cause(
        bomb, "{root}/a.nii.gz: unpacks to more than 268435456 bytes; cut it into single frames"
    ),
    "a NIfTI of too many bytes": Cause(
        outgrown, "{root}/a.nii: is larger than 268435456 bytes, the most that is read; divide it, or make it smaller"
    ),
    "fractions": Cause(
        nifti(values=PICTURE / 300.0), "{root}/a.nii: has fractions from 0 to 0.85; multiply them by 255"
    ),
    "values below 0": Cause(
        nifti(values=-PICTURE.astype(np.int16)),
        "{root}/a.nii: has values from -255 to 0; rescale it to grey levels 0 to 255",
    ),
    "complex numbers": Cause(
        nifti(values=PICTURE * np.complex64(1)),
        "{root}/a.nii: holds 24 x 32 values of the kind complex64, not one picture of grey levels; save "
        "it with levels 0 to 255",
    ),
    "a label map": Cause(
        nifti(values=PICTURE // 100),
        "{root}/a.nii: holds only the values 0, 1, 2: a map of labels, not a picture; leave it out",
    ),
    "frames first": Cause(
        turned(LPS, np.stack([FAN.T] * 12)),
        "{root}/a.nii: would hold 200 frames of 12 x 260 pixels; store it with the frames (or colours) "
        "along the last axis",
    ),
    "many frames": Cause(
        many_frames, "{root}/a.nii: declares 10000 frames, not 1 to 9999; divide it, or export it again"
    ),
    "no pixel size": Cause(
        nifti(sizes(0, 0.3)), "{root}/a.nii: states pixels of 0.3 x 0 mm; correct its spacing (0.001 to 10 mm)"
    ),
    "a pixel size of 1 mm": Cause(
        nifti(sizes(1, 1)),
        "{root}/a.nii: states pixels of 1 x 1 mm, and 1 mm is what programs write for not known; no mm are given",
    ),
    "two pixel sizes": Cause(
        turned(LPS, pixdim=[1, 0.6, 0.6, 1, 1, 1, 1, 1]),
        "{root}/a.nii: states pixels of 0.6 x 0.6 mm, but of 0.3 x 0.3 mm in its affine; no mm are given",
    ),
    "a plane without a way up": Cause(
        turned(np.diag([0.3, 0.3, 1, 1])[[0, 2, 1, 3]]),
        "{root}/a.nii: its affine puts the picture into a plane that has no way up; taken as stored",
    ),
    "an affine that isn't followed": Cause(
        turned(np.diag([0.3, -0.3, 1, 1]), FAN.T[:, ::-1]),
        "{root}/a.nii: its affine isn't followed, as its fan lies otherwise or it seems a default; look "
        "if it is upright",
    ),
    "a fan that lies on its side": Cause(
        turned(None, FAN, pixdim=[1, 0.3, 0.3, 1, 1, 1, 1, 1]),
        "{root}/a.nii: the tip of its ultrasound fan is at the left, not at the top; turn the picture or its affine",
    ),
    "labels of two frames": Cause(
        labels(np.zeros((24, 32, 2), np.uint8)),
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: has 2 frames, its image "
        "patient0001_4CH_ED.nii.gz has 1; bring its own map",
    ),
    "labels of another size": Cause(
        labels(np.zeros((23, 32), np.uint8)),
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: isn't in the size of its image "
        "patient0001_4CH_ED.nii.gz (32 x 23 and 32 x 24); bring its own map",
    ),
    "labels between labels": Cause(
        labels(PICTURE / 128),
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: holds values between labels (0 to "
        "1.99219), as after smooth resampling; resample its original by nearest neighbour",
    ),
    "labels of 0 and 255": Cause(
        labels(np.uint8(255) * (PICTURE > 99)),
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: holds the values 0, 255, not labels 0 to "
        "3 (0 background, 1 left ventricle); give it these",
    ),
    "labels of another pixel size": Cause(
        labels(np.zeros(PICTURE.shape, np.uint8), (0.6, 0.6)),
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: states pixels of 0.6 x 0.6 mm, its image "
        "patient0001_4CH_ED.nii.gz of 0.3 x 0.2 mm; the image's are taken",
    ),
    "labels in colours": Cause(
        coloured_labels,
        "{root}/set/patient0001/patient0001_4CH_ED_gt.nii.gz: holds colours, not labels 0 to 3; write "
        "the labels' numbers",
    ),
    "a MetaImage without its pixels": Cause(
        mhd("a.raw", "b.raw"),
        "{root}/a.mhd: names b.raw as the file with its pixels, which isn't in the same folder; put it there",
    ),
    "a MetaImage that names none": Cause(
        mhd("ElementDataFile", "Data"),
        "{root}/a.mhd: has no line ElementDataFile, which names the file of its pixels in this folder; add it",
    ),
    "a MetaImage of words": Cause(
        mhd("32 24", "wide high"),
        "{root}/a.mhd: can't be read, as its DimSize isn't a row of numbers; correct that line",
    ),
    "a MetaImage of vectors": Cause(
        mhd("MET_UCHAR", "MET_UCHAR_ARRAY"), "{root}/a.mhd: isn't a grey image of bare numbers; convert it to NIfTI"
    ),
    "a MetaImage with fewer pixels": Cause(
        cut_raw, "{root}/a.raw: doesn't hold the 768 bytes that a.mhd declares; restore it", True
    ),
    "a MetaImage of damaged pixels": Cause(
        packed_raw, "{root}/a.raw: its compressed pixels are damaged; restore the file", True
    ),
    "a MetaImage of 1 mm": Cause(
        plain_mhd,
        "{root}/a.mha: states pixels of 1 x 1 mm, and 1 mm is what programs write for not known; no mm are given",
    ),
    "no video": Cause(video(b"#EXTM3U\n"), "{root}/a.avi: is neither an AVI nor an MP4 video; convert it to one"),
    "a video that is cut": Cause(
        cut_video, "{root}/a.avi: is cut short, so that its last frames would be wrong; restore the video", True
    ),
    "a video of nothing": Cause(
        video(b"RIFF\4\0\0\0AVI "),
        "{root}/a.avi: can't be decoded, as it is damaged or in a rare format; convert it to MJPEG AVI",
    ),
    "a video without pictures": Cause(
        lambda root: video(
            (data := write_video(root / "b.avi", [9]).read_bytes())[: (end := data.index(b"movi") + 4)].replace(
                data[4:8], (end - 8).to_bytes(4, "little"), 1
            )
        )(root),
        "{root}/a.avi: holds no picture that can be decoded; export it again as MJPEG AVI",
    ),
    "a video of fewer frames than stated": Cause(
        restated_video, "{root}/a.avi: states 7 frames but holds 2, which are taken"
    ),
    "a video that is too slow": Cause(
        slow_video, "{root}/a.avi: states 0.25 frames a second, which no echo cine has; its rate counts as not known"
    ),
    "a video with a damaged frame": Cause(
        empty_frame, "{root}/a.avi: frame 2 can't be decoded, so it is damaged; restore the video", True
    ),
}
