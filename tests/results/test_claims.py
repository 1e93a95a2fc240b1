"""The verdicts on the paper's claims, on made-up runs whose answer is known."""

from __future__ import annotations

import pytest

from lvseg import paper
from lvseg.results.claims import claims, summary, verdict
from tests.results.support import JUDGED, METHODS, made_up


def verdicts(runs) -> dict[str, dict]:
    return {claim["id"]: claim for claim in claims(runs, paper.TABLE_1)}


@pytest.mark.parametrize(("low", "high", "p", "said"), JUDGED)
def test_a_gain_of_five_points_is_judged_in_the_stated_order(low, high, p, said):
    assert verdict(low, high, p, gain=0.05) == said


def test_orders_of_methods_that_are_known(tmp_path):
    """Improved leads U-Net by 6 points (the paper: 5.03) and ResUNet by 8 (1.71); ResUNet lies below U-Net by 2."""
    runs = made_up(tmp_path, {"unet": 0.84, "resunet": 0.82, "improved_resunet": 0.90})
    for run in runs:
        if run.experiment.model == "resunet":
            run.scores["acc"] += 0.07
    found = verdicts(runs)
    over_unet, over_resunet = (found[f"order_dice_improved_resunet_over_{m}"] for m in ("unet", "resunet"))
    assert over_unet["verdict"] == over_resunet["verdict"] == "reproduced"
    assert over_unet["ours"] == pytest.approx(0.06, abs=0.002) and over_unet["paper"] == 0.0503
    assert found["order_dice_resunet_over_unet"]["verdict"] == "reversed"
    assert found["order_acc_improved_resunet_over_resunet"]["verdict"] == "reversed"
    small = found["order_acc_improved_resunet_over_unet"]  # 0.06 / 20 of accuracy, where the paper has 0.0137
    assert small["verdict"] == "smaller than claimed" and small["reason"].endswith("; above zero")
    assert found["order_acc_resunet_over_unet"]["verdict"] == "reproduced"


def test_equal_methods_have_a_smaller_gain_than_claimed(tmp_path):
    found = verdicts(made_up(tmp_path, dict.fromkeys(METHODS, 0.9)))["order_dice_improved_resunet_over_resunet"]
    assert found["verdict"] == "smaller than claimed" and found["ci95"][0] < 0 < found["ci95"][1] < 0.0171
    assert found["reason"].endswith("; not told apart from zero")


def test_p_is_corrected_for_all_orders_that_are_tested(tmp_path):
    """With seven patients the least p is 2 / 2^7; six orders with that p have 12 / 2^7 each, which proves nothing."""
    dice = {"unet": 0.80, "resunet": 0.86, "improved_resunet": 0.92}
    for patients, methods, orders in ((7, METHODS, 6), (7, ("unet", "improved_resunet"), 2)):
        runs = [run for run in made_up(tmp_path, dice, patients) if run.experiment.model in methods]
        claim = verdicts(runs)["order_dice_improved_resunet_over_unet"]
        assert claim["p_holm"] == pytest.approx(orders * 2 / 2**7)
        assert f"p = 0.016, corrected for {orders} orders" in claim["reason"]
        assert claim["verdict"] == ("reproduced" if orders == 2 else "undecided")
        assert ("with so few patients it can't fall below 0.094" in claim["reason"]) == (orders == 6)


def test_two_patients_are_too_few_for_an_order(tmp_path):
    found = verdicts(made_up(tmp_path, {"unet": 0.5, "resunet": 0.6, "improved_resunet": 0.9}, patients=2))
    claim = found["order_dice_improved_resunet_over_unet"]
    assert (claim["verdict"], claim["p_holm"]) == ("not testable here", None)


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


# What was found, in two sentences


def test_two_sentences_say_what_was_found(tmp_path):
    runs = made_up(tmp_path, {"unet": 0.84, "resunet": 0.82, "improved_resunet": 0.90})
    found = verdicts(runs)
    for id_, ours, ci95 in (
        ("order_dice_improved_resunet_over_unet", 0.06, [0.0551, 0.0612]),
        ("order_dice_improved_resunet_over_resunet", 0.08, [0.0751, 0.0849]),
        ("order_dice_resunet_over_unet", -0.02, [-0.0255, -0.0149]),
    ):
        found[id_] |= {"ours": ours, "ci95": ci95}
    assert summary(list(found.values()), "camus", 10) == (
        "In Dice, on 10 test patients of camus: "
        "Improved ResUNet over U-Net +6.00 points (5.51 to 6.12; the paper's is 5.03), reproduced; "
        "Improved ResUNet over ResUNet +8.00 points (7.51 to 8.49; the paper's is 1.71), reproduced; "
        "ResUNet over U-Net -2.00 points (-2.55 to -1.49; the paper's is 3.32), reversed. "
        "Of the 6 orders of methods: 2 reproduced, 2 smaller than claimed, 2 reversed; "
        "the built network has 14 of Table 1's 14 rows."
    )


def test_one_method_alone_has_no_order(tmp_path):
    runs = [run for run in made_up(tmp_path, dict.fromkeys(METHODS, 0.9)) if run.experiment.model == "unet"]
    told = summary(list(verdicts(runs).values()), "phantom", 10)
    assert told.startswith("Fewer than two methods were run on phantom") and told.count(". ") == 1


def test_one_patient_has_no_interval(tmp_path):
    found = verdicts(made_up(tmp_path, dict.fromkeys(METHODS, 0.9), patients=1))
    told = summary(list(found.values()), "phantom", 1)
    assert "points (no interval; the paper's is 5.03), not testable here" in told and "nan" not in told
