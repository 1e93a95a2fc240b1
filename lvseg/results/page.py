"""The report: `results.json`, and one page to read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from lvseg import files, human, paper
from lvseg.figures.plots import Figure
from lvseg.results.claims import claims, summary
from lvseg.results.statistics import further, table2
from lvseg.training.folder import Run


def results(runs: Sequence[Run], table1_rows: Sequence[paper.Layer]) -> dict[str, Any]:
    """What `results.json` holds: what was found in two sentences, the two tables, the claims, further scores, how
    people agree, the runs behind all this, and the environment."""
    first, rows, judged = runs[0], table2(runs), claims(runs, table1_rows)
    data = first.experiment.data.partition(":")[0]
    return {
        "found": summary(judged, data, rows[0]["n_patients"]),
        "profile": first.experiment.profile,
        "data": data,
        "patients": first.receipt.get("patients", ""),  # runs made before this was kept don't say
        "table1": [layer._asdict() for layer in table1_rows],
        "table2": rows,
        "claims": judged,
        "further": further(runs),
        "human": [agreement._asdict() for agreement in human.AGREEMENT],
        "runs": [
            {
                "name": run.folder.name,
                **run.experiment.model_dump(include={"model", "seed", "split", "width", "size", "epochs"}),
                **{key: run.receipt[key] for key in ("parameters", "seconds", "peak_memory_mb", "fingerprint")},
                "dice": float(run.scores.dice.mean()),
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
    pictures = {title: _address(figure.png()) for title, figure in figures.items()}
    files.write_text(folder / "index.html", _template().render(found=found, paper=paper, figures=pictures))
    return folder / "index.html"


class Section(str):
    """A part of the page in HTML, which a notebook shows as such."""

    def _repr_html_(self) -> str:
        return self


def section(name: str, found: Mapping[str, Any]) -> Section:
    """A table of the page by its name: `table1`, `table2`, `claims`, `readings`, `metrics`, `agreement`, `variance`,
    `human` or `runs`; `found` is what `results` gives."""
    template = _template()
    return Section("".join(template.blocks[name](template.new_context({"found": found, "paper": paper}))))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": _number, "percent": _percent, "score": _score, "known": _known}
    return environment.get_template("report.html")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _known(value: float | None, kind: str) -> str:
    """A number in percent or plain, or a dash where there is none."""
    return "-" if value is None else _percent(value) if kind == "percent" else f"{value:.2f}"


def _score(summary: Mapping[str, Any]) -> str:
    """A mean with its interval, in percent."""
    if summary["ci95"] is None:
        return _percent(summary["mean"])
    return f"{_percent(summary['mean'])} ({' to '.join(map(_percent, summary['ci95']))})"


def _address(png: bytes) -> str:
    """A picture as the text of a data address, so that the page is one file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
