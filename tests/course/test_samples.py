"""The lessons' real cine, without a pixel size that nobody can know; the kept runs, as they were measured."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pydicom
import pytest

from lvseg.course import samples
from lvseg.course.samples import kept_runs, real_cine
from lvseg.errors import DataError, DataWarning
from lvseg.readers import open_path
from lvseg.results import statistics


def test_the_cine_is_what_pydicom_ships():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = real_cine()
        pixels = [frame.read() for frame in frames]
    assert len(frames) == 30 and all(each.image.shape == (240, 320) and each.spacing_mm is None for each in pixels)
    with warnings.catch_warnings(action="ignore"):
        as_read = open_path(pydicom.examples.get_path("ybr_color"))[17].read().image  # held to the JPEG in test_dicom
    np.testing.assert_array_equal(pixels[17].image, as_read)


def test_a_reader_says_why_its_pixel_size_is_not_known():
    with pytest.warns(DataWarning, match="its regions don't fit into its 240 x 320 pixels"):
        open_path(pydicom.examples.get_path("ybr_color"))[0].read()


def test_the_kept_runs_are_those_of_the_readme():
    """Three methods, three seeds, each on 100 frames of two virtual patients, with receipts that hold."""
    runs = kept_runs()
    assert [(run.experiment.model, run.experiment.seed) for run in runs] == [
        (model, seed) for seed in range(3) for model in ("unet", "resunet", "improved_resunet")
    ]
    assert {run.experiment.data for run in runs} == {"phantom"} and {len(run.scores) for run in runs} == {100}
    means = {row["method"]: round(100 * row["dice"]["mean"], 2) for row in statistics.table2(runs)}
    assert means == {"unet": 89.38, "resunet": 89.57, "improved_resunet": 90.47}
    assert all(run.folder.name == run.experiment.name() for run in runs)
    assert all(run.receipt["fingerprint"] == run.experiment.fingerprint() for run in runs)


def test_a_kept_number_that_was_changed_is_noticed(tmp_path, monkeypatch):
    shutil.copytree(samples.CHECKOUT / "data_samples" / "class_runs", tmp_path / "data_samples" / "class_runs")
    monkeypatch.setattr(samples, "CHECKOUT", tmp_path)
    assert len(kept_runs()) == 9
    scores = next((tmp_path / "data_samples" / "class_runs").glob("unet_*/frames.csv"))
    scores.write_text(scores.read_text().replace("0.9", "0.8", 1))
    with pytest.raises(DataError, match="has no valid receipt"):
        kept_runs()
