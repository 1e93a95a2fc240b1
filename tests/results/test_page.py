"""The results of made-up and of real runs, and their page in a browser."""

from __future__ import annotations

import html
import json
import shutil

import pytest

from lvseg import paper
from lvseg.results import page
from lvseg.training.folder import read_receipt
from tests.results.support import METHODS, made_up


def test_a_method_that_finds_nothing_still_has_its_row_and_its_page(tmp_path):
    """All its masks are empty, so it has no distances; the others do."""
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    for run in runs:
        if run.experiment.model != "resunet":
            run.scores["hd95_mm"] = run.scores["assd_mm"] = 2.0
    found = page.results(runs, paper.TABLE_1)
    assert [row["hd95_mm"]["mean"] for row in found["table2"]] == [2, None, 2]
    written = page.write(found, {}, tmp_path / "report").read_text()
    assert f'<p id="found"><b>{found["found"]}' in html.unescape(written)
    assert "between observers" in written and "0.899" not in written and "89.90" in written
    assert "without 80 frames" in written and "NaN" not in (tmp_path / "report" / "results.json").read_text()


@pytest.mark.parametrize(
    ("patients", "said"),
    [
        ("known", "The patients are known by the data set's own rule."),
        ("stated", "The patients are stated in a list"),
        ("guessed from the first sub-folder", "The patients are guessed from the first sub-folder</b>: where that is"),
        (None, ""),
    ],
)
def test_the_page_says_how_patients_are_known(tmp_path, patients, said):
    """Runs of before this was kept don't say."""
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9), seeds=(0,))
    for run in runs:
        run.receipt.update({} if patients is None else {"patients": patients})
    written = html.unescape(page.write(page.results(runs, paper.TABLE_1), {}, tmp_path / "report").read_text())
    assert said in written and ("The patients are" in written) == bool(said)
    assert ("patients.csv" in written) == ("guessed" in said)


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
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


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
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
        assert page.locator("#readings tbody tr").count() == 5
        assert page.locator("#metrics tbody tr").count() == page.locator("#variance tbody tr").count() == 3
        assert page.locator("#human tbody tr").count() == 4
        assert page.locator("figure").count() == 5
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == 5 and min(widths) > 300
        assert all(address.startswith(("file:", "data:")) for address in asked)
        browser.close()
