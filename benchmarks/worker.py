"""One system that is being timed, in a process of its own: prepared once, then stepped whenever it is asked.

Systems of different frameworks can't share a process without sharing threads; workers take turns instead, so that what
else the machine does falls on all of them alike. `python -m benchmarks.worker JSON` is started by `Worker` only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[[], Any]
MONAI = {
    f"{system}{', channels last' * last}": {"system": system, "channels_last": last}
    for system in ("BasicUNet", "AttentionUnet")
    for last in (False, True)
}
"""Settings of MONAI's networks in both memory layouts, by the name they have in the results."""


class Worker:
    """A process that holds one system, of the settings of `prepare`."""

    def __init__(self, **settings: Any):
        environment = {**os.environ, "KERAS_BACKEND": settings.get("backend", "tensorflow")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(settings)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.facts = self._answer()

    def _answer(self) -> Any:
        if line := self.process.stdout.readline():
            return json.loads(line)
        raise RuntimeError(f"{self.process.args[-1]}: ended before it was ready; run it alone to see why")

    def step(self, times: int) -> float:
        """Seconds a step, of `times` steps."""
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def take_turns(systems: Mapping[str, dict[str, Any]], n: int, times: int) -> dict[str, tuple[list[float], int]]:
    """For each system, seconds a step in `n` turns of `times` steps, and its multiply-adds a forward step."""
    workers = {name: Worker(**settings) for name, settings in systems.items()}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(n + 1):
        for name, worker in workers.items():
            value = worker.step(times)
            if turn:
                seconds[name].append(value)
    for worker in workers.values():
        worker.close()
    return {name: (seconds[name], workers[name].facts["multiply_adds"]) for name in systems}


def per_tera(turns: Mapping[str, tuple[list[float], int]]) -> dict[str, list[float]]:
    """`take_turns`'s seconds per 10^12 multiply-adds."""
    return {name: [value / cost * 1e12 for value in seconds] for name, (seconds, cost) in turns.items()}


def prepare(system: str, task: str, width: int, size: int, batch: int, **details: Any) -> tuple[Step, int]:
    """A step of `task` ("train" or "infer") of `system`, and the multiply-adds of one forward pass of its batch.

    system: a network of lvseg's or of MONAI's. Grey images, random pixels; the loss is Dice plus cross-entropy, the
    optimiser AdamW. precision: float32 or bfloat16. Further details are those of `_lvseg` and `_monai`.
    """
    images = np.random.default_rng(0).random((batch, size, size, 1), np.float32)
    masks = (images > 0.7).astype(np.float32)
    if system == "matrix_product":
        return _matrix_product(details.get("precision", "float32"))
    make = _monai if system in ("BasicUNet", "AttentionUnet") else _lvseg
    step, multiply_adds = make(system, task, width, images, masks, **details)
    step()
    return step, multiply_adds * batch


def _lvseg(system, task, width, images, masks, backend="tensorflow", precision="float32", engine="keras", parts=1):
    """engine: what runs a forward pass: keras, or of an ONNX file onnxruntime or openvino. parts: of a batch."""
    from lvseg import networks
    from lvseg.experiment import Experiment
    from lvseg.figures import graph
    from lvseg.training import devices
    from lvseg.training.fit import precision_of, trainer_of

    experiment = Experiment.of_profile(
        "class", model=system, width=width, size=images.shape[1], batch=len(images), parts=parts,
        precision=precision if engine == "keras" else "float32", schedule="constant", clip_norm=0,
    )  # fmt: skip
    devices.prepare(experiment)
    with precision_of(experiment):
        network = networks.build(experiment)
    cost = sum(graph.multiply_adds(layer) for layer in network.layers)
    if task == "train":
        trainer = trainer_of(network, experiment, len(images), steps_per_epoch=100)
        return lambda: trainer.train_on_batch(images, masks), cost
    return _forward(network, engine, precision, images), cost


def _forward(network, engine, precision, images) -> Step:
    from lvseg.inference import onnx_file
    from lvseg.inference.opened import open_onnx

    if engine == "keras":
        return lambda: network.predict_on_batch(images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx_file.to_onnx(network, path)
        if engine == "openvino":
            forward = open_onnx(path, precision).run
            return lambda: forward(images)
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return lambda: session.run(None, {"image": images})


def _matrix_product(precision: str, side: int = 2048) -> tuple[Step, int]:
    """What the machine can do at best: the product of two square matrices."""
    import torch

    matrix = torch.rand(side, side).to(getattr(torch, precision))
    return lambda: matrix @ matrix, side**3


def _monai(system, task, width, images, masks, precision="float32", channels_last=False):
    """MONAI's network with the same five widths, and its usual Dice and cross-entropy loss, on PyTorch."""
    import torch
    from monai.losses import DiceCELoss
    from monai.networks.nets import AttentionUnet, BasicUNet

    widths = [width * factor for factor in (1, 2, 4, 8, 16)]
    if system == "BasicUNet":
        network = BasicUNet(2, 1, 1, features=(*widths, width))
    else:
        network = AttentionUnet(2, 1, 1, widths, (2, 2, 2, 2))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    x, y = (torch.from_numpy(a.transpose(0, 3, 1, 2).copy()).to(memory_format=layout) for a in (images, masks))
    cost = _multiply_adds(network, x[:1])
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    if task == "infer":

        def infer():
            with torch.inference_mode(), autocast:
                return network(x)

        network.eval()
        return infer, cost
    network.train()
    optimizer, loss = torch.optim.AdamW(network.parameters(), 1e-4), DiceCELoss(sigmoid=True)

    def train():
        optimizer.zero_grad()
        with autocast:
            prediction = network(x)
        loss(prediction.float(), y).backward()
        optimizer.step()

    return train, cost


def _multiply_adds(network, image) -> int:
    """Multiply-adds of the convolutions of a PyTorch network for one image."""
    import torch

    counted = [0]

    def count(layer, inputs, output):
        if isinstance(layer, torch.nn.Conv2d):
            counted[0] += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, torch.nn.ConvTranspose2d):
            counted[0] += inputs[0].numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return counted[0]


def main() -> None:
    step, multiply_adds = prepare(**json.loads(sys.argv[1]))
    print(json.dumps({"multiply_adds": multiply_adds}), flush=True)
    for line in sys.stdin:
        times = int(line)
        start = time.perf_counter()
        for _ in range(times):
            step()
        print(json.dumps((time.perf_counter() - start) / times), flush=True)


if __name__ == "__main__":
    main()
