"""The scanner's image against its geometry, speckle theory, and what each ingredient must change."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from lvseg.phantom.heart import VIEWS, sample_patient
from lvseg.phantom.scanner import BEAMS, SAMPLES, Rendered, _scan_convert, echo_power, render
from tests.phantom.support import EVERY, digest, half_ellipsoid

# Geometry


@pytest.mark.parametrize(("seed", "population"), EVERY)
@pytest.mark.parametrize("phase", [0.0, 0.4])
def test_the_mask_is_the_contour(seed: int, population: str, phase: float):
    frame = render(sample_patient(seed, population), phase)
    spacing = frame.spacing_mm[0]
    centres = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in frame.mask.shape[::-1])), axis=-1) * spacing
    expected = Polygon(frame.contour_mm).contains_points(centres.reshape(-1, 2)).reshape(frame.mask.shape)
    assert (frame.mask != expected).sum() <= 2  # a centre on the line may fall on either side
    assert frame.area_mm2 == pytest.approx(frame.mask.sum() * spacing**2, rel=0.01)
    assert cv2.connectedComponents(frame.mask.astype(np.uint8))[0] == 2


@pytest.mark.parametrize(("seed", "population"), EVERY)
def test_labels_agree_with_the_mask_and_with_anatomy(seed: int, population: str):
    frame = render(sample_patient(seed, population), 0.3)
    assert frame.labels.dtype == np.uint8 and frame.labels.max() <= 3
    assert np.array_equal(frame.labels == 1, frame.mask)
    ring = cv2.dilate(frame.mask.astype(np.uint8), np.ones((5, 5))).astype(bool) & ~frame.mask
    assert np.isin(frame.labels[ring], (2, 3)).mean() > 0.8  # wall all round, but for the mitral plane
    assert (frame.labels[ring] == 2).mean() > 0.7
    rows = np.arange(frame.labels.shape[0])[:, None] * np.ones_like(frame.labels)
    if (frame.labels == 3).any():
        assert rows[frame.labels == 3].mean() > rows[frame.mask].max() - 0.3 * np.ptp(rows[frame.mask])


# Ingredients


def in_heart(frame: Rendered, x_mm: tuple[float, float], z_mm: tuple[float, float]) -> np.ndarray:
    """Pixels of a `half_ellipsoid` by its own coordinates: x from the long axis, z from the apex."""
    rows, columns = (np.indices(frame.mask.shape) + 0.5) * frame.spacing_mm[0]
    x, z = columns - frame.mask.shape[1] / 2 * frame.spacing_mm[0], rows - 40
    return (x > x_mm[0]) & (x < x_mm[1]) & (z > z_mm[0]) & (z < z_mm[1])


def test_the_atrium_is_brighter_while_it_is_small():
    levels = []
    for rise in (0.0, 20.0):
        patient = half_ellipsoid(atrium_db=-25.0, atrial_rise_db=rise, atrial_reservoir=0.4, tgc_error_db=0.0)
        for phase in (0.0, patient.systole):
            frame = render(patient, phase)
            core = cv2.erode((frame.labels == 3).astype(np.uint8), np.ones((9, 9))).astype(bool)
            levels.append(frame.image[core].mean())
    assert levels[2] > levels[0] + 15
    assert levels[3] == pytest.approx(levels[1], abs=1)


def test_the_apical_mesh_fills_the_apex_and_nothing_else():
    plain, filled = (
        render(half_ellipsoid(apex_db=0.0, blood_db=-35.0, haze_db=-25.0, apical_mesh_mm=mm), 0.0) for mm in (0.0, 25.0)
    )
    apex, base = in_heart(plain, (-8, 8), (4, 12)), in_heart(plain, (-8, 8), (45, 65))
    assert filled.image[apex].mean() > 1.3 * plain.image[apex].mean()
    assert filled.image[base].mean() == pytest.approx(plain.image[base].mean(), abs=1)


def test_a_valve_that_closes_late_stands_in_the_cavity_only_at_end_diastole():
    added = []
    for phase in (0.0, 0.2):
        late, early = (
            render(half_ellipsoid(valve_open=0.0, valve_db=15.0, late_closure=share), phase) for share in (0.7, 0.0)
        )
        above = in_heart(late, (-15, 15), (50, 70))  # the mitral plane lies at 81 mm
        added.append(np.percentile(late.image[above].astype(float) - early.image[above], 95))
    assert added[0] > 40 > 1 > added[1]


def test_the_tricuspid_valve_lies_between_the_right_chambers():
    with_valve, without = (
        render(half_ellipsoid(tricuspid_mm=mm, valve_db=15.0, right_heart_db=-30.0), 0.2) for mm in (2.0, 0.0)
    )
    added = with_valve.image.astype(float) - without.image
    rows, columns = np.nonzero(added > 40)
    assert len(rows) > 20
    left = without.contour_mm[0] / without.spacing_mm[0]  # the septal hinge of the mitral valve
    assert columns.max() < left[0] + 5 / without.spacing_mm[0]
    assert np.abs(rows - left[1]).max() * without.spacing_mm[0] < 35
    assert added[with_valve.mask].max() < 40


def test_a_two_chamber_view_has_no_right_heart():
    patient = half_ellipsoid(right_heart_db=-60.0, septum_db=6.0, surroundings_db=0.0, haze_db=-25.0, rv_mm=30.0)
    four, two = (render(replace(patient, view=view), 0.0) for view in VIEWS)
    beyond = in_heart(four, (-50, -42), (45, 60))  # the septum's or the inferior wall's far side
    assert four.image[beyond].mean() < 0.6 * two.image[beyond].mean()


def test_the_same_seeds_give_the_same_bytes_and_others_do_not():
    patient = sample_patient(7, "random")
    assert sample_patient(7, "random") == patient != sample_patient(8, "random")
    first = render(patient, 0.2, seed=1)
    assert digest(first.image) == digest(render(patient, 0.2, seed=1).image)
    assert digest(first.image) != digest(render(patient, 0.2, seed=2).image)
    other = replace(patient, seed=patient.seed + 1)
    assert digest(first.image) != digest(render(other, 0.2, seed=1).image)


def fine_grain(image: np.ndarray) -> np.ndarray:
    return image - cv2.GaussianBlur(image.astype(float), (0, 0), 6)


def test_speckle_stays_with_the_tissue_and_noise_does_not():
    patient = half_ellipsoid(septum_db=6.0, noise_db=-15.0, smoothing_mm=0.1, blood_db=-60.0)
    one, two = render(patient, 0.0, seed=1), render(patient, 0.0, seed=2)
    columns = np.arange(one.image.shape[1]) * np.ones_like(one.image)
    septum = (one.labels == 2) & (columns < columns[one.mask].mean() - 20)
    core = cv2.erode(one.mask.astype(np.uint8), np.ones((25, 25))).astype(bool)
    grains = fine_grain(one.image), fine_grain(two.image)
    assert np.corrcoef(grains[0][septum], grains[1][septum])[0, 1] > 0.7
    assert np.corrcoef(grains[0][core], grains[1][core])[0, 1] < 0.3


def test_speckle_moves_with_the_wall():
    patient = half_ellipsoid(
        septum_db=6.0, noise_db=-25.0, haze_db=-25.0, shadow_db=0.0, edge_loss_db=0.0, ejection_fraction=0.6,
        slice_mm=2.0, frequency_mhz=3.0,
    )  # fmt: skip
    early, late = render(patient, 0.0), render(patient, 0.35 * patient.systole)
    followed, fixed = [], []
    for index in range(15, 45):  # along the septum, whose points are the same in both contours
        patches = []
        for frame, contour in ((early, early.contour_mm), (late, late.contour_mm), (late, early.contour_mm)):
            centre = contour[index] / frame.spacing_mm[0] - [12, 0]  # within the wall
            patches.append(cv2.getRectSubPix(fine_grain(frame.image).astype(np.float32), (17, 17), centre).ravel())
        followed.append(np.corrcoef(patches[0], patches[1])[0, 1])
        fixed.append(np.corrcoef(patches[0], patches[2])[0, 1])
    moved = np.linalg.norm(early.contour_mm[15:45] - late.contour_mm[15:45], axis=1)
    assert moved.min() > 1.5
    assert np.mean(followed) > 0.45 > np.mean(fixed) + 0.2


def reflectors(seed: int) -> np.ndarray:
    shape = (SAMPLES, BEAMS, 2)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_fully_developed_speckle_is_rayleigh():
    patient = half_ellipsoid()
    envelope = np.sqrt(np.stack([echo_power(patient, reflectors(seed)) for seed in range(4)]))
    assert envelope.mean() / envelope.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), abs=0.05)  # 1.91
    assert (envelope**2).mean() == pytest.approx(1, abs=0.05)


def test_lateral_correlation_grows_with_depth_as_the_beam_does():
    # For a Gaussian beam whose amplitude is w wide at half maximum, the intensity's autocorrelation halves at w / 2.
    patient = half_ellipsoid(frequency_mhz=2.0, aperture_mm=14.0)
    lags = {}
    for seed in range(12):
        power = echo_power(patient, reflectors(seed))
        power = np.clip(power * 20, 0, 255)  # grey levels
        image, spacing, _ = _scan_convert(patient, power)
        centre = image.shape[1] // 2
        for depth in (50, 75, 100, 125):
            reach = int(0.1 * depth / spacing)
            band = image[int((depth - 4) / spacing) : int((depth + 4) / spacing), centre - reach : centre + reach]
            lags.setdefault(depth, []).append(half_lag(band.astype(float)) * spacing)
    measured = {depth: np.mean(values) for depth, values in lags.items()}
    for depth, lag in measured.items():
        assert lag == pytest.approx(1.54 / 2.0 * depth / 14.0 / 2, rel=0.2)
    assert measured[125] / measured[50] == pytest.approx(2.5, rel=0.2)


def half_lag(band: np.ndarray) -> float:
    """Columns after which the autocorrelation along the rows has fallen to one half, interpolated."""
    band = band - band.mean()
    curve = [1.0] + [
        float((band[:, k:] * band[:, :-k]).mean() / (band**2).mean()) for k in range(1, band.shape[1] // 2)
    ]
    k = int(np.argmax(np.array(curve) < 0.5))
    return k - 1 + (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k])


def test_blood_is_darker_than_the_septum_and_outside_the_sector_is_black():
    frame = render(half_ellipsoid(septum_db=6.0, blood_db=-30.0, haze_db=-20.0, shadow_db=0.0), 0.0)
    rows, columns = np.indices(frame.image.shape)
    septum = (frame.labels == 2) & (columns < columns[frame.mask].mean()) & (rows > rows[frame.mask].mean())
    assert frame.image[septum].mean() > frame.image[frame.mask].mean() + 25
    spacing = frame.spacing_mm[0]
    x, z = (columns + 0.5) * spacing - frame.image.shape[1] * spacing / 2, (rows + 0.5) * spacing
    outside = (np.degrees(np.abs(np.arctan2(x, z))) > 41) | (np.hypot(x, z) > 161)
    assert frame.image[outside].max() == 0 and outside.mean() > 0.2
