"""Weights load alike from every kind of file or are refused in one sentence, and frames go through in batches."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lvseg import files, machine
from lvseg.backend import keras
from lvseg.errors import ConfigError, DataError
from lvseg.inference import onnx_file
from lvseg.inference.segmenter import SHIPPED, Ensemble, Segmenter
from lvseg.readers import open_path
from lvseg.training.folder import segmenter
from tests.inference.support import EXPERIMENT, SIZE, TRUTH, dice, grey, threshold_network


def test_frames_go_through_the_network_in_batches():
    sizes = []

    def forward(images):
        sizes.append(len(images))
        return np.ones((*images.shape[:3], 1), np.float32)

    images = [np.zeros((30 + i, 40), np.uint8) for i in range(20)]
    masks = list(Segmenter(forward, EXPERIMENT).masks(iter(images)))
    assert sizes == [16, 4]
    assert [mask.shape for mask in masks] == [image.shape for image in images] and all(mask.all() for mask in masks)


def test_an_ensemble_averages_what_its_members_say_of_an_image(tmp_path):
    """0.9 and 0.3 are 0.6, which is above a half; a member of another size has a say in the same pixels."""

    def saying(value):
        return lambda images: np.full((*images.shape[:3], 1), value, np.float32)

    other_size = EXPERIMENT.model_copy(update={"size": 2 * SIZE})
    members = [Segmenter(saying(0.9), EXPERIMENT), Segmenter(saying(0.3), other_size)]
    images = [np.zeros((30 + i, 40), np.uint8) for i in range(20)]
    found = list(Ensemble(members).probabilities(iter(images)))
    assert [each.shape for each in found] == [image.shape for image in images]
    assert all(np.allclose(each, 0.6) for each in found)
    assert all(mask.all() for mask in Ensemble(members).masks(images))
    assert not any(mask.any() for mask in Ensemble([members[1], members[1]]).masks(images))


def save(folder: Path, network: keras.Model, ending: str = ".keras") -> Path:
    network.save(folder / "net.keras")
    onnx_file.to_onnx(network, folder / "net.onnx")
    files.write_json(folder / "net.json", EXPERIMENT.model_dump())
    return folder / f"net{ending}"


def test_keras_and_onnx_files_and_a_runs_folder_load_alike(tmp_path):
    file = save(tmp_path, threshold_network())
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(file.with_suffix(".onnx"), run / "weights.onnx")
    shutil.copy(file.with_suffix(".json"), run / "experiment.json")
    image = grey(TRUTH)
    for weights in (file, file.with_suffix(".onnx"), run):
        loaded = segmenter(weights) if weights.is_dir() else Segmenter.load(weights)
        assert loaded.experiment == EXPERIMENT
        assert dice(next(loaded.masks([image])), TRUTH) > 0.97


@pytest.mark.parametrize("ending", [".keras", ".onnx"])
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda net: net.unlink(), "net"),
        (lambda net: net.with_suffix(".json").unlink(), "net.json"),
        (lambda net: net.write_text("no archive"), "net"),
        (lambda net: net.write_bytes(net.read_bytes()[:150]), "net"),
        (lambda net: net.with_suffix(".json").write_text("{"), "net.json"),
        (lambda net: net.with_suffix(".json").write_text("[1, 2]"), "net.json"),
        (lambda net: net.with_suffix(".json").write_text('{"sice": 96}'), "net.json"),
        (lambda net: files.write_json(net.with_suffix(".json"), {**EXPERIMENT.model_dump(), "size": 64}), "net"),
        (lambda net: files.write_json(net.with_suffix(".json"), {**EXPERIMENT.model_dump(), "channels": 3}), "net"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, spoil, named, ending):
    weights = save(tmp_path, threshold_network(), ending)
    spoil(weights)
    with pytest.raises(DataError, match=re.escape(named if "." in named else named + ending)) as refused:
        Segmenter.load(weights)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


def test_a_network_with_code_inside_is_refused(tmp_path):
    """A Lambda layer would run whatever its author wrote."""
    inputs = keras.Input((SIZE, SIZE, 1))
    network = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    network.save(tmp_path / "net.keras")
    files.write_json(tmp_path / "net.json", EXPERIMENT.model_dump())
    with pytest.raises(DataError, match=r"net\.keras"):
        Segmenter.load(tmp_path / "net.keras")


def test_the_shipped_weights_segment_the_cine_of_pydicom(cine, tmp_path):
    images = [frame.read().image for frame in open_path(cine)[:4]]
    for mask in Segmenter.load().masks(images):
        assert 0.005 < mask.mean() < 0.5


def test_the_shipped_files_hold_one_network():
    images = [np.random.default_rng(seed).integers(0, 256, (90, 120), np.uint8) for seed in range(3)]
    fast, keras_ = (Segmenter.load(SHIPPED.with_suffix(ending)) for ending in (".onnx", ".keras"))
    for a, b in zip(fast.probabilities(images), keras_.probabilities(images), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_bfloat16_stays_near_float32():
    """The same weights with 8 bits of mantissa; another result only on a processor that computes with them."""
    images = [np.random.default_rng(seed).integers(0, 256, (90, 120), np.uint8) for seed in range(3)]
    exact, short = (Segmenter.load(precision=precision) for precision in ("float32", "bfloat16"))
    for a, b in zip(exact.probabilities(images), short.probabilities(images), strict=True):
        np.testing.assert_allclose(a, b, atol=0.1)
        assert machine.fastest_precision() == "float32" or not np.array_equal(a, b)
    with pytest.raises(ConfigError, match="bfloat16"):
        Segmenter.load(SHIPPED.with_suffix(".keras"), "bfloat16")


def test_prediction_starts_without_keras():
    load = "import sys; from lvseg.inference.segmenter import Segmenter; Segmenter.load()"
    code = f"{load}; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
