"""Run the study, or go on with it, for so many seconds; prints both tables after each network and at the end."""

from __future__ import annotations

import argparse
import faulthandler
import os
import tarfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")  # beside it PyTorch has to fit

import jax
import numpy as np

from lvseg import files
from lvseg.training.run import environment
from studies.paper_on_gpu import data, protocol, speed, tables

MODELS = ("unet", "resunet", "improved_resunet")
PLAN = [*(("phantom", model) for model in MODELS), *(("camus", model) for model in MODELS[::-1])]
"""In this order: what needs few steps first, then the paper's own network."""

PATIENCE = 240
"""Seconds for the first piece of a network, its compiling included; then the process ends and shows where it was."""


class Study:
    """What was found so far, kept in `runs/results.json`, and when to stop (monotonic seconds)."""

    def __init__(self, chosen: argparse.Namespace):
        self.chosen = chosen
        self.began = time.monotonic()
        self.deadline = self.began + chosen.seconds
        self.runs: Path = chosen.runs
        path = self.runs / "results.json"
        self.found: dict[str, Any] = files.read_json(path) if path.exists() else {"runs": [], "steps": {}}
        self.methods: dict[str, protocol.Method] = {}
        self.data = {path.stem: data.load(path) for path in sorted(chosen.folder.glob("*.npz"))}
        self.frames = max(len(side.train.image) for side in self.data.values())

    def tell(self, line: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {line}", flush=True)

    def run(self) -> None:
        if "ceiling" not in self.found:
            self.found |= {"ceiling": speed.ceilings(self.chosen.tiny), "environment": environment()}
        self.tell(str(self.found["ceiling"]))
        for source, model in PLAN:
            if source in self.data and source in self.chosen.data and model in self.chosen.models:
                self.one(source, model)
            self.save()
        for model in self.chosen.compare:
            self.compare(model)
        self.save()
        self.show()

    def one(self, source: str, model: str) -> None:
        """Train and score one network on one data set, as far as the time allows; meanwhile PyTorch compiles it."""
        folder, experiment = self.runs / f"{source}_{model}", data.experiment(source, model, self.chosen.tiny)
        left = self.deadline - time.monotonic()
        known = self.found["steps"].setdefault(model, {})
        steps = len(self.data[source].train.image) // experiment.batch * experiment.epochs
        if protocol.read(folder) or left < (known.get("ms_per_step", 0) * steps / 1000 if self.chosen.whole else 0):
            return
        method, peer, done = self.method(model), None, None
        faulthandler.dump_traceback_later(PATIENCE, exit=True)  # a call of the device can't be interrupted otherwise
        for done in protocol.train(method, self.data[source], self.frames, experiment, folder, self.deadline):
            faulthandler.cancel_dump_traceback_later()
            if len(done.losses) % (20 * protocol.PIECE) == 0 or len(done.losses) == protocol.PIECE:
                milliseconds = 1000 * done.seconds[-1] / protocol.PIECE
                loss = float(np.mean(done.losses[-protocol.PIECE :]))
                self.tell(f"{folder.name}: {len(done.losses)} steps, loss {loss:.4f}, {milliseconds:.2f} ms a step")
            if peer is None and self.chosen.torch and "torch_ms_per_step" not in known:
                peer = speed.Peer(model, self.chosen.tiny)  # not before: XLA has tuned its kernels by now
        faulthandler.cancel_dump_traceback_later()
        if done is not None and done.seconds:
            known |= {"ms_per_step": 1000 * float(np.median(done.seconds)) / protocol.PIECE}
            known.setdefault("first_piece_s", done.seconds[0])
            known |= speed.floors(method, self.found["ceiling"])
        if peer is not None:
            known |= self.ask(peer, method)
        if not (folder / "history.csv").exists():
            self.tell(f"{folder.name}: stopped after {len(done.losses) if done else 0} steps")
            return
        memory = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**30
        facts = {"peak_gib": memory, "environment": self.found["environment"], "layers": method.layers}
        run = protocol.finish(method, done, self.data[source], experiment, folder, facts)
        self.found["runs"].append(run)
        self.tell(f"{folder.name}: Dice {run['dice']:.4f}, {run['training_s']:.1f} s")
        self.show()

    def method(self, model: str) -> protocol.Method:
        if model not in self.methods:
            self.methods[model] = protocol.Method(data.experiment("phantom", model, self.chosen.tiny))
            self.tell(f"{model}: built")
        return self.methods[model]

    def ask(self, peer: speed.Peer, method: protocol.Method) -> dict[str, Any]:
        """PyTorch's milliseconds, if it is ready in time and has the same multiply-adds."""
        found = peer.measure(400.0 if self.chosen.tiny else min(40.0, max(self.deadline - time.monotonic(), 1.0)))
        self.tell(f"PyTorch: {found}")
        if "error" in found or found["multiply_adds"] != method.multiply_adds:
            return {"torch_failed": found}
        return {"torch_ms_per_step": float(np.median(found["ms_per_step"])), "torch": found}

    def compare(self, model: str) -> None:
        """A few pieces with Keras's own pooling and upsampling, to see what ours buy."""
        known = self.found["steps"].setdefault(model, {})
        if "stock_ms_per_step" in known or time.monotonic() > self.deadline - 60 * (not self.chosen.tiny):
            return
        experiment = data.experiment("phantom", model, self.chosen.tiny)
        method, seconds = protocol.Method(experiment, "stock"), []
        for done in protocol.train(method, self.data["phantom"], self.frames, experiment, self.runs / "no", np.inf):
            seconds = done.seconds
            if len(seconds) == 5:
                break
        known["stock_ms_per_step"] = 1000 * min(seconds) / protocol.PIECE
        self.tell(f"{model} with Keras's own layers: {known['stock_ms_per_step']:.2f} ms a step")

    def show(self) -> None:
        for table in (tables.scores(self.found["runs"]), tables.steps(self.found["steps"])):
            print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"), flush=True)

    def save(self) -> None:
        """Keep what was found, and pack the small files for the way home."""
        files.write_json(self.runs / "results.json", self.found)
        with files.atomic(self.runs / "results.tar.gz") as temporary, tarfile.open(temporary, "w:gz") as packed:
            for path in [self.runs / "results.json", *sorted(self.runs.glob("*/*.csv")), *self.runs.glob("*/*.json")]:
                packed.add(path, path.relative_to(self.runs))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m studies.paper_on_gpu")
    parser.add_argument("folder", type=Path, help="what studies.paper_on_gpu.data wrote")
    parser.add_argument("--runs", type=Path, required=True, help="where to keep what is done")
    parser.add_argument("--seconds", type=float, default=600, help="when to stop")
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--data", nargs="*", default=list(data.SPLIT_OF), choices=data.SPLIT_OF)
    parser.add_argument("--torch", action="store_true", help="measure PyTorch too")
    parser.add_argument("--compare", nargs="*", default=[], choices=MODELS, help="measure Keras's own layers too")
    parser.add_argument("--whole", action="store_true", help="start no training that the time isn't enough for")
    parser.add_argument("--tiny", action="store_true", help="small networks, to try the study on a processor")
    chosen = parser.parse_args()
    jax.config.update("jax_compilation_cache_dir", str(chosen.runs / "compiled"))
    Study(chosen).run()


main()
