"""The verdicts on the paper's claims, on made-up runs whose answer is known."""

from __future__ import annotations

import pytest

from lvseg import paper
from lvseg.results.claims import claims
from tests.results.support import METHODS, made_up


def verdicts(runs) -> dict[str, dict]:
    return {claim["id"]: claim for claim in claims(runs, paper.TABLE_1)}


def test_an_order_that_holds_is_reproduced_and_a_reversed_one_is_not(tmp_path):
    found = verdicts(made_up(tmp_path, {"unet": 0.88, "resunet": 0.86, "improved_resunet": 0.90}))
    assert found["order_dice_improved_resunet_over_unet"]["verdict"] == "reproduced"
    assert found["order_dice_improved_resunet_over_unet"]["ours"] == pytest.approx(0.02, abs=0.002)
    assert found["order_dice_resunet_over_unet"]["verdict"] == "not reproduced"
    assert "reversed" in found["order_dice_resunet_over_unet"]["reason"]


def test_equal_methods_are_no_order(tmp_path):
    found = verdicts(made_up(tmp_path, dict.fromkeys(METHODS, 0.9)))["order_dice_improved_resunet_over_resunet"]
    assert found["verdict"] == "not reproduced" and found["ci95"][0] < 0 < found["ci95"][1]


def test_two_patients_are_too_few_for_an_order(tmp_path):
    found = verdicts(made_up(tmp_path, {"unet": 0.5, "resunet": 0.6, "improved_resunet": 0.9}, patients=2))
    assert found["order_dice_improved_resunet_over_unet"]["verdict"] == "not testable here"


def test_the_papers_own_scores_are_never_claimed_as_reproduced(tmp_path):
    dice = {method: paper.TABLE_2[method]["dice"] for method in METHODS}
    found = verdicts(made_up(tmp_path, dice))
    assert {c["verdict"] for name, c in found.items() if name.startswith("table2_")} == {"not testable here"}
    assert len([name for name in found if name.startswith("table2_")]) == 6


def test_the_abstracts_gains_agree_with_table_2(tmp_path):
    found = verdicts(made_up(tmp_path, dict.fromkeys(METHODS, 0.9)))
    assert {c["verdict"] for name, c in found.items() if name.startswith("abstract_")} == {"reproduced"}


def test_another_network_does_not_reproduce_table_1(tmp_path):
    rows = [*paper.TABLE_1[:-1], paper.TABLE_1[-1]._replace(output=(256, 256, 2))]
    found = claims(made_up(tmp_path, dict.fromkeys(METHODS, 0.9)), rows)[0]
    assert (found["verdict"], found["ours"]) == ("not reproduced", 13)
