"""CAMUS against files made here, nibabel's reading, and the real data set where it is present."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from benchmarks.fuzz_readers import PICTURE, write_camus, write_camus_cine, write_nifti
from benchmarks.real_data import CAMUS, CAMUS_MHD
from lvseg.data.source import open_source
from tests.readers.support import refused
from tests.support import needs_camus, needs_camus_mhd


def test_camus_frames_are_upright_with_mask_spacing_and_subset(tmp_path: Path) -> None:
    root = tmp_path / "database_nifti"
    write_camus_cine(root)
    write_camus(root)
    write_camus(root, "patient0002", "2CH", ".nii")
    (tmp_path / "database_split").mkdir()
    (tmp_path / "database_split" / "subgroup_training.txt").write_text("patient0001\npatient0400\n")
    (tmp_path / "database_split" / "subgroup_testing.txt").write_text("patient0002")

    for place in (tmp_path, root):
        frames = open_source(f"camus:{place}")
        assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
            ("patient0001_4CH_ED", "patient0001", "4CH", "ED", "training"),
            ("patient0001_4CH_ES", "patient0001", "4CH", "ES", "training"),
            ("patient0002_2CH_ED", "patient0002", "2CH", "ED", "testing"),
            ("patient0002_2CH_ES", "patient0002", "2CH", "ES", "testing"),
        ]
    image, mask, spacing, *_ = frames[0].read()
    np.testing.assert_array_equal(image, PICTURE)
    assert mask is not None and mask[4:12, 5:15].all() and mask.sum() == 80
    assert image.dtype == np.uint8 and mask.dtype == bool
    assert spacing == (0.2, 0.3)
    assert frames[0].facts == {
        "ef_percent": 63.2, "edv_ml": 94.0, "esv_ml": 34.6, "age_years": 56.0, "sex": "F", "quality": "Good"
    }  # fmt: skip


def test_camus_facts_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    info = write_camus(tmp_path) / "Info_4CH.cfg"
    info.write_text("EF: 54\nFrameRate: 51.2\nLVedv: soon\nLVesv: -3\nAge:\nSex: \nnonsense\n")
    assert open_source(f"camus:{tmp_path}")[0].facts == {"ef_percent": 54.0, "frame_rate_hz": 51.2}
    info.unlink()
    assert open_source(f"camus:{tmp_path}")[0].facts == {}


def test_one_heart_under_two_names_is_one_patient(tmp_path: Path) -> None:
    for patient in ("patient0033", "patient0068", "patient0069"):
        write_camus(tmp_path, patient)
    frames = open_source(f"camus:{tmp_path}")
    assert sorted({f.patient for f in frames}) == ["patient0033", "patient0069"]
    assert len({f.name for f in frames}) == 6


def test_a_patient_on_two_sides_of_the_official_split_is_refused(tmp_path: Path) -> None:
    write_camus(tmp_path)
    (tmp_path / "database_split").mkdir()
    for side in ("training", "validation"):
        (tmp_path / "database_split" / f"subgroup_{side}.txt").write_text("patient0001\n")
    refused(lambda: open_source(f"camus:{tmp_path}"), "subgroup_validation.txt", "patient0001", "training")


def test_camus_labels_are_checked(tmp_path: Path) -> None:
    folder = write_camus(tmp_path)
    labels = folder / "patient0001_4CH_ED_gt.nii.gz"
    write_nifti(labels, np.full(PICTURE.shape, 4, np.uint8))
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "0 to 3")
    write_nifti(labels, np.zeros((23, 32), np.uint8))
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "size")
    labels.unlink()
    refused(open_source(f"camus:{tmp_path}")[0].read, labels, "no such file")
    write_nifti(labels, np.zeros(PICTURE.shape, np.uint8))  # an empty mask is a mask
    mask = open_source(f"camus:{tmp_path}")[0].read().mask
    assert mask is not None and not mask.any()


def test_camus_mhd_keeps_native_pixels(tmp_path: Path) -> None:
    for name, values in (("", PICTURE), ("_gt", (PICTURE > 99).astype(np.uint8))):
        image = SimpleITK.GetImageFromArray(values[None])
        image.SetSpacing((0.308, 0.154, 1.54))
        SimpleITK.WriteImage(image, str(tmp_path / f"patient0003_2CH_ES{name}.mhd"))
    (frame,) = open_source(f"camus:{tmp_path}")
    assert (frame.patient, frame.view, frame.phase, frame.subset) == ("patient0003", "2CH", "ES", "")
    image, mask, spacing, *_ = frame.read()
    np.testing.assert_array_equal(image, PICTURE)
    np.testing.assert_array_equal(mask, PICTURE > 99)
    assert spacing == (0.154, 0.308)


@needs_camus
def test_real_camus_lists_all_and_reads_as_nibabel_does() -> None:
    frames = open_source(f"camus:{CAMUS}")
    assert len(frames) == 898 and len({frame.patient for frame in frames}) == 448  # one of 449 is there twice
    told = [frame.facts for frame in frames if frame.name == "patient0001_4CH_ED"]
    assert told[0]["ef_percent"] == 63.2 and told[0]["edv_ml"] == 94.0
    assert {f.subset for f in frames} == {"training", "validation"}
    assert sum(f.subset == "validation" for f in frames) == 100
    for frame in frames[::150]:
        image, mask, spacing, *_ = frame.read()
        np.testing.assert_array_equal(image, nibabel.load(frame.files[0]).get_fdata().T)
        np.testing.assert_array_equal(mask, nibabel.load(frame.files[1]).get_fdata().T == 1)
        assert spacing == (0.308, 0.308)
        fan = np.flatnonzero(image.max(axis=0) > 20)
        top = np.flatnonzero((image > 20).any(axis=1))[0]  # the probe: bright in the middle of the first rows
        tip = np.flatnonzero(image[top : top + 10].max(axis=0) > 20).mean()
        assert fan[0] + 0.3 * np.ptp(fan) < tip < fan[0] + 0.7 * np.ptp(fan)


@needs_camus
@needs_camus_mhd
def test_real_camus_releases_agree() -> None:
    new = {frame.name: frame for frame in open_source(f"camus:{CAMUS}")}
    for old in open_source(f"camus:{CAMUS_MHD}"):
        assert old.read().spacing_mm == (0.154, 0.308)
        if old.view == "4CH":  # the newer release keeps every second row
            np.testing.assert_array_equal(old.read().image[::2], new[old.name].read().image)


def test_camus_half_sequences_are_a_cine_with_a_mask_for_each_frame(tmp_path: Path) -> None:
    folder = write_camus_cine(tmp_path)
    frames = open_source(f"camus_cine:{tmp_path}")
    assert [(f.name, f.patient, f.phase) for f in frames] == [
        ("patient0001_4CH_half_sequence_0001", "patient0001", "ED"),
        ("patient0001_4CH_half_sequence_0002", "patient0001", ""),
        ("patient0001_4CH_half_sequence_0003", "patient0001", "ES"),
    ]
    for shift, frame in enumerate(frames):
        image, mask, *_ = frame.read()
        np.testing.assert_array_equal(image, np.roll(PICTURE, shift, axis=1))
        np.testing.assert_array_equal(mask, image > 128)
    (folder / "patient0001_4CH_half_sequence_gt.nii.gz").unlink()
    refused(frames[0].read, folder / "patient0001_4CH_half_sequence_gt.nii.gz", "no such file")
