"""The same networks in PyTorch, layer by layer: channels last, autocast, on a GPU compiled."""

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


class Inception(nn.Module):
    """Four branches with a quarter of the channels each: 1x1; 1x1, 3x3; 1x1, 3x3, 3x3; 3x3 max pooling, 1x1."""

    def __init__(self, filters: int, slope: float):
        super().__init__()

        def branch(*kernels: int) -> list[nn.Module]:
            deep = [filters, *(filters // 4 for _ in kernels)]
            pairs = zip(pairwise(deep), kernels, strict=True)
            return [part for (a, b), k in pairs for part in (nn.Conv2d(a, b, k, padding=k // 2), nn.LeakyReLU(slope))]

        pooled = [nn.MaxPool2d(3, 1, padding=1), *branch(1)]
        self.branches = nn.ModuleList(nn.Sequential(*b) for b in (branch(1), branch(1, 3), branch(1, 3, 3), pooled))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Gate(nn.Module):
    """Additive attention on a skip connection: one weight in 0..1 per pixel."""

    def __init__(self, skip: int, gate: int, slope: float):
        super().__init__()
        self.weight = nn.Sequential(
            nn.Conv2d(skip + gate, skip // 2, 1), nn.LeakyReLU(slope), nn.Conv2d(skip // 2, 1, 1), nn.Sigmoid()
        )

    def forward(self, skip, gate):
        return skip * self.weight(torch.cat([skip, gate], 1))


class Block(nn.Module):
    """Two stages of BN, convolution and ReLU with a shortcut around them, then the sampling convolution."""

    def __init__(self, channels: int, filters: int, stride: int = 1, slope: float = 0.0, inception: bool = False):
        super().__init__()
        self.stages = nn.Sequential(
            nn.BatchNorm2d(channels), nn.Conv2d(channels, filters, 3, padding=1), _activation(slope),
            nn.BatchNorm2d(filters), nn.Conv2d(filters, filters, 3, padding=1), _activation(slope),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(channels, filters, 1)
        self.inception = Inception(filters, slope) if inception else nn.Identity()
        self.sampling = nn.Conv2d(filters, filters, 3, stride, padding=1)

    def forward(self, x):
        return self.sampling(self.inception(self.stages(x) + self.shortcut(x)))


class Double(nn.Sequential):
    """U-Net's block: twice convolution, BN, ReLU."""

    def __init__(self, channels: int, filters: int):
        pairs = ((channels, filters), (filters, filters))
        super().__init__(
            *(part for a, b in pairs for part in (nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()))
        )


def _activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


class Network(nn.Module):
    """U-Net, or Table 1's ResUNet, plain or improved: five encoder blocks, four decoder blocks, skip connections."""

    def __init__(self, model: str, channels: int, width: int):
        super().__init__()
        deep = [channels, *(width * factor for factor in (1, 2, 4, 8, 16))]
        up = deep[:0:-1]
        improved = model == "improved_resunet"
        slope = 0.01 if improved else 0.0
        self.pool = nn.MaxPool2d(2) if model == "unet" else nn.Identity()
        if model == "unet":
            self.encoder = nn.ModuleList(Double(a, b) for a, b in pairwise(deep))
            self.decoder = nn.ModuleList(Double(a + b, b) for a, b in pairwise(up))
        else:
            strides = (1, 2, 2, 2, 2)
            pairs = zip(pairwise(deep), strides, strict=True)
            self.encoder = nn.ModuleList(Block(a, b, stride, slope, improved) for (a, b), stride in pairs)
            self.decoder = nn.ModuleList(Block(a + b, b, 1, slope) for a, b in pairwise(up))
        self.gates = nn.ModuleList(Gate(b, a, slope) for a, b in pairwise(up)) if improved else None
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        skips = []
        for number, block in enumerate(self.encoder):
            x = block(self.pool(x) if number else x)
            skips.append(x)
        for number, (block, skip) in enumerate(zip(self.decoder, skips[-2::-1], strict=True)):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear")
            if self.gates is not None:
                skip = self.gates[number](skip, x)
            x = block(torch.cat([x, skip], 1))
        return self.last(x)


def training_step(experiment: Experiment, images: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], float], int]:
    """A function that takes one step and returns its loss; the network's multiply-adds per image, forward."""
    step, multiply_adds = unwaited_step(experiment, images, labels)
    return lambda: step().item(), multiply_adds


def unwaited_step(experiment: Experiment, images: np.ndarray, labels: np.ndarray) -> tuple[Callable, int]:
    """The same, but the loss stays on the device, which may still be working when the function returns.

    The batch is in the device's memory, channels last.
    """
    torch.backends.cudnn.benchmark = True
    network = Network(experiment.model, experiment.channels, experiment.width)
    network = network.to(DEVICE, memory_format=torch.channels_last)
    multiply_adds = _multiply_adds(network, experiment)
    compiled = torch.compile(network) if DEVICE == "cuda" else network  # minutes on a processor
    optimizer = torch.optim.Adam(network.parameters(), experiment.rate, fused=True)

    x, y = (torch.from_numpy(side).permute(0, 3, 1, 2).to(DEVICE) for side in (images, labels))
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=experiment.precision == "bfloat16"):
            logits = compiled(x)
        loss = _loss(y, logits.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

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
