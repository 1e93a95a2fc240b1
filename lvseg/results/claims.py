"""A verdict on every number that the paper publishes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from lvseg import paper
from lvseg.results import statistics
from lvseg.results.statistics import by_method, interval, scores, table2
from lvseg.training.folder import Run

ENOUGH_PATIENTS = 6
"""With five patients or fewer no sign-flip test can reach p < 0.05, so an order of methods is not testable."""


SIGNIFICANT = 0.05
SCORES = {"dice": "Dice", "acc": "accuracy"}


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
    found = statistics.paired_difference(pairs[f"{score}_a"], pairs[f"{score}_b"], pairs.patient.tolist())
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
        interval((found.low, found.high)),
        verdict(holds),
        reason,
    )
