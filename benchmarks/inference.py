"""Seconds a forward pass, per multiply-add: lvseg's engine beside MONAI's networks, Keras and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.table import row
from benchmarks.train_step import METHODS
from benchmarks.worker import MONAI, per_tera, take_turns

SIZES = {"class": {"width": 8, "size": 64, "batch": 16}, "full": {"width": 64, "size": 256, "batch": 1}}
TURNS = {"class": (9, 10), "full": (3, 1)}


def measure() -> Iterator[dict[str, Any]]:
    """A row per size, precision and network: seconds per 10^12 multiply-adds; ours is `Segmenter.load`'s engine.

    The peers compute in the same precision: MONAI's networks in both memory layouts; in float32 also ours run by Keras
    (the U-Net on each backend) and by ONNX Runtime. `matrix_product` is what a product of two matrices takes.
    """
    for name, shape in SIZES.items():
        for precision in ("float32", "bfloat16"):
            common = {"task": "infer", "precision": precision, **shape}
            systems = {"matrix product": {"system": "matrix_product", **common}}
            systems |= {method: {"system": method, "engine": "openvino", **common} for method in METHODS}
            systems |= {peer: {**details, **common} for peer, details in MONAI.items()}
            if precision == "float32":
                systems |= {f"{m}, Keras": {"system": m, **common} for m in METHODS}
                systems |= {f"unet, Keras on {b}": {"system": "unet", "backend": b, **common} for b in ("jax", "torch")}
                systems |= {f"{m}, ONNX Runtime": {"system": m, "engine": "onnxruntime", **common} for m in METHODS}
            found = per_tera(take_turns(systems, *TURNS[name]))
            product = found.pop("matrix product")
            peers = {peer: values for peer, values in found.items() if peer not in METHODS}
            for method in METHODS:
                yield row(
                    "inference",
                    "s per 10^12 multiply-adds",
                    {"lvseg": found[method], **peers},
                    case=f"{name}, {method}, {precision}",
                    matrix_product=min(product),
                )
