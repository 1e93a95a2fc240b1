"""How well the shipped weights, trained on virtual patients only, outline real left ventricles they have never seen.

CAMUS's validation patients at native resolution, where `benchmarks.real_data` finds them. The
peers are published figures of networks trained on real echoes of other hospitals, on CAMUS's four-chamber view:
E. Chao et al., medRxiv 2023.09.19.23295772 (their choice of patients, so stand beside ours, not in a pair with it).
"""

from __future__ import annotations

from benchmarks.real_data import CAMUS
from benchmarks.table import row
from lvseg import evaluation
from lvseg.data.source import open_source
from lvseg.inference.segmenter import Segmenter
from lvseg.results import statistics

PUBLISHED = {
    "published: EchoNet-trained network, never saw CAMUS": 1 - 0.850,
    "published: Segment Anything, fine-tuned on EchoNet": 1 - 0.897,
}


def measure():
    frames = [frame for frame in open_source(f"camus:{CAMUS}") if frame.subset == "validation"]
    table, _ = evaluation.evaluate(Segmenter.load().masks, frames)
    low, high = statistics.bootstrap_ci(table.dice, table.patient.tolist())
    values = {"lvseg": [1 - table.dice.mean()], **{name: [value] for name, value in PUBLISHED.items()}}
    found = row(
        "phantom_to_real", "1 - mean Dice", values,
        dice=table.dice.mean(), dice_by_phase=table.groupby("phase").dice.mean().to_dict(), dice_worst=table.dice.min(),
        area_ratio_median=((table.tp + table.fp) / (table.tp + table.fn)).median(),
        hd95_mm=table.hd95_mm.mean(), assd_mm=table.assd_mm.mean(),
    )  # fmt: skip
    return found | {"n": len(table), "spread": [1 - high, 1 - low]}
