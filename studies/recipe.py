"""What each ingredient of the class recipe is worth: U-Nets on real hearts, each trained without one of them.

`python -m studies.recipe` prints a table, in about an hour and a half on two cores; with names of ingredients, only
those rows. Only CAMUS's training patients take part: every eighth is scored, the others train. The seeds say how much
is chance. `TIME_ONLY` changes no score, so two epochs of one seed are enough. Findings are in docs/training.md.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.real_data import CAMUS
from lvseg.data import batches, splits
from lvseg.data.prepared import prepare
from lvseg.data.source import open_source
from lvseg.experiment import Experiment
from lvseg.training import fit
from lvseg.training.folder import Run
from lvseg.training.run import train

SEEDS = (0, 1, 2)
CHOICES: dict[str, dict[str, Any]] = {
    "nothing: the class profile": {},
    "the mean of the epochs' weights: the last epoch's": {"average": False},
    "both that and the rate's end at a third: at a thousandth": {"average": False, "decay_to": 1e-3},
    "warm-up and decay: a constant rate": {"schedule": "constant"},
    "the high rate: a third of it": {"rate": 1e-3},
    "quick batch statistics: Keras's momentum of 0.99": {"bn_momentum": 0.99},
    "weight decay": {"weight_decay": 0.0},
    "clipped gradients": {"clip_norm": 0.0},
    "augmentation": {"augment": "none"},
    "one orientation: mirror images too": {"augment": "mirrored"},
    "CLAHE": {"clahe": "none"},
    "the Dice loss: cross-entropy alone": {"alpha": 0.0},
    "cross-entropy: the Dice loss alone": {"beta": 0.0},
    "half of the epochs": {"epochs": 12},
    "bfloat16: float32": {"precision": "float32"},
    "two parts: the whole batch": {"parts": 1},
}
"""The choices of each row that differ from the class profile's, by what the row goes without."""

TIME_ONLY = ("a thread that makes batches", "the compiled step")


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(_train(sys.argv[2], int(sys.argv[3]))))
        return
    print("| without | Dice by seed | s an epoch |\n| --- | --- | --- |")
    for name in sys.argv[1:] or (*CHOICES, *TIME_ONLY):
        runs = [_in_own_process(name, seed) for seed in (SEEDS if name in CHOICES else SEEDS[:1])]
        dice = " ".join(f"{run['dice']:.4f}" for run in runs if name in CHOICES)
        print(f"| {name} | {dice} | {statistics.median(run['seconds'] for run in runs):.1f} |", flush=True)


def _in_own_process(name: str, seed: int) -> dict[str, float]:
    """TensorFlow takes its number of threads once a process."""
    command = [sys.executable, "-m", "studies.recipe", "--one", name, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _train(name: str, seed: int) -> dict[str, float]:
    """Mean Dice, and seconds an epoch (median, without the first, which compiles)."""
    frames = [frame for frame in open_source(f"camus:{CAMUS}") if frame.subset == "training"]
    held_out = set(sorted({frame.patient for frame in frames})[::8])
    trained, test = (tuple(f.name for f in frames if (f.patient in held_out) == side) for side in (False, True))
    with tempfile.TemporaryDirectory() as scratch:
        folder, split = Path(scratch, "run"), Path(scratch, "split.json")
        splits.Split("patient", 0, trained, test).save(split)
        choices = {"data": f"camus:{CAMUS}", "split": str(split), "seed": seed, **CHOICES.get(name, {"epochs": 2})}
        with _without(name):
            train(prepare(Experiment.of_profile("class", model="unet", **choices)), folder, lambda line: None)
        run = Run.load(folder)
    return {"dice": float(run.scores.dice.mean()), "seconds": float(run.history.seconds[1:].median())}


def _without(name: str) -> Any:
    """What has no choice of its own is taken away here."""
    if name == "a thread that makes batches":
        return mock.patch.object(batches, "ThreadPoolExecutor", _Immediately)
    if name == "the compiled step":
        return mock.patch.object(fit, "trainer_of", _eager(fit.trainer_of))
    return contextlib.nullcontext()


class _Immediately:
    """An executor that does its work when it is asked to."""

    def __init__(self, workers: int):
        pass

    def __enter__(self) -> _Immediately:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Any, *arguments: Any) -> Future:
        done: Future = Future()
        done.set_result(work(*arguments))
        return done


def _eager(make: Any) -> Any:
    """Trainers that execute layer by layer."""

    def made(*arguments: Any) -> Any:
        trainer = make(*arguments)
        trainer.run_eagerly = True
        return trainer

    return made


if __name__ == "__main__":
    main()
