"""The study's two tables, of whatever is finished."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lvseg import paper


def scores(runs: list[dict[str, Any]]) -> pd.DataFrame:
    """A row per finished run: means over the test frames, beside the paper's own (of other, private, patients)."""
    rows = [
        {
            "data": run["data"],
            "network": run["model"],
            "Dice": run["dice"],
            "paper's": paper.TABLE_2[run["model"]]["dice"],
            "accuracy": run["acc"],
            "paper's ": paper.TABLE_2[run["model"]]["acc"],
            "HD95 mm": run["hd95_mm"],
            "ASSD mm": run["assd_mm"],
            "loss": run["last_loss"],
            "seconds": run["training_s"] + run["scoring_s"],
        }
        for run in runs
    ]
    return pd.DataFrame(rows)


def steps(found: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row per network: milliseconds of a training step of 4 frames, the two floors, PyTorch."""
    rows = [
        {
            "network": model,
            "lvseg ms": step["ms_per_step"],
            "PyTorch ms": step.get("torch_ms_per_step"),
            "arithmetic floor ms": step["floor_arithmetic_ms"],
            "memory floor ms": step["floor_memory_ms"],
            "TFLOP/s": step["operations_per_step"] / step["ms_per_step"] / 1e9,
            "first call s": step["first_piece_s"],
        }
        for model, step in found.items()
        if "ms_per_step" in step
    ]
    return pd.DataFrame(rows)
