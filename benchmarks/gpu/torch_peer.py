"""The same ResUNet in PyTorch, layer by layer: channels last, autocast, on a GPU compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lvseg import machine
from lvseg.experiment import Experiment

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Block(nn.Module):
    """Two stages of BN, convolution and ReLU with a shortcut around them, then the sampling convolution."""

    def __init__(self, channels: int, filters: int, stride: int = 1):
        super().__init__()
        self.stages = nn.Sequential(
            nn.BatchNorm2d(channels), nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(),
            nn.BatchNorm2d(filters), nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(channels, filters, 1)
        self.sampling = nn.Conv2d(filters, filters, 3, stride, padding=1)

    def forward(self, x):
        return self.sampling(self.stages(x) + self.shortcut(x))


class ResUNet(nn.Module):
    """Table 1's ResUNet: five encoder blocks, four decoder blocks with skip connections, one convolution to logits."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        deep = [channels, *(width * factor for factor in (1, 2, 4, 8, 16))]
        self.encoder = nn.ModuleList(Block(a, b, 2 if a > channels else 1) for a, b in pairwise(deep))
        up = deep[:0:-1]
        self.decoder = nn.ModuleList(Block(a + b, b) for a, b in pairwise(up))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        for block, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = block(torch.cat([x, skip], 1))
        return self.last(x)


def training_step(experiment: Experiment, images: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], float], int]:
    """A function that takes one step and returns its loss; the network's multiply-adds per image, forward.

    The batch is in the device's memory, channels last.
    """
    torch.backends.cudnn.benchmark = True
    network = ResUNet(experiment.channels, experiment.width).to(DEVICE, memory_format=torch.channels_last)
    multiply_adds = _multiply_adds(network, experiment)
    compiled = torch.compile(network) if DEVICE == "cuda" else network  # minutes on a processor
    optimizer = torch.optim.Adam(network.parameters(), experiment.rate, fused=True)

    x, y = (torch.from_numpy(side).permute(0, 3, 1, 2).to(DEVICE) for side in (images, labels))
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> float:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=experiment.precision == "bfloat16"):
            logits = compiled(x)
        loss = _loss(y, logits.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, multiply_adds


def _loss(labels, logits):
    """Eq. 5, as `lvseg.losses.combined_loss`."""
    probability, pixels = torch.sigmoid(logits), (1, 2, 3)
    overlap = (labels * probability).sum(pixels)
    dice = 1 - (2 * overlap + 1) / (labels.sum(pixels) + probability.sum(pixels) + 1)
    return (dice + functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(pixels)).mean()


def _multiply_adds(network: nn.Module, experiment: Experiment) -> int:
    """Counted by running one image through the network's convolutions."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output.shape[-2] * output.shape[-1] * layer.weight.numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, experiment.channels, experiment.size, experiment.size, device=DEVICE))
    for hook in hooks:
        hook.remove()
    return total


def matmul_flops(precision: str, size: int) -> float:
    """The device's rate in matrix products of this precision, operations per second: the best of ten."""
    a = torch.ones(size, size, dtype=getattr(torch, precision), device=DEVICE)
    seconds = []
    for _ in range(11):
        started = time.perf_counter()
        (a @ a)[0, 0].item()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def peak_mib() -> float:
    """The most device memory that was in use; 0 on a processor."""
    return torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else 0.0


def device() -> str:
    return machine.gpu() or machine.processor()
