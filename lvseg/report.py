"""Finished runs gathered into the paper's tables, a verdict on each of its claims, and one page to read."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pandas as pd

from lvseg import evaluation, files, paper, receipts
from lvseg.errors import DataError
from lvseg.figures import Figure
from lvseg.profiles import Experiment

ENOUGH_PATIENTS = 6
"""With five patients or fewer no sign-flip test can reach p < 0.05, so an order of methods is not testable."""
SIGNIFICANT = 0.05
DISTANCES = ("hd95_mm", "assd_mm")
SCORES = {"dice": "Dice", "acc": "accuracy"}


@dataclass(frozen=True)
class Run:
    """A finished run: its experiment, receipt, per-frame scores and training history."""

    folder: Path
    experiment: Experiment
    receipt: dict[str, Any]
    frames: pd.DataFrame
    history: pd.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run's folder; raises `lvseg.DataError` where its receipt is missing or no longer holds."""
        receipt = receipts.read(folder)
        if receipt is None:
            raise DataError(f"{folder}: has no valid receipt, so the run isn't finished; run it again")
        experiment = Experiment.of(**files.read_json(folder / "experiment.json"))
        names = {"frame": str, "patient": str}  # a name may look like a number, or like "NA"
        frames = pd.read_csv(folder / "frames.csv", keep_default_na=False, na_values=[""], dtype=names)
        return cls(folder, experiment, receipt, frames, pd.read_csv(folder / "history.csv"))

    def mask(self, frame: str) -> np.ndarray:
        """The mask that this run predicted for a test frame: bool (height, width)."""
        with np.load(self.folder / "masks.npz") as masks:
            return masks[frame]


def gather(folder: Path) -> list[Run]:
    """All runs of the plan in `folder`, in its order; raises `lvseg.DataError` where one isn't finished."""
    return [Run.load(folder / name) for name in files.read_json(folder / "plan.json")["runs"]]


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each method, in the paper's order of methods."""
    grouped = {method: [run for run in runs if run.experiment.model == method] for method in paper.METHODS}
    return {method: found for method, found in grouped.items() if found}


def scores(runs: Sequence[Run]) -> pd.DataFrame:
    """The per-frame scores of one method's runs, one below the other, with a column `seed`."""
    return pd.concat([run.frames.assign(seed=run.experiment.seed) for run in runs], ignore_index=True)


def table2(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Table 2: a row per method; each score as mean over frames and seeds, its interval by patient, and per seed."""
    rows = []
    distances = [column for column in DISTANCES if any(run.frames[column].notna().any() for run in runs)]
    for method, found in by_method(runs).items():
        table = scores(found)
        row: dict[str, Any] = {"method": method, "name": paper.METHODS[method]}
        row |= {column: _summary(table, column) for column in ("dice", "acc", *distances)}
        counts = table[["tp", "fp", "fn"]].sum()
        row["dice_pooled"] = float(2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn))
        rows.append({**row, "n_frames": table.frame.nunique(), "n_patients": table.patient.nunique()})
    return rows


def _summary(table: pd.DataFrame, column: str) -> dict[str, Any]:
    """Mean, 95 % interval and per-seed means of a score; frames without it (an empty mask) are counted."""
    scored = table[np.isfinite(table[column])]
    if scored.empty:
        return {"mean": None, "ci95": None, "per_seed": [], "frames_without": len(table)}
    summary: dict[str, Any] = {
        "mean": float(scored[column].mean()),
        "ci95": _interval(evaluation.bootstrap_ci(scored[column].to_numpy(), scored.patient.tolist())),
        "per_seed": [float(v) for v in scored.groupby("seed")[column].mean()],
    }
    if len(scored) < len(table):
        summary["frames_without"] = len(table) - len(scored)
    return summary


def _interval(pair: tuple[float, float]) -> list[float] | None:
    return None if any(math.isnan(side) for side in pair) else list(pair)


def claims(runs: Sequence[Run], table1_rows: Sequence[paper.Layer]) -> list[dict[str, Any]]:
    """A verdict on every number that the paper publishes: reproduced, not reproduced, or not testable here, and why.

    A claim that one method beats another counts as reproduced when, on our data, the 95 % interval of the paired
    difference by patient lies above zero and the sign-flip test agrees. The scores themselves belong to private data.
    """
    equal = sum(ours == theirs for ours, theirs in zip(table1_rows, paper.TABLE_1, strict=False))
    rows = len(paper.TABLE_1)
    verdicts = [
        Claim(
            "table1",
            "rows of Table 1 that the built network has",
            rows,
            equal,
            None,
            verdict(equal == len(table1_rows) == rows),
            "shapes, kernels and strides, read off the network at full width",
        )
    ]
    for (method, score), gain in paper.ABSTRACT_GAINS.items():
        ours = paper.TABLE_2["improved_resunet"][score] - paper.TABLE_2[method][score]
        verdicts.append(
            Claim(
                f"abstract_{score}_gain_over_{method}",
                f"the abstract's gain over {paper.METHODS[method]} in {SCORES[score]}",
                gain,
                round(ours, 4),
                None,
                verdict(math.isclose(ours, gain, abs_tol=5e-5)),
                "the difference of the paper's own rows in Table 2",
            )
        )
    for row in table2(runs):
        for score, value in paper.TABLE_2[row["method"]].items():
            verdicts.append(
                Claim(
                    f"table2_{row['method']}_{score}",
                    f"{row['name']}'s {SCORES[score]} in Table 2",
                    value,
                    row[score]["mean"],
                    row[score]["ci95"],
                    verdict(None),
                    "the paper's 100 test images are private; ours is measured on other data",
                )
            )
    methods = by_method(runs)
    for better, worse in (("improved_resunet", "unet"), ("improved_resunet", "resunet"), ("resunet", "unet")):
        if better in methods and worse in methods:
            verdicts += [_order(methods[better], methods[worse], score) for score in SCORES]
    return [claim._asdict() for claim in verdicts]


class Claim(NamedTuple):
    """One published number: what it claims, the paper's value, ours with its interval, the verdict, and why."""

    id: str
    claim: str
    paper: float
    ours: float
    ci95: list[float] | None
    verdict: str
    reason: str


def verdict(holds: bool | None) -> str:
    """The three verdicts; None is for what our data can't decide."""
    return {True: "reproduced", False: "not reproduced", None: "not testable here"}[holds]


def _order(better: Sequence[Run], worse: Sequence[Run], score: str) -> Claim:
    """The verdict on "`better` beats `worse`": the paired difference over the same frames and seeds."""
    a, b = better[0].experiment.model, worse[0].experiment.model
    pairs = scores(better).merge(scores(worse), on=["seed", "frame", "patient"], suffixes=("_a", "_b"))
    found = evaluation.paired_difference(pairs[f"{score}_a"], pairs[f"{score}_b"], pairs.patient.tolist())
    patients = pairs.patient.nunique()
    holds: bool | None = found.low > 0 and found.p_value < SIGNIFICANT
    reason = f"paired over {patients} patients, p = {found.p_value:.2g}"
    if patients < ENOUGH_PATIENTS:
        holds, reason = None, f"{patients} test patients are too few to order methods"
    elif not holds:
        reason += "; the order is reversed" if found.high < 0 else "; no difference can't be ruled out"
    return Claim(
        f"order_{score}_{a}_over_{b}",
        f"{paper.METHODS[a]} beats {paper.METHODS[b]} in {SCORES[score]}",
        round(paper.TABLE_2[a][score] - paper.TABLE_2[b][score], 4),
        found.mean,
        _interval((found.low, found.high)),
        verdict(holds),
        reason,
    )


def results(runs: Sequence[Run], table1_rows: Sequence[paper.Layer]) -> dict[str, Any]:
    """What `results.json` holds: the two tables, the claims, the runs behind them, and the environment."""
    first = runs[0]
    return {
        "profile": first.experiment.profile,
        "data": first.experiment.data.partition(":")[0],
        "table1": [layer._asdict() for layer in table1_rows],
        "table2": table2(runs),
        "claims": claims(runs, table1_rows),
        "runs": [
            {
                "name": run.folder.name,
                **run.experiment.model_dump(include={"model", "seed", "split", "width", "size", "epochs"}),
                **{key: run.receipt[key] for key in ("parameters", "seconds", "peak_memory_mb", "fingerprint")},
                "dice": float(run.frames.dice.mean()),
            }
            for run in runs
        ],
        "environment": first.receipt["environment"],
    }


def write(found: Mapping[str, Any], figures: Mapping[str, Figure], folder: Path) -> Path:
    """Write `results.json` and the page `index.html`, figures inside it; returns the page's path.

    figures: by title, in the page's order.
    """
    files.write_json(folder / "results.json", found)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lvseg", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        found=found, paper=paper, figures={title: _address(figure.png()) for title, figure in figures.items()}
    )
    files.write_text(folder / "index.html", page)
    return folder / "index.html"


def _address(png: bytes) -> str:
    """A picture as the text of a data address, so that the page is one file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
