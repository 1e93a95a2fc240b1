"""The study of the paper's protocol, at a tiny size on a processor, under JAX in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lvseg.data.prepared import prepare, preprocess
from studies.paper_on_gpu import data

ROOT = Path(__file__).parents[2]
pytest.importorskip("jax")


def python(code: str, *arguments: object) -> str:
    """What the code prints, run with Keras on JAX and little compiling."""
    environment = os.environ | {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_pooling_and_upsampling_are_those_of_keras():
    """Values and gradients, also of windows that hold their maximum several times."""
    python("""
        import jax
        import numpy as np
        from lvseg.backend import layers
        from studies.paper_on_gpu import quick

        cases = [(layers.MaxPooling2D(3, 1, "same"), lambda x: quick._pool(3, 1, x))]
        cases += [(layers.MaxPooling2D(2), lambda x: quick._pool(2, 2, x))]
        cases += [(layers.UpSampling2D(2, interpolation="bilinear"), quick.double)]
        coarse = jax.numpy.round(2 * jax.random.normal(jax.random.key(0), (2, 8, 12, 5)))
        for layer, ours in cases:
            expected, back = jax.vjp(lambda x: layer.call(x), coarse)
            value, ours_back = jax.vjp(ours, coarse)
            weights = jax.random.normal(jax.random.key(1), expected.shape)
            np.testing.assert_allclose(value, expected, atol=1e-6)
            np.testing.assert_allclose(ours_back(weights)[0], back(weights)[0], atol=2e-6)
    """)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["data", str(folder), "--tiny"])
        data.main()
    return folder


def test_the_file_holds_the_frames(folder):
    chosen = data.experiment("phantom", "unet", True)
    prepared = prepare(chosen)
    frames = {frame.name: frame for frame in prepared.tested}
    stored = data.load(folder / "phantom.npz")
    assert stored.train.sha256() == prepared.arrays.sha256()
    assert [record.frame for record in stored.test] == list(prepared.split.test)
    for record in stored.test:
        pixels = frames[record.frame].read()
        assert (record.truth == pixels.mask).all() and record.spacing_mm == pixels.spacing_mm
        assert (record.image == preprocess(pixels.image, chosen)).all()


@pytest.mark.slow
def test_a_stopped_training_takes_the_steps_of_lvseg_and_scores_as_lvseg(folder, tmp_path):
    """In float32, the losses of `fit`, and the scores of `evaluate`.

    With Keras's own layers to 1e-5. Ours round their gradients otherwise, which shows in the third step's loss at 1e-6
    and grows from there, as Adam's first steps have the size of the rate also where a gradient is but rounding.
    """
    found = python(
        """
        import sys
        from pathlib import Path
        import numpy as np
        from lvseg import evaluation
        from lvseg.data.source import open_source
        from lvseg.experiment import Experiment
        from lvseg.inference.segmenter import Segmenter
        from lvseg.training.fit import fit
        from studies.paper_on_gpu import data, protocol

        stored, folder = data.load(Path(sys.argv[1]) / "phantom.npz"), Path(sys.argv[2])
        chosen = data.experiment("phantom", "unet", True)
        chosen = Experiment.of(**chosen.model_dump() | {"precision": "float32", "bn_momentum": 0.5, "threshold": 0.45})
        protocol.PIECE = 4  # three pieces: one program
        method, ours = protocol.Method(chosen, "stock"), folder / "ours"
        begun = protocol.train(method, stored, 20, chosen, ours, deadline=1e12)
        next(begun)
        protocol.time.monotonic = lambda: 2e12  # the time is over
        assert [len(done.losses) for done in begun] == [8] and (ours / "state.npz").exists()
        protocol.time.monotonic = lambda: 0
        for done in protocol.train(method, stored, 20, chosen, ours, deadline=1e12):
            pass
        theirs = fit(stored.train, chosen, folder / "theirs", lambda line: None)
        for name in ("ours", "theirs"):
            print(*np.loadtxt(folder / name / "history.csv", delimiter=",", skiprows=1, usecols=1))
        tested = {record.frame for record in stored.test}
        frames = [frame for frame in open_source("phantom") if frame.name in tested]
        table, _ = evaluation.evaluate(Segmenter(theirs.predict_on_batch, chosen).masks, frames)
        print(*protocol.score(method, done.state, stored.test).dice)
        print(*table.dice)
        quick = next(protocol.train(protocol.Method(chosen), stored, 20, chosen, folder / "quick", 1e12))
        print(*quick.losses)
        print(*done.losses[:4])
    """,
        folder,
        tmp_path,
    )
    ours, theirs, dice, their_dice, quick, stock = (
        [float(word) for word in line.split()] for line in found.splitlines()
    )
    assert len(ours) == 3 and ours[0] != ours[1]
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert dice == pytest.approx(their_dice, abs=0.01) and max(dice) > 0
    assert quick[:2] == pytest.approx(stock[:2], rel=1e-6) and quick == pytest.approx(stock, rel=1e-4)


@pytest.mark.slow
def test_the_study_runs_unattended(folder, tmp_path):
    command = [sys.executable, "-m", "studies.paper_on_gpu", folder, "--runs", tmp_path, "--tiny", "--models", "unet"]
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0", "KERAS_BACKEND": "jax"}
    done = subprocess.run(map(str, command), capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["steps"]) == {"unet"} and "phantom_unet: Dice" in done.stdout
    assert found["runs"][0]["steps"] == 12 and 0 < found["runs"][0]["acc"] < 1
    assert found["steps"]["unet"]["floor_arithmetic_ms"] > 0


def test_tables_leave_out_what_is_not_measured(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    from studies.paper_on_gpu import tables

    assert tables.steps({"resunet": {}}).empty and tables.scores([]).empty
