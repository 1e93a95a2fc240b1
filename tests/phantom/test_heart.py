"""The heart against closed formulas, plain counting of pixels, and the outlines of real hearts."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks.real_data import CAMUS
from lvseg.errors import ConfigError
from lvseg.phantom.cohort import cohort
from lvseg.phantom.heart import POPULATIONS, VIEWS, Patient, sample_patient, volume_fraction
from lvseg.phantom.scanner import render
from tests.phantom.support import EVERY, half_ellipsoid
from tests.support import needs_camus

# The cavity


def test_the_cavity_is_the_solid_it_says():
    frame = render(half_ellipsoid(), 0.0)
    length = (6 * 100_000 / (np.pi * 0.6**2)) ** (1 / 3)  # half an ellipsoid: V = 2/3 pi a^2 L, a = 0.3 L
    assert np.ptp(frame.contour_mm[:, 1]) == pytest.approx(length, rel=2e-3)
    assert np.ptp(frame.contour_mm[:, 0]) == pytest.approx(0.6 * length, rel=2e-3)
    assert frame.area_mm2 == pytest.approx(np.pi / 4 * 0.6 * length**2, rel=2e-3)
    assert frame.volume_ml == pytest.approx(100)


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.45])
def test_disks_counted_in_the_mask_give_the_volume(phase: float):
    frame = render(half_ellipsoid(edv_ml=130.0, irregularity=0.05, hypokinesia=0.4), phase)
    widths = frame.mask.sum(axis=1) * frame.spacing_mm[1]
    assert (np.pi / 4 * widths**2).sum() * frame.spacing_mm[0] / 1000 == pytest.approx(frame.volume_ml, rel=0.02)


@pytest.mark.parametrize(("seed", "population"), EVERY)
def test_the_cavity_lies_within_the_sector(seed: int, population: str):
    patient = sample_patient(seed, population)
    for view in VIEWS:
        x, z = render(replace(patient, view=view), 0.0).contour_mm.T - patient.margin_mm
        x = x - patient.half_width_mm
        assert np.degrees(np.abs(np.arctan2(x, z))).max() < patient.sector_deg / 2
        assert np.hypot(x, z).max() < patient.depth_mm


def test_the_wall_is_as_thick_as_asked():
    patient = half_ellipsoid(wall_mm=10.0)
    frame = render(patient, 0.0)
    row = int((40 + 0.6 * np.ptp(frame.contour_mm[:, 1])) / frame.spacing_mm[0])
    assert (frame.labels[row] == 2).sum() * frame.spacing_mm[1] == pytest.approx(2 * 10, abs=2)


# The heartbeat


@pytest.mark.parametrize("ejection_fraction", [0.2, 0.5, 0.75])
@pytest.mark.parametrize("hypokinesia", [0.0, 0.6])
def test_the_ejection_fraction_is_the_one_asked_for(ejection_fraction: float, hypokinesia: float):
    patient = half_ellipsoid(ejection_fraction=ejection_fraction, hypokinesia=hypokinesia)
    phases = np.linspace(0, 1, 400, endpoint=False)
    volumes = [patient.edv_ml * volume_fraction(patient, phase) for phase in phases]
    assert volumes[0] == max(volumes) == patient.edv_ml
    assert 1 - min(volumes) / max(volumes) == pytest.approx(ejection_fraction, abs=1e-3)
    disks = [
        (render(patient, phase).mask.sum(axis=1).astype(float) ** 2).sum()
        for phase in (0.0, phases[int(np.argmin(volumes))])
    ]
    assert 1 - disks[1] / disks[0] == pytest.approx(ejection_fraction, abs=0.02)


def test_the_beat_is_smooth_and_closes():
    patient = sample_patient(5, "child")
    assert replace(patient, heart_rate_bpm=60.0).systole == pytest.approx(0.546 - 0.126)  # of one second
    curve = np.array([volume_fraction(patient, phase) for phase in np.linspace(0, 1, 1001)])
    assert curve[-1] == pytest.approx(curve[0])
    assert np.abs(np.diff(curve)).max() < 0.01
    falling = np.diff(curve) < -1e-9
    assert falling[: int(1000 * patient.systole) - 1].all() and not falling[int(1000 * patient.systole) + 1 :].any()


def test_a_hypokinetic_wall_moves_less():
    moved = []
    for hypokinesia in (0.0, 0.6):
        patient = half_ellipsoid(hypokinesia=hypokinesia, hypokinesia_at=1.0)  # where the ellipsoid is widest
        for phase in (0.0, patient.systole):
            frame = render(patient, phase)
            moved.append(frame.contour_mm[:, 0].max())
    assert moved[2] - moved[3] < 0.75 * (moved[0] - moved[1])


def test_a_wall_that_squeezes_narrows_most_at_papillary_level():
    thinnest = []
    for squeeze in (0.0, 1.2):
        patient = half_ellipsoid(squeeze=squeeze)
        frame = render(patient, patient.systole)
        widths = frame.mask.sum(axis=1)[frame.mask.any(axis=1)] * frame.spacing_mm[1]
        assert (np.pi / 4 * widths**2).sum() * frame.spacing_mm[0] / 1000 == pytest.approx(frame.volume_ml, rel=0.02)
        thinnest.append(widths[len(widths) // 3] / widths[int(0.95 * len(widths))])
    assert thinnest[1] < 0.9 * thinnest[0]


# Populations


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sample_patient(1, "martian"),
        lambda: sample_patient(1, "child", view="PLAX"),
        lambda: sample_patient(-1),
        lambda: cohort(n_patients=0),
    ],
)
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_the_random_population_covers_the_adults():
    for field in (f for f in fields(Patient) if f.metadata):
        (low, high), (least, most) = field.metadata["adult"], field.metadata["random"]
        assert least <= low <= high <= most, field.name


def test_every_number_stays_within_its_range():
    for population in POPULATIONS:
        patients = [sample_patient(seed, population) for seed in range(30)]
        for field in (f for f in fields(Patient) if population in f.metadata):
            low, high = field.metadata[population]
            values = [getattr(patient, field.name) for patient in patients]
            assert low <= min(values) and max(values) <= high
            assert low == high or len(set(values)) == len(values)


def measures(mask: np.ndarray, spacing: float) -> tuple[float, float, float]:
    """Share of the image, long axis (4 standard deviations along it, mm), and short axis / long axis."""
    points = np.argwhere(mask) * spacing
    short, long = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
    return float(mask.mean()), 4 * float(long), float(short / long)


@pytest.mark.slow
@needs_camus
@pytest.mark.parametrize("population", ["adult", "random"])
def test_real_outlines_lie_within_the_phantoms_spread(population: str):
    nibabel = pytest.importorskip("nibabel")
    names = (CAMUS / "database_split" / "subgroup_training.txt").read_text().split()[::13]
    real = []
    for name in names:
        path = CAMUS / "database_nifti" / name / f"{name}_4CH_ED_gt.nii.gz"
        if path.is_file():
            volume = nibabel.load(path)
            real.append(measures(np.asarray(volume.dataobj).T == 1, float(volume.header.get_zooms()[0])))
    ours = []
    for seed in range(80):
        frame = render(sample_patient(seed, population), 0.0)
        ours.append(measures(frame.mask, frame.spacing_mm[0]))
    low, high = np.min(ours, axis=0), np.max(ours, axis=0)
    covered = np.all((np.array(real) >= low) & (np.array(real) <= high), axis=1)
    assert len(real) > 20 and covered.mean() > 0.9
