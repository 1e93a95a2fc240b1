"""Video frames of known grey levels in any order, and files that are cut short or no video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import write_video
from lvseg.data.source import open_source
from lvseg.readers import open_path
from tests.readers.support import only, refused


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_video_frames_are_exact_in_any_order(tmp_path: Path, name: str, codec: str) -> None:
    levels = [(37 * i) % 200 + 20 for i in range(40)]
    write_video(tmp_path / name, levels, codec)
    other = write_video(tmp_path / "other.avi", [5])
    frames = open_source(f"video:{tmp_path}")
    cine = [frame for frame in frames if frame.name.startswith("a_")]
    assert [frame.name for frame in cine] == [f"a_{i:04d}" for i in range(1, 41)]
    for index in (0, 1, 2, 39, 7, 7, 38, 12):
        assert np.median(cine[index].read().image) == pytest.approx(levels[index], abs=3)
        assert np.median(only(open_path(other)).image) == pytest.approx(5, abs=3)
    cine[2].read()
    write_video(tmp_path / name, [200] * 40, codec)
    assert np.median(cine[3].read().image) == pytest.approx(200, abs=3)


def test_a_play_list_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    refused(lambda: open_path(path), path, "neither")


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_a_truncated_video_is_refused_as_decoders_would_make_up_its_end(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, list(range(20, 120)), codec)
    data = path.read_bytes()
    assert len(open_path(path)) == 100 and open_path(path)[0].facts == {"frame_rate_hz": 50.0}
    for length in (len(data) // 2, len(data) - 2, 16, 3, 0):
        path.write_bytes(data[:length])
        refused(lambda: open_path(path)[0].read(), path)


def test_an_mp4_whose_index_comes_first_is_refused_where_its_pictures_are_cut(tmp_path: Path) -> None:
    """Its index is whole, so that only the boxes' lengths tell."""
    data = write_video(tmp_path / "a.mp4", [20, 60, 100], "mp4v").read_bytes()
    boxes, place = {}, 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        boxes[data[place + 4 : place + 8]] = data[place : place + length]
        place += length
    assert b"mdat" in boxes and b"moov" in boxes
    (tmp_path / "a.mp4").write_bytes(boxes[b"ftyp"] + boxes[b"moov"] + boxes[b"mdat"][:-1])
    refused(lambda: open_path(tmp_path / "a.mp4"), tmp_path / "a.mp4", "cut short")
