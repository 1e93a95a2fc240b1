"""Seconds a training step, per multiply-add, beside MONAI's networks of the same widths and other Keras backends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.table import row
from benchmarks.worker import MONAI, per_tera, take_turns

METHODS = ("unet", "resunet", "improved_resunet")
SIZES = {"class": {"width": 8, "size": 64, "batch": 16}, "full": {"width": 64, "size": 256, "batch": 1}}
"""The class profile's step, and one of the paper's width and size (a batch of one, to fit a laptop)."""
PARTS = {"class": 2, "full": 1}
"""How many parts of a batch our networks compute side by side."""
TURNS = {"class": (7, 10), "full": (3, 1)}


def measure() -> Iterator[dict[str, Any]]:
    """A row per size, precision and network: seconds per 10^12 multiply-adds of the forward pass.

    The peers compute in the same precision: MONAI's networks in both memory layouts; in float32 also our U-Net's graph
    on Keras's other backends. `matrix_product` is what a product of two matrices takes in that precision.
    """
    for name, shape in SIZES.items():
        for precision in ("float32", "bfloat16"):
            common = {"task": "train", "precision": precision, **shape}
            systems = {"matrix product": {"system": "matrix_product", **common}}
            systems |= {method: {"system": method, "parts": PARTS[name], **common} for method in METHODS}
            systems |= {peer: {**details, **common} for peer, details in MONAI.items()}
            if (name, precision) == ("class", "float32"):
                systems |= {f"unet, Keras on {b}": {"system": "unet", "backend": b, **common} for b in ("jax", "torch")}
            found = per_tera(take_turns(systems, *TURNS[name]))
            product = found.pop("matrix product")
            peers = {peer: values for peer, values in found.items() if peer not in METHODS}
            for method in METHODS:
                yield row(
                    "train_step",
                    "s per 10^12 multiply-adds",
                    {"lvseg": found[method], **peers},
                    case=f"{name}, {method}, {precision}",
                    matrix_product=min(product),
                )
