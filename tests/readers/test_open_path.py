"""Images to segment, from a file or a folder of any kinds: named by their stems, the rest passed over."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzz_readers import PICTURE, write_dicom, write_nifti, write_picture, write_video
from lvseg.readers import open_path
from tests.readers.support import refused


def test_open_path_names_frames_by_their_stems_and_passes_over_the_rest(tmp_path: Path) -> None:
    write_picture(tmp_path / "b.png")
    write_picture(tmp_path / "c.v2.JPG")
    write_nifti(tmp_path / "a.nii.gz", PICTURE)
    write_nifti(tmp_path / "a_gt.nii.gz", PICTURE)
    write_dicom(tmp_path / "1.2.840.1", PICTURE)
    write_video(tmp_path / "loop.avi", [10, 20])
    for name in (".hidden.png", "b_mask.png", "b_overlay.png", "sub/d.png"):
        write_picture(tmp_path / name)
    (tmp_path / "README.txt").write_text("Not an image")
    (tmp_path / "empty").touch()
    names = [frame.name for frame in open_path(tmp_path)]
    assert names == ["1.2.840.1", "a", "b", "c.v2", "loop_0001", "loop_0002"]
    assert all(frame.read().mask is None for frame in open_path(tmp_path))


def test_open_path_refuses_what_is_not_there_or_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Not an image")
    for path in (tmp_path / "no.png", tmp_path / "notes.txt", tmp_path):
        refused(lambda path=path: open_path(path), path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "A.bmp")
    refused(lambda: open_path(tmp_path), tmp_path / "a.png", "A.bmp", "rename")
