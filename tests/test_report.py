"""The verdicts on made-up runs, whose answer is known, and the page of a real run in a browser."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lvseg import paper
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.results import page, statistics
from lvseg.results.claims import claims
from lvseg.training.folder import RECEIPT, Run, gather, read_receipt

METHODS = ("unet", "resunet", "improved_resunet")


def made_up(tmp_path, dice: dict[str, float], patients: int = 10, seeds=(0, 1)) -> list[Run]:
    """Runs whose per-frame Dice lies around `dice` of each method, patients differing more than methods."""
    runs = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        of_patient, of_frame = rng.normal(0, 0.03, patients), rng.normal(0, 0.01, (patients, 4))
        for method in METHODS:
            scores = dice[method] + (of_patient[:, None] + of_frame).ravel() + rng.normal(0, 0.002, patients * 4)
            table = pd.DataFrame(
                {
                    "frame": [f"p{p}_f{f}" for p in range(patients) for f in range(4)],
                    "patient": [f"p{p}" for p in range(patients) for f in range(4)],
                    "dice": scores, "acc": 0.9 + scores / 20, "hd95_mm": np.nan, "assd_mm": np.nan,
                    "tp": 100, "fp": 10, "fn": 20, "tn": 1000,
                }
            )  # fmt: skip
            experiment = Experiment.of_profile("class", model=method, seed=seed)
            receipt = {"environment": {}, "parameters": 1, "seconds": 1, "peak_memory_mb": 1, "fingerprint": "f"}
            runs.append(Run(tmp_path / f"{method}{seed}", experiment, receipt, table, pd.DataFrame()))
    return runs


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


def test_table2_by_hand(tmp_path):
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    rows = statistics.table2(runs)
    assert [row["method"] for row in rows] == list(METHODS)
    both = pd.concat([run.frames.dice for run in runs if run.experiment.model == "unet"])
    assert rows[0]["dice"]["mean"] == pytest.approx(both.mean())
    assert rows[0]["dice"]["per_seed"] == [pytest.approx(run.frames.dice.mean()) for run in runs[::3]]
    assert rows[0]["dice_pooled"] == pytest.approx(2 * 100 / (2 * 100 + 10 + 20))
    assert (rows[0]["n_frames"], rows[0]["n_patients"]) == (40, 10)
    assert "hd95_mm" not in rows[0]
    low, high = rows[0]["dice"]["ci95"]
    assert low < rows[0]["dice"]["mean"] < high


def test_table2s_interval_is_by_patient(tmp_path):
    """All frames of a patient score the same: the interval is the t interval of ten patients, not of 40 frames."""
    (run, *_) = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    of_patient = dict(zip(sorted(set(run.frames.patient)), np.linspace(0.80, 0.98, 10), strict=True))
    run.frames["dice"] = run.frames.patient.map(of_patient)
    (row,) = statistics.table2([run])
    values = np.array(list(of_patient.values()))
    assert row["dice"]["ci95"] == pytest.approx(stats.t.interval(0.95, 9, values.mean(), stats.sem(values)), abs=0.004)


def test_frames_without_a_distance_are_counted_not_dropped_in_silence(tmp_path):
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    for run in runs:
        run.frames["hd95_mm"] = [np.nan, *[2.0] * 39]
    row = statistics.table2(runs)[0]
    assert row["hd95_mm"]["mean"] == 2 and row["hd95_mm"]["frames_without"] == 2


def test_a_method_that_finds_nothing_still_has_its_row_and_its_page(tmp_path):
    """All its masks are empty, so it has no distances; the others do."""
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    for run in runs:
        if run.experiment.model != "resunet":
            run.frames["hd95_mm"] = run.frames["assd_mm"] = 2.0
    found = page.results(runs, paper.TABLE_1)
    assert [row["hd95_mm"]["mean"] for row in found["table2"]] == [2, None, 2]
    written = page.write(found, {}, tmp_path / "report").read_text()
    assert "without 80 frames" in written and "NaN" not in (tmp_path / "report" / "results.json").read_text()


def test_results_of_a_real_run(reproduction):
    found = json.loads((reproduction / "report" / "results.json").read_text())
    assert {"profile", "data", "table1", "table2", "claims", "runs", "environment"} <= found.keys()
    assert (found["profile"], found["data"]) == ("smoke", "phantom")
    rows = [
        paper.Layer(r["name"], *(tuple(r[k]) for k in ("input", "kernels", "strides", "output")))
        for r in found["table1"]
    ]
    assert tuple(rows) == paper.TABLE_1
    assert [row["method"] for row in found["table2"]] == list(METHODS)
    for row in found["table2"]:
        assert 0 <= row["dice"]["mean"] <= 1 and len(row["dice"]["per_seed"]) == 1
    for run in found["runs"]:
        assert read_receipt(reproduction / "runs" / run["name"]) is not None


def test_a_run_without_receipt_is_no_result(reproduction, tmp_path):
    copy = shutil.copytree(reproduction / "runs", tmp_path / "runs")
    victim = json.loads((copy / "plan.json").read_text())["runs"][1]
    (copy / victim / RECEIPT).unlink()
    with pytest.raises(DataError, match=f"{victim}: has no valid receipt"):
        gather(copy)


def test_the_page_in_a_browser(reproduction):
    """Every table is filled, every picture has pixels, nothing is fetched from elsewhere."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((reproduction / "report" / "index.html").as_uri())
        assert page.locator("#table1 tbody tr").count() == 14
        assert page.locator("#table1 .yes").count() == 14
        assert page.locator("#table2 tbody tr").count() == 3
        assert page.locator("#claims tbody tr").count() > 10
        assert page.locator("figure").count() == 5
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == 5 and min(widths) > 300
        assert all(address.startswith(("file:", "data:")) for address in asked)
        browser.close()
