"""What each ingredient of the phantom is worth to a network that then meets real hearts.

`python -m studies.ablation` prints the table of docs/phantom.md, in about half an hour on one core; with names of
ingredients, only those rows.

One U-Net per row and seed, all on the same patients of the population `random`, each without one ingredient, scored on
every eighth training patient of CAMUS (no validation patient takes part). The seeds say how much is chance.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.real_data import CAMUS
from lvseg import evaluation
from lvseg.data import prepared
from lvseg.data.source import open_source
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import Segmenter
from lvseg.phantom import heart, scanner
from lvseg.phantom.heart import Patient, sample_patient
from lvseg.phantom.scanner import BEAMS, SAMPLES, render
from lvseg.readers import Frame, Pixels
from lvseg.training.fit import fit

PATIENTS, EPOCHS = 400, 6  # two frames of each patient
SEEDS = (0, 1, 2)

WITHOUT: dict[str, Callable[[Patient], Patient]] = {
    "nothing (the full phantom)": lambda p: p,
    "speckle": lambda p: p,  # see `_render`
    "tilt, bend and sector geometry": lambda p: replace(
        p, axis_tilt_deg=10, bend=0.04, mitral_tilt_deg=0, sector_deg=90, margin_mm=0
    ),
    "dropout of walls, shadows": lambda p: replace(
        p, lateral_db=p.septum_db, apex_db=p.septum_db, transmural_db=0, edge_loss_db=0, shadow_db=0
    ),
    "mitral valve": lambda p: replace(p, valve_db=p.blood_db, tricuspid_mm=0),
    "papillary muscles, trabeculae": lambda p: replace(p, papillary_db=p.blood_db, trabecula_mm=0, apical_mesh_mm=0),
    "haze, reverberation, side lobes": lambda p: replace(p, haze_db=-60, reverberation_db=-60, sidelobe_db=-60),
    "changes of the atrium": lambda p: replace(p, atrial_rise_db=0, atrial_reservoir=0),
    "variety of gain and grey curve": lambda p: replace(
        p, myocardium_grey=0.4, dynamic_range_db=70, gamma=2, tgc_error_db=0, uneven_db=0
    ),
}


def main() -> None:
    real = [frame for frame in open_source(f"camus:{CAMUS}") if frame.subset == "training"]
    held_out = set(sorted({frame.patient for frame in real})[::8])
    real = [frame for frame in real if frame.patient in held_out]
    print("| without | Dice by seed |\n| --- | --- |")
    for name in sys.argv[1:] or WITHOUT:
        scores = [_score(name, seed, real) for seed in SEEDS]
        print(f"| {name} | {', '.join(f'{score:.3f}' for score in scores)} |", flush=True)


def _score(without: str, seed: int, real: list[Frame]) -> float:
    """Mean Dice on real frames of a U-Net trained on phantoms that lack an ingredient."""
    choices = Experiment.of_profile(
        "class", model="unet", epochs=EPOCHS, batch=16, parts=1, precision="float32", augment="mirrored", seed=seed,
        decay_to=1e-3, average=False, data=f"phantom without {without}",
    )  # fmt: skip
    frames = [_frame(without, number, phase) for number in range(PATIENTS) for phase in (0.0, 0.42)]
    with tempfile.TemporaryDirectory() as folder:
        network = fit(prepared.arrays_of(frames, choices), choices, Path(folder), lambda line: None)
        table, _ = evaluation.evaluate(Segmenter(network.predict_on_batch, choices).masks, real)
    return float(table.dice.mean())


def _frame(without: str, number: int, phase: float) -> Frame:
    name, sources = f"{without} {number} {phase}", (Path(__file__), Path(scanner.__file__), Path(heart.__file__))
    return Frame(name, str(number), lambda: _render(without, number, phase), files=sources)


def _render(without: str, number: int, phase: float) -> Pixels:
    patient = WITHOUT[without](sample_patient(1_000_000 + number, "random"))
    if without != "speckle":
        frame = render(patient, phase, number)
    else:  # reflectors all alike, so that their echoes don't interfere
        even = np.full((SAMPLES, BEAMS, 2), 0.25, np.float32)
        with mock.patch.object(scanner, "_scatterers", lambda *_: even):
            frame = render(patient, phase, number)
    return Pixels(frame.image, frame.mask, frame.spacing_mm)


if __name__ == "__main__":
    main()
