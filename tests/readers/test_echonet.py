"""EchoNet-Dynamic's tables and videos, made here with outlines of known area."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import write_echonet, write_pediatric, write_video
from lvseg.data.source import open_source
from lvseg.errors import DataError
from tests.readers.support import refused


def test_echonet_dynamic(tmp_path: Path) -> None:
    frames = open_source(f"echonet:{write_echonet(tmp_path)}")
    assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
        ("0XA_0002", "0XA", "4CH", "ES", "training"),
        ("0XA_0004", "0XA", "4CH", "ED", "training"),
        ("0XB_0002", "0XB", "4CH", "ES", "validation"),
        ("0XB_0004", "0XB", "4CH", "ED", "validation"),
    ]
    assert frames[0].facts == {"ef_percent": 55.0, "edv_ml": 100.0, "esv_ml": 45.0, "frame_rate_hz": 50.0}
    assert frames[0].files == (tmp_path / "Videos" / "0XA.avi", tmp_path / "VolumeTracings.csv")
    for frame, level, half in zip(frames, (60, 140) * 2, (10, 20) * 2, strict=True):
        image, mask, spacing, *_ = frame.read()
        assert image.shape == (112, 112) and np.abs(image.astype(int) - level).max() <= 3 and spacing is None
        expected = np.zeros((112, 112), bool)
        expected[20:80, 50 - half : 50 + half] = True
        np.testing.assert_array_equal(mask, expected)


def test_echonet_tables_and_videos_are_checked(tmp_path: Path) -> None:
    root = write_echonet(tmp_path)
    (root / "Videos" / "0XA.avi").unlink()
    frames = open_source(f"echonet:{root}")
    refused(frames[0].read, root / "Videos" / "0XA.avi", "no such file")
    write_video(root / "Videos" / "0XB.avi", [20, 60])
    refused(frames[3].read, root / "Videos" / "0XB.avi", "frame 4")

    table = (root / "VolumeTracings.csv").read_text()
    for text, word in (
        (table.replace("X2", "X9"), "X2"),
        ("", "can't be read"),
    ):
        (root / "VolumeTracings.csv").write_text(text)
        refused(lambda: open_source(f"echonet:{root}"), root / "VolumeTracings.csv", word)
    (root / "VolumeTracings.csv").write_text(table.replace(",50,5,", ',50,"5,'))  # a quote that swallows rows
    for frame in open_source(f"echonet:{root}"):
        refused(frame.read, root / "VolumeTracings.csv", "no number")
    (root / "VolumeTracings.csv").unlink()
    refused(lambda: open_source(f"echonet:{root}"), root / "VolumeTracings.csv", "no such file")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("0XA.avi,50,5,50,95,1", "0XA.avi,50,5,50,95,soon"),
        ("0XA.avi,39.5,19.5", "0XA.avi,nan,19.5"),
        ("0XA.avi,50,5,50,95,1\n", "0XA.avi,50,5,50,95,1.5\n"),
        ("0XA.avi,50,5,50,95,1\n", "0XA.avi,50,5,50,95,-1\n"),
        ("0XA.avi,50,5,50,95,1\n", "0XA.avi,50,5,50,95,1e300\n"),
    ],
)
def test_a_bad_tracing_refuses_frames_of_its_video_alone(tmp_path: Path, good: str, bad: str) -> None:
    table = write_echonet(tmp_path) / "VolumeTracings.csv"
    text = table.read_text()
    assert good in text
    table.write_text(text.replace(good, bad, 1))
    sentences: dict[str, set[str]] = {"0XA": set(), "0XB": set()}
    for frame in open_source(f"echonet:{tmp_path}"):
        try:
            frame.read()
        except DataError as error:
            sentences[frame.patient].add(str(error))
    assert sentences["0XA"] and not sentences["0XB"]
    assert all("VolumeTracings.csv" in sentence for sentence in sentences["0XA"])


def test_a_video_listed_twice_is_refused(tmp_path: Path) -> None:
    path = write_echonet(tmp_path) / "FileList.csv"
    path.write_text(path.read_text() + "0XA.avi,55,45,100,112,112,50,4,TEST\n")
    frame = next(frame for frame in open_source(f"echonet:{tmp_path}") if frame.patient == "0XA")
    refused(frame.read, path, "0XA twice")


def test_echonet_pediatric(tmp_path: Path) -> None:
    frames = open_source(f"pediatric:{write_pediatric(tmp_path)}")
    assert frames[0].facts == {"ef_percent": 61.0, "age_years": 3.0, "sex": "F"}
    assert [(f.name, f.patient, f.view, f.phase, f.subset) for f in frames] == [
        ("A4C_CR1-CR2-000039_0003", "CR1-CR2", "4CH", "", "fold7"),
        ("PSAX_CR1-CR2-000041_0003", "CR1-CR2", "PSAX", "", "fold7"),
    ]
    image, mask, *_ = frames[1].read()
    expected = np.zeros((112, 112), bool)
    expected[20:60, 10:40] = True
    np.testing.assert_array_equal(mask, expected)
    assert np.abs(image.astype(int) - 100).max() <= 3
