"""A verdict on every number that the paper publishes.

An order of methods is judged by the paired difference of their scores, by patient, in this order: **reversed** (its
interval below zero, Holm-corrected p below 0.05), **smaller than claimed** (its interval's upper end below the paper's
gain), **reproduced** (its interval above zero, the same p below 0.05), else **undecided**. Below six patients, and for
the paper's own scores, **not testable here**. What needs no statistics (Table 1, the abstract's sums) is reproduced or
not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lvseg import paper
from lvseg.results.statistics import (
    PairedDifference,
    by_method,
    holm,
    interval,
    paired_difference,
    scores,
    table2,
)
from lvseg.training.folder import Run

ENOUGH_PATIENTS = 6
"""With five patients or fewer no sign-flip test can reach p < 0.05, so an order of methods is not testable."""

SIGNIFICANT = 0.05
NOT_TESTABLE = "not testable here"
SCORES = {"dice": "Dice", "acc": "accuracy"}
ORDERS = (("improved_resunet", "unet"), ("improved_resunet", "resunet"), ("resunet", "unet"))
"""Which method the paper finds better than which."""


class Claim(NamedTuple):
    """One published number: what it claims, the paper's value, ours with its interval, the verdict, and why.

    p_holm: of an order of methods, corrected for the number of orders that are tested.
    """

    id: str
    claim: str
    paper: float
    ours: float
    ci95: list[float] | None
    verdict: str
    reason: str
    p_holm: float | None = None


def claims(runs: Sequence[Run], table1_rows: Sequence[paper.Layer]) -> list[dict[str, Any]]:
    """A verdict on every number that the paper publishes, and why; this module says what the verdicts mean."""
    found = [_table1(table1_rows), *_abstract(), *_table2(runs), *_orders(runs)]
    return [claim._asdict() for claim in found]


def verdict(low: float, high: float, p: float, gain: float) -> str:
    """What is known of a gain that the paper claims.

    low, high: the 95 % interval of ours. p: that there is none, corrected. gain: the paper's, above zero.
    """
    if high < 0 and p < SIGNIFICANT:
        return "reversed"
    if high < gain:
        return "smaller than claimed"
    if low > 0 and p < SIGNIFICANT:
        return "reproduced"
    return "undecided"


def summary(found: Sequence[Mapping[str, Any]], data: str, patients: int) -> str:
    """Two sentences on what the claims came to: the gains in Dice, then how many orders have which verdict.

    found: what `claims` gives. data, patients: what was tested on.
    """
    orders = [claim for claim in found if claim["id"].startswith("order_")]
    (table1,) = (claim for claim in found if claim["id"] == "table1")
    rows = f"the built network has {table1['ours']} of Table 1's {table1['paper']} rows"
    if not orders:
        return f"Fewer than two methods were run on {data}, so no order of methods is tested. As for the rest, {rows}."
    gains = "; ".join(_gain(claim) for claim in orders if claim["id"].startswith("order_dice_"))
    said = Counter(claim["verdict"] for claim in orders)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in said.items())
    where = f"{patients} test patients of {data}"
    return f"In Dice, on {where}: {gains}. Of the {len(orders)} orders of methods: {counted}; {rows}."


def _gain(claim: Mapping[str, Any]) -> str:
    """One gain in words, in points."""
    methods = claim["claim"].removesuffix(" in Dice").replace(" beats ", " over ")
    sides = " to ".join(f"{100 * side:.2f}" for side in claim["ci95"] or ()) or "no interval"
    paper_s = f"the paper's is {100 * claim['paper']:.2f}"
    return f"{methods} {100 * claim['ours']:+.2f} points ({sides}; {paper_s}), {claim['verdict']}"


def _table1(rows: Sequence[paper.Layer]) -> Claim:
    expected = len(paper.TABLE_1)
    equal = sum(ours == theirs for ours, theirs in zip(rows, paper.TABLE_1, strict=False))
    told = "shapes, kernels and strides, read off the network at full width"
    claim = "rows of Table 1 that the built network has"
    return Claim("table1", claim, expected, equal, None, _exact(equal == len(rows) == expected), told)


def _abstract() -> Iterable[Claim]:
    for (method, score), gain in paper.ABSTRACT_GAINS.items():
        ours = paper.TABLE_2["improved_resunet"][score] - paper.TABLE_2[method][score]
        yield Claim(
            f"abstract_{score}_gain_over_{method}",
            f"the abstract's gain over {paper.METHODS[method]} in {SCORES[score]}",
            gain,
            round(ours, 4),
            None,
            _exact(math.isclose(ours, gain, abs_tol=5e-5)),
            "the difference of the paper's own rows in Table 2",
        )


def _exact(holds: bool) -> str:
    return "reproduced" if holds else "not reproduced"


def _table2(runs: Sequence[Run]) -> Iterable[Claim]:
    for row in table2(runs):
        for score, value in paper.TABLE_2[row["method"]].items():
            yield Claim(
                f"table2_{row['method']}_{score}",
                f"{row['name']}'s {SCORES[score]} in Table 2",
                value,
                row[score]["mean"],
                row[score]["ci95"],
                NOT_TESTABLE,
                "the paper's 100 test images are private; ours is measured on other data",
            )


class _Order(NamedTuple):
    """`better` against `worse` in a score, over the same frames and seeds."""

    better: str
    worse: str
    score: str
    found: PairedDifference
    patients: int

    @property
    def testable(self) -> bool:
        return self.patients >= ENOUGH_PATIENTS


def _orders(runs: Sequence[Run]) -> Iterable[Claim]:
    """The orders of methods; all that can be tested are corrected together."""
    methods = by_method(runs)
    pairs = [(a, b) for a, b in ORDERS if a in methods and b in methods]
    orders = [_measured(methods[a], methods[b], score) for a, b in pairs for score in SCORES]
    tested = [order.found.p_value for order in orders if order.testable]
    corrected = iter(holm(tested))
    return [_judged(order, next(corrected) if order.testable else None, len(tested)) for order in orders]


def _measured(better: Sequence[Run], worse: Sequence[Run], score: str) -> _Order:
    pairs = scores(better).merge(scores(worse), on=["seed", "frame", "patient"], suffixes=("_a", "_b"))
    found = paired_difference(pairs[f"{score}_a"], pairs[f"{score}_b"], pairs.patient.tolist())
    return _Order(better[0].experiment.model, worse[0].experiment.model, score, found, pairs.patient.nunique())


def _judged(order: _Order, p: float | None, tested: int) -> Claim:
    found = order.found
    gain = round(paper.TABLE_2[order.better][order.score] - paper.TABLE_2[order.worse][order.score], 4)
    if p is None:
        said, reason = NOT_TESTABLE, f"{order.patients} test patients are too few to order methods"
    else:
        said = verdict(found.low, found.high, p, gain)
        reason = (
            f"paired over {order.patients} patients, p = {found.p_value:.2g}, corrected for {tested} orders {p:.2g}"
        )
        if said == "smaller than claimed":
            reason += "; above zero" if found.low > 0 and p < SIGNIFICANT else "; not told apart from zero"
        if (least := min(1.0, tested * 2 / 2**order.patients)) >= SIGNIFICANT:
            reason += f"; with so few patients it can't fall below {least:.2g}"
    return Claim(
        f"order_{order.score}_{order.better}_over_{order.worse}",
        f"{paper.METHODS[order.better]} beats {paper.METHODS[order.worse]} in {SCORES[order.score]}",
        gain,
        found.mean,
        interval((found.low, found.high)),
        said,
        reason,
        p,
    )
