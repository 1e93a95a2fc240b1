"""Volumes that are read whatever their name or form, and testing patients without labels."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmarks.fuzz_readers import PICTURE, write_camus, write_nifti
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import open_path


def sentence(spec: str | Path) -> str:
    """What is said of the first bad item of a data set or a file."""
    with pytest.raises(DataError) as refused:
        for frame in open_source(spec) if isinstance(spec, str) else open_path(spec):
            frame.read()
    return str(refused.value)


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
    plain.write_bytes(write_nifti(tmp_path / "plain.nii", PICTURE).read_bytes())
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
