"""The phantom against independent oracles: closed formulas, plain counting of pixels, speckle theory, real outlines."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import needs_camus
from matplotlib.path import Path as Polygon

from benchmarks.real_data import CAMUS
from lvseg.data.source import open_source
from lvseg.errors import ConfigError
from lvseg.phantom.cohort import cohort
from lvseg.phantom.heart import POPULATIONS, VIEWS, Patient, sample_patient, volume_fraction
from lvseg.phantom.scanner import BEAMS, SAMPLES, SCREEN_PX, Rendered, _scan_convert, echo_power, render
from lvseg.phantom.sheet import write_sheet
from lvseg.readers.labelme import write_labelme

EVERY = [(seed, population) for population in POPULATIONS for seed in (0, 1, 2)]


def half_ellipsoid(**changes: float) -> Patient:
    """A patient whose cavity is half an ellipsoid of revolution, upright, and who sees it at good quality."""
    plain = {
        "edv_ml": 100.0,
        "width_to_length": 0.6,
        "apex_power": 2.0,
        "widest_at": 0.9999,
        "annulus_to_width": 1.0,
        "bend": 0.0,
        "mitral_tilt_deg": 0.0,
        "irregularity": 0.0,
        "hypokinesia": 0.0,
        "axis_tilt_deg": 0.0,
        "apex_depth_mm": 40.0,
        "apex_offset_mm": 0.0,
        "depth_mm": 160.0,
        "sector_deg": 80.0,
        "margin_mm": 0.0,
    }
    return replace(sample_patient(3, "adult"), **(plain | changes))


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


# ------------------------------------------------------------------------------------------------- geometry


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
def test_the_cavity_lies_within_the_sector(seed: int, population: str):
    patient = sample_patient(seed, population)
    for view in VIEWS:
        x, z = render(replace(patient, view=view), 0.0).contour_mm.T - patient.margin_mm
        x = x - patient.half_width_mm
        assert np.degrees(np.abs(np.arctan2(x, z))).max() < patient.sector_deg / 2
        assert np.hypot(x, z).max() < patient.depth_mm


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


def test_the_wall_is_as_thick_as_asked():
    patient = half_ellipsoid(wall_mm=10.0)
    frame = render(patient, 0.0)
    row = int((40 + 0.6 * np.ptp(frame.contour_mm[:, 1])) / frame.spacing_mm[0])
    assert (frame.labels[row] == 2).sum() * frame.spacing_mm[1] == pytest.approx(2 * 10, abs=2)


# --------------------------------------------------------------------------------------------- the heartbeat


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


# ------------------------------------------------------------------------------------------------ ingredients


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


def test_a_screen_surrounds_the_same_frame():
    patient = half_ellipsoid()
    plain, shown = render(patient, 0.2), render(replace(patient, screen=True), 0.2)
    height, width = plain.image.shape
    top, _, left, _ = SCREEN_PX
    sector = np.s_[top : top + height, left : left + width]
    inside = plain.image > 0
    assert np.array_equal(shown.image[sector][inside], plain.image[inside])
    assert np.array_equal(shown.mask[sector], plain.mask) and shown.mask.sum() == plain.mask.sum()
    assert np.array_equal(shown.labels[sector], plain.labels) and shown.area_mm2 == plain.area_mm2
    drawn = Polygon(shown.contour_mm / shown.spacing_mm[0])
    centres = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shown.mask.shape[::-1])), axis=-1)
    assert (drawn.contains_points(centres.reshape(-1, 2)).reshape(shown.mask.shape) != shown.mask).sum() <= 2
    marks = np.flatnonzero(shown.image[: top + height + 5, left + width + 10] > 100)
    assert np.diff(marks).mean() * shown.spacing_mm[0] == pytest.approx(10, rel=0.02)
    trace = shown.image[top + height + 5 :, left : left + width]
    _, columns = np.nonzero(trace[:25] > 100)  # only R waves reach that high
    assert {round(3 * column / width) for column in columns} == {0, 1, 2, 3}


# --------------------------------------------------------------------------------------------------- chance


def test_the_same_seeds_give_the_same_bytes_and_others_do_not():
    patient = sample_patient(7, "random")
    assert sample_patient(7, "random") == patient != sample_patient(8, "random")
    first = render(patient, 0.2, seed=1)
    assert digest(first.image) == digest(render(patient, 0.2, seed=1).image)
    assert digest(first.image) != digest(render(patient, 0.2, seed=2).image)
    other = replace(patient, seed=patient.seed + 1)
    assert digest(first.image) != digest(render(other, 0.2, seed=1).image)


@pytest.mark.parametrize("population", POPULATIONS)
def test_frames_depend_neither_on_order_nor_on_threads(population: str):
    frames = cohort(n_patients=2, n_frames=3, seed=11, population=population)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        forwards = [digest(frame.read().image) for frame in frames]
        cv2.setNumThreads(4)
        backwards = [digest(frame.read().image) for frame in reversed(frames)]
    finally:
        cv2.setNumThreads(threads)
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == len(forwards)


def test_the_default_cohort_is_still_the_one_that_was_shipped():
    # Not byte for byte: another processor may round otherwise.
    shipped = Path(__file__).parents[1] / "data_samples" / "phantom_labelme"
    for frame in cohort(n_patients=3, n_frames=4)[::3]:
        now = frame.read()
        then = cv2.imread(str(shipped / frame.patient / f"{frame.name}.png"), cv2.IMREAD_UNCHANGED)
        off = np.abs(now.image.astype(int) - then)
        assert off.mean() < 0.01 and off.max() <= 4


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


# --------------------------------------------------------------------------------------------------- speckle


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


# ------------------------------------------------------------------------------------------------- data sets


def test_a_cohort_is_lazy_named_and_marked():
    frames = cohort(n_patients=2, n_frames=10, seed=4)
    assert [frame.name for frame in frames] == sorted({frame.name for frame in frames}) and len(frames) == 20
    assert frames[12].name == "phantom-p02-f03" and frames[12].patient == "phantom-p02"
    assert {frame.view for frame in frames} == {"4CH"} and {frame.subset for frame in frames} == {""}
    for patient in {frame.patient for frame in frames}:
        own = [frame for frame in frames if frame.patient == patient]
        areas = {frame.phase: [] for frame in own}
        for frame in own:
            pixels = frame.read()
            assert pixels.image.dtype == np.uint8 and pixels.mask.shape == pixels.image.shape
            areas[frame.phase].append(pixels.mask.sum() * pixels.spacing_mm[0] ** 2)
        assert len(areas["ED"]) == len(areas["ES"]) == 1
        assert areas["ED"][0] >= 0.97 * max(areas[""]) and areas["ES"][0] <= 1.03 * min(areas[""])


def test_the_default_cohort_is_the_papers_size_and_its_patients_differ():
    frames = cohort()
    assert len(frames) == 500 and len({frame.patient for frame in frames}) == 10
    first = [frame.read() for frame in frames[::50]]
    shares = [pixels.mask.mean() for pixels in first]
    brightness = [pixels.image[pixels.mask].mean() for pixels in first]
    assert max(shares) > 1.5 * min(shares) and max(brightness) > 1.5 * min(brightness)


def test_a_cohorts_nudged_probe_still_sees_the_whole_cavity():
    for frame in cohort(n_patients=4, n_frames=5, seed=9):
        mask = frame.read().mask
        assert not mask[0].any() and not mask[-1].any() and not mask[:, 0].any() and not mask[:, -1].any()


def test_labelme_files_hold_exactly_the_mask(tmp_path: Path):
    frames = cohort(n_patients=2, n_frames=2, seed=6)
    write_labelme(frames, tmp_path)
    assert not list(tmp_path.rglob(".*"))
    for frame in frames:
        pixels = frame.read()
        path = tmp_path / frame.patient / f"{frame.name}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        assert set(content) == {
            "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"
        }  # fmt: skip
        (shape,) = content["shapes"]
        assert (shape["label"], shape["shape_type"]) == ("LV", "polygon")
        assert (content["imageHeight"], content["imageWidth"]) == pixels.mask.shape
        image = cv2.imread(str(path.parent / content["imagePath"]), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, pixels.image)
        centres = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in pixels.mask.shape[::-1])), axis=-1)
        drawn = Polygon(shape["points"]).contains_points(centres.reshape(-1, 2)).reshape(pixels.mask.shape)
        assert np.array_equal(drawn, pixels.mask)
    read = open_source(f"labelme:{tmp_path}")
    assert [frame.patient for frame in read] == [frame.patient for frame in frames]
    assert all(np.array_equal(a.read().mask, b.read().mask) for a, b in zip(read, frames, strict=True))


def test_a_sheet_mixes_as_many_phantoms_as_frames_and_its_key_tells(tmp_path: Path):
    frames = cohort(n_patients=17, n_frames=1, seed=8, population="random")
    picture = tmp_path / "out" / "sheet.png"
    write_sheet(frames, picture, seed=3)
    sheet = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    key = [line.split(",") for line in picture.with_suffix(".csv").read_text().splitlines()[1:]]
    assert sheet.shape == (1200, 2400) and len(key) == 32
    given = {frame.name: frame for frame in frames}
    assert sum(name in given for *_, name in key) == 16 == sum(name.startswith("phantom ") for *_, name in key)
    for row, column, name in key:
        tile = sheet[int(row) * 300 - 300 : int(row) * 300, int(column) * 300 - 300 : int(column) * 300]
        if name in given:
            image = given[name].read().image
            scale = 300 / max(image.shape)
            assert tile.sum() == pytest.approx(image.sum() * scale**2, rel=0.02)


def test_a_sheet_with_real_frames_never_lies_in_the_project(tmp_path: Path):
    frames = cohort(n_patients=16, n_frames=1)
    with pytest.raises(ConfigError, match="own folder"):
        write_sheet(frames, Path(__file__).parent / "sheet.png")
    with pytest.raises(ConfigError, match="png"):
        write_sheet(frames, tmp_path / "sheet")
    with pytest.raises(ConfigError, match="16"):
        write_sheet(frames[:15], tmp_path / "sheet.png")


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


# --------------------------------------------------------------------------------------------- real outlines


def measures(mask: np.ndarray, spacing: float) -> tuple[float, float, float]:
    """Share of the image, long axis (4 standard deviations along it, mm), and short axis / long axis."""
    points = np.argwhere(mask) * spacing
    short, long = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
    return float(mask.mean()), 4 * float(long), float(short / long)


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
