"""What is said of a volume, video or table that can't be used: cause and sentence, without a parser's own words."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmarks.fuzz_readers import PICTURE, write_camus, write_echonet, write_mhd, write_nifti, write_video
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import open_path, volumes

JARGON = re.compile(r"\w*(Error|Exception)\b|Traceback|codec|dtype|0x[0-9a-f]{4}")


def sentence(spec: str | Path) -> str:
    """What is said of the first bad item of a data set or a file."""
    with pytest.raises(DataError) as refused:
        for frame in open_source(spec) if isinstance(spec, str) else open_path(spec):
            frame.read()
    return str(refused.value)


def nifti(root: Path, change: Callable[[bytearray], object] = lambda data: None, values: np.ndarray = PICTURE) -> Path:
    path = write_nifti(root / "a.nii", values)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def cut_gzip(root: Path) -> Path:
    path = root / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti(root).read_bytes())[:-200])
    return path


def mhd(root: Path, *change: str) -> Path:
    path = write_mhd(root / "a.mhd", PICTURE)
    path.write_text(path.read_text().replace(*change))
    return path


def camus(root: Path, labels: np.ndarray) -> str:
    write_nifti(write_camus(root) / "patient0001_4CH_ED_gt.nii.gz", labels)
    return f"camus:{root}"


def nnunet(root: Path) -> str:
    write_nifti(root / "imagesTr" / "patient0001_4CH_ED_0000.nii.gz", PICTURE)
    write_nifti(root / "labelsTr" / "patient0001_4CH_ED.nii.gz", PICTURE // 100)
    return f"camus:{root}"


def echonet(root: Path, table: str, *change: str) -> str:
    path = write_echonet(root) / table
    path.write_text(path.read_text().replace(*change))
    return f"echonet:{root}"


def video(root: Path, data: bytes) -> Path:
    (root / "a.avi").write_bytes(data)
    return root / "a.avi"


CAUSES: dict[str, tuple[Callable[[Path], str | Path], str]] = {
    "a NIfTI's start is text": (lambda root: nifti(root, lambda d: d.__setitem__(slice(0, 4), b"text")), "begin as a"),
    "a NIfTI is cut in its header": (lambda root: nifti(root, lambda d: d.__delitem__(slice(90, None))), "begin as a"),
    "a NIfTI is cut in its pixels": (lambda root: nifti(root, lambda d: d.__delitem__(slice(500, None))), "fewer"),
    "a gzip is cut": (cut_gzip, "compressed content is cut short or damaged"),
    "fractions": (lambda root: nifti(root, values=PICTURE / 300.0), "multiply them by 255"),
    "an mhd without its raw": (lambda root: mhd(root, "a.raw", "b.raw"), "names b.raw as the file with its pixels"),
    "an mhd without a name": (lambda root: mhd(root, "ElementDataFile", "Data"), "no line ElementDataFile"),
    "an mhd of words": (lambda root: mhd(root, "32 24", "wide high"), "its DimSize isn't a row of numbers"),
    "an mhd of vectors": (lambda root: mhd(root, "MET_UCHAR", "MET_UCHAR_ARRAY"), "convert it to NIfTI"),
    "labels between labels": (lambda root: camus(root, PICTURE / 128), "nearest neighbour"),
    "labels of 0 and 255": (lambda root: camus(root, np.uint8(255) * (PICTURE > 99)), "the values 0, 255, not labels"),
    "labels of another size": (lambda root: camus(root, np.zeros((9, 9), np.uint8)), "9 x 9 and 32 x 24"),
    "labels of two frames": (lambda root: camus(root, np.zeros((24, 32, 2), np.uint8)), "has 2 frames, its image"),
    "nnU-Net's folders": (nnunet, "laid out as for nnU-Net"),
    "a table without a column": (lambda root: echonet(root, "FileList.csv", "Split", "Side"), "columns Split"),
    "no video": (lambda root: video(root, b"#EXTM3U\n"), "neither an AVI nor an MP4"),
    "a video without pictures": (lambda root: video(root, b"RIFF\4\0\0\0AVI "), "can't be decoded"),
    "a video that is cut": (lambda root: video(root, write_video(root / "b.avi", [9]).read_bytes()[:-9]), "cut short"),
}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
def test_the_sentence_says_what_was_found_and_what_to_do(tmp_path: Path, cause: str) -> None:
    make, words = CAUSES[cause]
    said = sentence(make(tmp_path))
    assert words in said and str(tmp_path) in said and "\n" not in said
    assert not JARGON.search(said), said


def test_the_search_for_jargon_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "HeaderDataError", KeyError)
    monkeypatch.setattr(volumes, "WrapStructError", KeyError)
    make, words = CAUSES["a NIfTI is cut in its header"]
    assert words not in sentence(make(tmp_path))
    assert JARGON.search("can't be read (KeyError: 'shapes')") and JARGON.search("'utf-8' codec can't decode")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_metaimage_that_holds_its_pixels_is_read(tmp_path: Path, packed: bool, end: str) -> None:
    image = SimpleITK.GetImageFromArray(PICTURE)
    image.SetSpacing((0.4, 0.3))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"), useCompression=packed)
    header, mark, pixels = (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    for name in ("b.mha", "c.mhd"):
        (tmp_path / name).write_bytes((header + mark).replace(b"\n", end.encode()) + pixels)
        (frame,) = open_path(tmp_path / name)
        np.testing.assert_array_equal(frame.read().image, PICTURE)
        assert frame.read().spacing_mm == (0.3, 0.4)


def test_a_nifti_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.nii.gz", tmp_path / "b.nii"
    plain.write_bytes(nifti(tmp_path).read_bytes())
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    nibabel.save(nibabel.Nifti2Image(PICTURE.T, np.eye(4)), tmp_path / "c.nii")
    for path in (plain, packed, tmp_path / "c.nii"):
        np.testing.assert_array_equal(open_path(path)[0].read().image, PICTURE)


def test_testing_patients_without_labels_are_told_and_others_refused(tmp_path: Path) -> None:
    write_camus(tmp_path / "training")
    for patient in ("patient0001", "patient0451"):
        write_camus(tmp_path / "testing", patient)
        for labels in (tmp_path / "testing" / patient).glob("*_gt*"):
            labels.unlink()
    with pytest.warns(match="4 pictures of testing patients have no label map beside them and are left out"):
        assert len(open_source(f"camus:{tmp_path}")) == 2
    (tmp_path / "training" / "patient0001" / "patient0001_4CH_ES_gt.nii.gz").unlink()
    with pytest.warns(match="testing"):
        assert "the map of the labels of patient0001_4CH_ES.nii.gz" in sentence(f"camus:{tmp_path}")
