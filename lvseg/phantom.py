"""Virtual patients: apical echo frames with real speckle and a beating left ventricle whose outline is known exactly.

A frame is made as a scanner makes it: anatomy in millimetres, how strongly each tissue scatters (dB), random
scatterers that move with the tissue, the beam's blur in polar coordinates, envelope, log compression, scan conversion.
Nothing is taken from real images. All chance comes from NumPy generators seeded by patient and frame, so that a frame
is the same, byte for byte, in whatever order and on however many threads it is made.

>>> patient = sample_patient(seed=7, population="adult")
>>> end_diastole = render(patient, phase=0.0)
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from lvseg.errors import ConfigError
from lvseg.files import atomic, write_json
from lvseg.readers.common import inside
from lvseg.readers.record import Frame, Pixels

POPULATIONS = ("child", "adult", "random")
VIEWS = ("4CH", "2CH")
ROWS = 400  # height of an image in pixels
SAMPLES, BEAMS = 448, 224  # the polar grid on which echoes are formed
GRID_MM = 0.5  # the Cartesian grid on which the anatomy is drawn
SCATTERER_MM = (0.6, 0.35)  # scatterer spacing across and along the heart: several in every resolution cell
SOUND_MM_PER_US = 1.54  # the speed of sound in soft tissue that scanners assume

Range = tuple[float, float]


def _drawn(adult: Range, child: Range | None = None, random: Range | None = None) -> Any:
    """A field of `Patient` with the range it is drawn from in each population (the adult's where none is given)."""
    return field(metadata={"adult": adult, "child": child or adult, "random": random or adult})


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One virtual heart, how the probe sees it, and how well. Levels in dB are relative to normal myocardium.

    The seed fixes what no number describes: irregularities of the outline, texture, scatterers. The adults' ranges
    are set so that the spread of shapes, sizes, places and grey levels covers that of CAMUS's training patients;
    `random` goes far beyond.
    """

    seed: int
    view: str = "4CH"
    # The heart; its measures are those at end-diastole
    edv_ml: float = _drawn((40, 200), (15, 110), (15, 260))
    ejection_fraction: float = _drawn((0.25, 0.70), (0.45, 0.75), (0.20, 0.75))
    heart_rate_bpm: float = _drawn((50, 100), (70, 140), (50, 140))
    width_to_length: float = _drawn((0.44, 0.78), random=(0.38, 0.90))
    apex_power: float = _drawn((1.6, 2.4), random=(1.5, 2.8))  # 2: elliptic apex; more: blunter
    widest_at: float = _drawn((0.60, 0.85), random=(0.55, 0.85))  # level, 0 apex to 1 mitral plane
    annulus_to_width: float = _drawn((0.6, 1.0), random=(0.5, 1.0))
    bend: float = _drawn((-0.02, 0.06), random=(-0.05, 0.09))  # sideways sweep of the long axis / length
    mitral_tilt_deg: float = _drawn((-12, 12), random=(-18, 18))
    irregularity: float = _drawn((0.0, 0.06), random=(0.0, 0.10))  # relative size of the outline's waves
    hypokinesia: float = _drawn((0.0, 0.6), (0.0, 0.2), (0.0, 0.6))  # motion lost at the worst place, 0 to 1
    hypokinesia_at: float = _drawn((-1, 1))  # -1 septal base, 0 apex, 1 lateral base
    wall_mm: float = _drawn((8, 14), (4, 8), (5, 18))
    rv_mm: float = _drawn((12, 38), (10, 24), (5, 45))
    atrium_mm: float = _drawn((25, 60), (18, 36), (20, 65))
    valve_open: float = _drawn((0.0, 0.25), random=(0.0, 0.8))  # share of the mitral valve that never closes
    # The probe
    depth_mm: float = _drawn((85, 180), (65, 125), (55, 180))
    sector_deg: float = _drawn((70, 80), (70, 90), (60, 92))
    margin_mm: float = _drawn((0, 0), random=(-6, 12))  # black border; negative: the image crops the sector
    apex_depth_mm: float = _drawn((14, 40), (8, 25), (6, 50))
    apex_offset_mm: float = _drawn((-14, 8), (-10, 8), (-25, 20))
    axis_tilt_deg: float = _drawn((-3, 25), random=(-15, 35))  # positive: the base lies further right than the apex
    frequency_mhz: float = _drawn((2.0, 4.0), (3.0, 7.0), (1.5, 6.0))
    aperture_mm: float = _drawn((16, 26), (10, 17), (10, 26))
    slice_mm: float = _drawn((0.5, 1.8), (0.4, 1.3), (0.4, 2.5))  # the beam's thickness, which softens borders
    # The tissue
    septum_db: float = _drawn((1, 9), random=(-6, 12))
    lateral_db: float = _drawn((-10, 1), random=(-16, 6))
    apex_db: float = _drawn((-12, 2), random=(-16, 6))
    transmural_db: float = _drawn((0, 15), random=(0, 20))  # apical, lateral wall: endocardium below epicardium
    trabecula_mm: float = _drawn((0.0, 4.0), (0.0, 3.0), (0.0, 6.0))
    papillary_db: float = _drawn((-12, 3), random=(-20, 6))
    valve_db: float = _drawn((2, 12), random=(-4, 16))
    blood_db: float = _drawn((-35, -16), random=(-40, -10))
    right_heart_db: float = _drawn((-24, -8), random=(-35, -4))
    atrium_db: float = _drawn((-24, -4), random=(-35, 0))
    surroundings_db: float = _drawn((-8, 3), random=(-16, 6))
    pericardium_db: float = _drawn((2, 14), random=(-6, 18))
    texture_db: float = _drawn((2, 5), random=(1, 7))  # patchiness of the tissue
    specular_db: float = _drawn((0, 10), random=(0, 15))  # interfaces across the beam
    # The image's quality
    streaks_db: float = _drawn((1, 5), random=(0, 5))  # short arcs across the beams
    uneven_db: float = _drawn((1, 5), random=(0, 7))  # slow changes of brightness over the sector
    haze_db: float = _drawn((-14, 0), random=(-25, 3))  # clutter at the probe
    haze_mm: float = _drawn((15, 60), random=(5, 80))  # depth at which it has fallen to 1/e
    reverberation_db: float = _drawn((-12, 8), random=(-25, 10))
    sidelobe_db: float = _drawn((-28, -13), random=(-38, -9))
    noise_db: float = _drawn((-19, -7), random=(-28, -7))  # at full depth
    attenuation_db_per_cm_mhz: float = _drawn((0.02, 0.3))  # tissue's; gain makes up for it
    tgc_error_db: float = _drawn((-8, 4), random=(-14, 10))  # wrong gain, from the probe to full depth
    edge_loss_db: float = _drawn((0, 10), random=(0, 20))
    shadow_db: float = _drawn((0, 18), random=(0, 30))
    shadow_at: float = _drawn((-1, 1))  # beam, -1 left to 1 right
    shadow_deg: float = _drawn((3, 10), random=(2, 15))
    shadow_from_mm: float = _drawn((0, 60))
    myocardium_grey: float = _drawn((0.2, 0.6), random=(0.15, 0.7))  # at which 0 dB is shown, 1 is white
    dynamic_range_db: float = _drawn((60, 80), random=(45, 90))
    gamma: float = _drawn((1.5, 2.5), random=(0.9, 3.0))
    smoothing_mm: float = _drawn((0.1, 0.35), random=(0.0, 0.8))

    @property
    def half_width_mm(self) -> float:
        """Half the width of the sector's box."""
        return self.depth_mm * float(np.sin(np.radians(self.sector_deg / 2)))

    @property
    def systole(self) -> float:
        """Share of the beat from end-diastole to end-systole: (546 - 2.1 x heart rate) ms, as measured in men.

        Weissler, Harris and Schoenfeld, Circulation 1968: electromechanical systole.
        """
        return (546 - 2.1 * self.heart_rate_bpm) * self.heart_rate_bpm / 60_000


class Rendered(NamedTuple):
    """One frame and its truth.

    image: uint8 (rows, columns), upright.
    mask: bool (rows, columns), the pixels whose centre lies inside the LV endocardium.
    labels: uint8 (rows, columns): 0 background, 1 LV cavity, 2 LV myocardium, 3 left atrium, as in CAMUS.
    spacing_mm: (row, column) size of a pixel.
    contour_mm: float (points, 2): x, y of the endocardium from the image's upper left corner; the last point joins
        the first along the mitral plane.
    area_mm2: of the contour.
    volume_ml: of the solid whose sections across the long axis are circles as wide as the contour.
    """

    image: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float]
    contour_mm: np.ndarray
    area_mm2: float
    volume_ml: float


def sample_patient(seed: int, population: str = "child", view: str = "4CH") -> Patient:
    """Draw the patient of this seed (0 or more): every number uniformly from its range.

    Drawn again until the ventricle lies within the sector at end-diastole, in both views.
    population: one of `POPULATIONS`; `random` varies every ingredient far beyond what a clinic sees, for pre-training.
    view: one of `VIEWS`. Raises `ConfigError` on another name.
    """
    if population not in POPULATIONS:
        raise ConfigError(f"{population!r} is no population; choose one of {', '.join(POPULATIONS)}")
    if view not in VIEWS:
        raise ConfigError(f"{view!r} is no view; choose one of {', '.join(VIEWS)}")
    rng = _generator(seed, 0)
    ranges = {f.name: f.metadata[population] for f in fields(Patient) if f.metadata}
    low, high = np.array(list(ranges.values())).T
    while True:
        numbers = rng.uniform(low, high).tolist()
        patient = Patient(seed=seed, view=view, **dict(zip(ranges, numbers, strict=True)))
        if all(_seen_whole(replace(patient, view=each)) for each in VIEWS):
            return patient


def _seen_whole(patient: Patient, margin_mm: float = 4.0) -> bool:
    """Whether the end-diastolic cavity keeps `margin_mm` from every border of sector and image."""
    v = _ventricle(patient, 1.0)
    x, z = _place(patient, v, _outline(v)).T
    half = np.radians(patient.sector_deg / 2)
    to_side = z * np.sin(half) - np.abs(x) * np.cos(half)
    reach = patient.depth_mm - margin_mm + min(patient.margin_mm, 0)
    return bool(to_side.min() > margin_mm and np.hypot(x, z).max() < reach)


def _generator(seed: int, *key: int) -> np.random.Generator:
    if seed < 0:
        raise ConfigError(f"the seed {seed} is negative; choose 0 or more")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


# -------------------------------------------------------------------------------------------- the beating heart


class _Ventricle(NamedTuple):
    """The LV in its own coordinates: x across (lateral wall positive), z from the apex along the axis, in mm."""

    levels: np.ndarray  # 0 apex to 1 mitral plane, denser at the apex
    left: np.ndarray  # distance from the axis to the septal endocardium (inferior in the two-chamber view)
    right: np.ndarray  # and to the lateral one (anterior)
    length: float
    full_length: float  # at end-diastole
    wall: float


def volume_fraction(patient: Patient, phase: float) -> float:
    """Volume / end-diastolic volume at `phase` of the beat, 0 (end-diastole) to 1 (the next one).

    After ejection, early filling brings back three quarters of the stroke volume, the atrium's contraction the rest.
    """
    end, rest = patient.systole, 1 - patient.systole
    early, late = (end + 0.1 * rest, end + 0.6 * rest), (end + 0.7 * rest, 1.0)
    ejected = _ramp(phase, 0.0, end) - 0.75 * _ramp(phase, *early) - 0.25 * _ramp(phase, *late)
    return 1 - patient.ejection_fraction * ejected


def _ramp(t: float, start: float, end: float) -> float:
    """0 before `start`, 1 after `end`, smooth between."""
    u = min(max((t - start) / (end - start), 0.0), 1.0)
    return u * u * (3 - 2 * u)


def _ventricle(patient: Patient, fraction: float) -> _Ventricle:
    """The cavity when it holds exactly `fraction` of its end-diastolic volume.

    The length follows the fraction's power 1/4, as in CAMUS (a length ratio of 0.84 at half the volume). The walls do
    the rest, less where they are hypokinetic, and thicken (by a seventh at half the volume, as there).
    """
    p, levels = patient, np.linspace(0, 1, 80) ** 1.5
    rising = (1 - np.clip(1 - levels / p.widest_at, 0, 1) ** p.apex_power) ** (1 / p.apex_power)
    falling = 1 - (1 - p.annulus_to_width) * np.clip((levels - p.widest_at) / (1 - p.widest_at), 0, 1) ** 2
    k = np.arange(1, 5)
    waves = _generator(p.seed, 1, VIEWS.index(p.view)).standard_normal((2, 4)) / np.sqrt(k)
    sides = rising * falling * (1 + p.irregularity * waves @ np.sin(np.pi * k[:, None] * levels))
    sides *= p.width_to_length / sides.sum(axis=0).max()

    def disks(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.trapezoid(np.pi / 4 * a * b, levels))

    width = sides.sum(axis=0)
    full_length = (1000 * p.edv_ml / disks(width, width)) ** (1 / 3)
    around = np.stack([-levels, levels])  # -1 septal base, 0 apex, 1 lateral base
    inward = sides * (1 - p.hypokinesia * np.exp(-(((around - p.hypokinesia_at) / 0.35) ** 2)))
    # The walls move in by share * inward, so that disks as wide as what is left hold the volume.
    moved = inward.sum(axis=0)
    a, b, c = disks(moved, moved), disks(width, moved), disks(width, width) * (1 - fraction**0.75)
    share = (b - np.sqrt(max(b * b - a * c, 0.0))) / a
    left, right = full_length * (sides - share * inward)
    length = full_length * fraction**0.25
    return _Ventricle(levels, left, right, length, full_length, p.wall_mm * fraction**-0.19)


def _outline(v: _Ventricle) -> np.ndarray:
    """The endocardium, (points, 2) in the heart's coordinates: septal hinge, apex, lateral hinge."""
    z = v.levels * v.length
    return np.concatenate([np.c_[-v.left, z][::-1], np.c_[v.right, z][1:]])


def _epicardium(v: _Ventricle) -> np.ndarray:
    """The outline moved outwards by the wall's thickness."""
    outline = _outline(v)
    along = np.gradient(outline, axis=0)
    return outline + v.wall * np.c_[along[:, 1], -along[:, 0]] / np.linalg.norm(along, axis=1, keepdims=True)


def _place(patient: Patient, v: _Ventricle, points: np.ndarray) -> np.ndarray:
    """From the heart's coordinates to the probe's: x to the right and z down from the probe, in mm.

    The axis's sweep and the mitral plane's tilt are shears, which keep areas and volumes.
    """
    x, z = points.T
    x = x + patient.bend * v.full_length * np.sin(np.pi * np.clip(z / v.full_length, 0, 1))
    z = z + x * np.tan(np.radians(patient.mitral_tilt_deg))
    sin, cos = np.sin(np.radians(patient.axis_tilt_deg)), np.cos(np.radians(patient.axis_tilt_deg))
    return np.c_[patient.apex_offset_mm + x * cos + z * sin, patient.apex_depth_mm - x * sin + z * cos]


def _unplace(patient: Patient, v: _Ventricle, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reverse of `_place`, for arrays of any one shape."""
    sin, cos = np.sin(np.radians(patient.axis_tilt_deg)), np.cos(np.radians(patient.axis_tilt_deg))
    x, z = x - patient.apex_offset_mm, z - patient.apex_depth_mm
    x, z = x * cos - z * sin, x * sin + z * cos
    z = z - x * np.tan(np.radians(patient.mitral_tilt_deg))
    return x - patient.bend * v.full_length * np.sin(np.pi * np.clip(z / v.full_length, 0, 1)), z


# ------------------------------------------------------------------------------------------------- the anatomy

OUTSIDE, PERICARDIUM, WALL, RIGHT_HEART, ATRIUM, CAVITY, PAPILLARY, MYOCARDIUM = range(8)


class _Anatomy:
    """Tissue codes (and, apart from them, the valves) in the probe's coordinates, drawn from the heart's."""

    def __init__(self, patient: Patient, v: _Ventricle):
        self.patient, self.v = patient, v
        shape = int(patient.depth_mm / GRID_MM) + 1, int(2 * patient.half_width_mm / GRID_MM) + 1
        self.codes, self.valves = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)

    def _pixels(self, points: np.ndarray) -> list[np.ndarray]:
        placed = _place(self.patient, self.v, points) + np.array([self.patient.half_width_mm, 0])
        return [np.rint(placed / GRID_MM * 16).astype(np.int32)]

    def fill(self, code: int, points: np.ndarray) -> None:
        cv2.fillPoly(self.codes, self._pixels(points), code, shift=4)

    def line(self, code: int, points: np.ndarray, width_mm: float) -> None:
        cv2.polylines(self.codes, self._pixels(points), False, code, max(1, round(width_mm / GRID_MM)), shift=4)

    def valve(self, points: np.ndarray, width_mm: float) -> None:
        cv2.polylines(self.valves, self._pixels(points), False, 1, max(1, round(width_mm / GRID_MM)), shift=4)


def _draw(patient: Patient, v: _Ventricle, phase: float) -> _Anatomy:
    """The heart with all its chambers. What lies in front is drawn last."""
    rng = _generator(patient.seed, 2)
    anatomy = _Anatomy(patient, v)
    endo, epi = _outline(v), _epicardium(v)
    left, right, base = endo[0, 0], endo[-1, 0], v.length
    annulus = right - left
    roof = v.full_length + patient.atrium_mm  # the atria's roofs stay where they are, the annulus moves
    middle = (left + right) / 2 + annulus * rng.uniform(-0.15, 0.15)
    oval = _oval(middle, base, roof, annulus * rng.uniform(0.45, 0.7))
    atrium = cv2.convexHull(np.concatenate([oval, endo[[0, -1]]]).astype(np.float32))[:, 0]
    lateral = epi[len(v.levels) :][v.levels[1:] > rng.uniform(0.1, 0.6)]
    right_heart = _right_heart(patient, v, roof, rng) if patient.view == "4CH" else []
    sac, wall = rng.uniform(6, 18), rng.uniform(2, 8)
    for outline in (lateral, atrium, *right_heart):
        anatomy.line(PERICARDIUM, outline, sac)
    for _ in range(rng.integers(0, 3)):  # pericardium and diaphragm behind the atria
        x, z = rng.uniform(-90, 30), roof + rng.uniform(-15, 15)
        arc = np.array([[x, z], [x + rng.uniform(20, 80), z + rng.uniform(-15, 15)]])
        anatomy.line(PERICARDIUM, arc, rng.uniform(2, 9))
    for outline in (atrium, *right_heart):
        anatomy.line(WALL, outline, wall)
    for outline in right_heart:
        anatomy.fill(RIGHT_HEART, outline)
    anatomy.fill(ATRIUM, atrium)
    anatomy.fill(CAVITY, endo)
    for _ in range(rng.integers(0, 4)):
        anatomy.fill(PAPILLARY, _papillary(v, rng))
    for hinge in endo[[0, -1]]:  # the fibrous grooves between atria and ventricles
        groove = hinge + rng.uniform(-6, 6, (2, 2)) + [np.sign(hinge[0]) * 5, 4]
        anatomy.line(PERICARDIUM, groove, rng.uniform(4, 14))
    anatomy.fill(MYOCARDIUM, np.concatenate([epi, endo[::-1]]))
    _draw_valves(anatomy, (left, right, base), _valve_opening(patient, phase), rng)
    return anatomy


def _oval(x: float, top: float, bottom: float, half_width: float) -> np.ndarray:
    """A box with round corners, as atria are."""
    t = np.linspace(0, 2 * np.pi, 60)
    across, along = (np.sign(f) * np.abs(f) ** 0.8 for f in (np.cos(t), np.sin(t)))
    return np.c_[x + half_width * across, (top + bottom) / 2 + (bottom - top) / 2 * along]


def _right_heart(patient: Patient, v: _Ventricle, roof: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Right ventricle, along the septum and narrowing to its apex, and right atrium."""
    septum = _epicardium(v)[: len(v.levels)][v.levels[::-1] > rng.uniform(0.15, 0.4)]
    width = patient.rv_mm * np.sqrt(v.length / v.full_length)
    bulge = np.clip(np.sin(np.linspace(0.75 * np.pi, 0, len(septum)) * rng.uniform(0.9, 1.2)), 0, 1)
    free_wall = septum - np.c_[width * bulge, 0 * bulge]
    middle, annulus = (septum + free_wall)[0, 0] / 2, (septum - free_wall)[0, 0]
    atrium = _oval(middle, v.length, roof - rng.uniform(0, 12), annulus * rng.uniform(0.5, 0.7))
    return [np.concatenate([septum, free_wall[::-1]]), atrium]


def _papillary(v: _Ventricle, rng: np.random.Generator) -> np.ndarray:
    """A papillary muscle or thick trabecula along a wall, mostly the lateral one."""
    side, level = (1 if rng.random() < 0.7 else -1), rng.uniform(0.3, 0.7)
    wall = np.interp(level, v.levels, v.right if side > 0 else v.left)
    radius, half_length, t = rng.uniform(1, 4), rng.uniform(3, 10), np.linspace(0, 2 * np.pi, 16)
    x = side * (wall - rng.uniform(0.5, 2.5) * radius)
    return np.c_[x + radius * np.cos(t), level * v.length + half_length * np.sin(t)]


def _valve_opening(patient: Patient, phase: float) -> float:
    """0 closed in systole, 1 in early filling, half open in mid-diastole, open again as the atrium contracts."""
    t = (phase - patient.systole) / (1 - patient.systole)
    opening = float(np.interp(t, [0.05, 0.2, 0.5, 0.75, 0.9, 1.0], [0, 1, 0.4, 0.4, 0.8, 0.1]))
    opening = max(opening, 0.1 - phase)  # it closes as systole begins
    return opening + (1 - opening) * patient.valve_open


def _draw_valves(
    anatomy: _Anatomy, annulus: tuple[float, float, float], opening: float, rng: np.random.Generator
) -> None:
    """The mitral leaflets (the anterior, septal one is longer) and the bright fibrous ring they hang from."""
    left, right, base = annulus
    thickness, closed, sag = rng.uniform(1, 2.5), rng.uniform(-5, 7), rng.uniform(-0.1, 0.1)
    for hinge, reach in ((left, 0.62 * (right - left)), (right, -0.48 * (right - left))):
        angle = np.radians(closed + (80 - closed) * opening * rng.uniform(0.6, 1.0))
        s = np.linspace(0, 1, 10)
        curve = sag * abs(reach) * np.sin(np.pi * s)
        x, z = reach * s * np.cos(angle), base - abs(reach) * s * np.sin(angle) + curve
        anatomy.valve(np.c_[hinge + x, z], thickness)
        anatomy.valve(np.array([[hinge, base - 1], [hinge, base + 1]]), rng.uniform(2, 6))


# -------------------------------------------------------------------------------------------------- the echoes


class _Tissue(NamedTuple):
    """Smooth fields on the polar grid, float32 (samples, beams)."""

    x: np.ndarray  # where the tissue lay at end-diastole, in the heart's coordinates, mm
    z: np.ndarray
    outside: np.ndarray  # distance outside the endocardium in mm, roughly; negative inside
    lateral: np.ndarray  # 0 septal to 1 lateral
    apical: np.ndarray  # 0 from mid level on to 1 at the apex


def _polar(patient: Patient, samples: int = SAMPLES, beams: int = BEAMS) -> tuple[np.ndarray, np.ndarray]:
    """Depth in mm (samples, 1) and angle in radians (1, beams) of a polar grid's cells, float32."""
    depth = patient.depth_mm * (np.arange(samples) + 0.5) / samples
    angle = np.radians(patient.sector_deg) * ((np.arange(beams) + 0.5) / beams - 0.5)
    return depth.astype(np.float32)[:, None], angle.astype(np.float32)[None]


def _follow(patient: Patient, v: _Ventricle) -> _Tissue:
    """Where each cell's tissue came from. Computed on every fourth cell and interpolated, for the fields are smooth."""
    then = _ventricle(patient, 1.0)
    depth, angle = _polar(patient, SAMPLES // 4, BEAMS // 4)
    x, z = _unplace(patient, v, depth * np.sin(angle), depth * np.cos(angle))
    level = np.clip(z / v.length, 0, 1)
    half, half_then = (
        np.where(x < 0, np.interp(level, w.levels, w.left), np.interp(level, w.levels, w.right)) for w in (v, then)
    )
    outside = np.where(z < 0, np.hypot(x, z), np.abs(x) - half)
    pull = np.exp(-np.clip(outside - v.wall, 0, None) / 20)  # motion fades away from the heart
    x_then = x + pull * np.sign(x) * (half_then - half) * np.clip(np.abs(x) / (half + 0.1), 0, 1)
    z_then = z + (then.length - v.length) * level * np.exp(-np.clip(z - v.length, 0, None) / 20)
    lateral, apical = 1 / (1 + np.exp(-x / (0.25 * half.max()))), np.clip(1.4 - level / 0.25, 0, 1)
    coarse = (x_then, z_then, outside, lateral, apical)
    return _Tissue(*(cv2.resize(a.astype(np.float32), (BEAMS, SAMPLES)) for a in coarse))


def _noise(rng: np.random.Generator, x: np.ndarray, z: np.ndarray, every: int = 1) -> np.ndarray:
    """Smooth noise of about unit variance at the polar grid's points x, z, with details of size 1.

    Where those are many cells wide, it is enough to compute it in `every` so many cells and interpolate.
    """
    grid = rng.standard_normal((64, 64), dtype=np.float32) * np.float32(1.25)
    x, z = (np.ascontiguousarray(a[every // 2 :: every, every // 2 :: every]) for a in np.broadcast_arrays(x, z))
    return cv2.resize(cv2.remap(grid, x, z, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP), (BEAMS, SAMPLES))


def _echogenicity(patient: Patient, anatomy: _Anatomy, tissue: _Tissue) -> np.ndarray:
    """How strongly each cell scatters on average, in dB, float32 (samples, beams)."""
    p, rng = patient, _generator(patient.seed, 3)
    depth, angle = _polar(p)
    columns, rows = (p.half_width_mm + depth * np.sin(angle)) / GRID_MM, depth * np.cos(angle) / GRID_MM

    def on_beams(a: np.ndarray, blur_mm: float) -> np.ndarray:
        return cv2.remap(cv2.GaussianBlur(a, (0, 0), blur_mm / GRID_MM), columns, rows, cv2.INTER_LINEAR)

    def share(*codes: int) -> np.ndarray:
        return on_beams(np.isin(np.arange(8), codes).astype(np.float32)[anatomy.codes], p.slice_mm)

    levels = [p.surroundings_db, p.pericardium_db, 0, p.right_heart_db, p.atrium_db, p.blood_db, p.papillary_db, 0]
    db = on_beams(np.array(levels, np.float32)[anatomy.codes], p.slice_mm)
    cavity = share(CAVITY)
    fine = 4 * SOUND_MM_PER_US / p.frequency_mhz
    patches, strands = _noise(rng, tissue.x / 9, tissue.z / 9, 4), _noise(rng, tissue.x / fine, tissue.z / fine)
    segment = _wall_level(p, tissue)
    weak = np.maximum(tissue.lateral, tissue.apical) * np.clip(1 - tissue.outside / p.wall_mm, 0, 1)
    db += share(MYOCARDIUM) * (segment - p.transmural_db * weak)
    trabecula = np.clip(1 + tissue.outside / (p.trabecula_mm + 0.01), 0, 1) * (strands + patches > 0.5)
    db += cavity * trabecula * np.clip(segment - 3 - db, 0, None)
    glints = strands + 0.35 * strands * np.abs(strands)
    db += p.texture_db * (0.7 * patches + 0.4 * glints) * (1 - 0.7 * cavity)
    body, blood = share(OUTSIDE, PERICARDIUM, WALL), share(CAVITY, ATRIUM, RIGHT_HEART)
    db += 1.5 * p.texture_db * body * _noise(rng, tissue.x / 30, tissue.z / 30, 4)
    long, thick = rng.uniform(5, 14), rng.uniform(1.2, 3.5)
    arcs = _noise(rng, angle * (p.depth_mm / long), depth / np.float32(thick))
    db += p.streaks_db * arcs * (depth / p.depth_mm) * (1 - cavity)
    db += p.uneven_db * _noise(rng, angle * 4, depth / 30, 4)
    db += on_beams(anatomy.valves.astype(np.float32), GRID_MM) * (p.valve_db + 3 * strands - db)
    across = cv2.Sobel(db, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    db += p.specular_db * np.clip(np.abs(across) / 2, 0, 1)
    # Blood attenuates little, so that the gain meant for tissue brightens what lies behind it.
    blood_cm = np.cumsum(blood, axis=0) * (p.depth_mm / SAMPLES / 10)
    return db + p.attenuation_db_per_cm_mhz * p.frequency_mhz * blood_cm


def _wall_level(patient: Patient, tissue: _Tissue) -> np.ndarray:
    """The myocardium's level in dB by segment: real apical and lateral walls are often as dark as the cavity."""
    p = patient
    level = p.septum_db + (p.lateral_db - p.septum_db) * tissue.lateral
    return level + (p.apex_db - level) * tissue.apical


def _transmission(patient: Patient) -> np.ndarray:
    """What beam and gain add to every echo in dB, float32 (samples, beams): weak edges, a shadow, wrong gain."""
    p = patient
    depth, angle = _polar(p)
    beam = angle / np.float32(np.radians(p.sector_deg / 2))
    edge = p.edge_loss_db * np.clip((np.abs(beam) - 0.5) / 0.5, 0, 1) ** 2
    shadow = p.shadow_db * np.exp(-(((beam - p.shadow_at) * p.sector_deg / 2 / p.shadow_deg) ** 2))
    begun = np.clip((depth - p.shadow_from_mm) / 10, 0, 1)
    return p.tgc_error_db * (depth / p.depth_mm - 0.5) - edge - shadow * begun


def _clutter(patient: Patient, echoes: np.ndarray) -> np.ndarray:
    """Mean power that doesn't come from where it is seen, float32 (samples, beams): haze, reverberation, side lobes,
    and noise, which the gain that makes up for attenuation lifts with depth.
    """
    p, rng = patient, _generator(patient.seed, 4)
    depth, angle = _polar(p)
    cloud = _noise(rng, angle * 5, depth / 12, 4)
    haze = _power(p.haze_db + 3 * cloud - 10 * np.log10(np.e) * depth / p.haze_mm)
    rings = np.cos(2 * np.pi * depth / rng.uniform(2, 5) + rng.uniform(0, 6)) ** 2 * np.exp(-depth / rng.uniform(4, 10))
    reverberation = _power(p.reverberation_db + 2 * cloud) * rings
    lobes = _power(p.sidelobe_db) * cv2.blur(cv2.blur(echoes, (31, 9)), (31, 9))
    lifted = p.attenuation_db_per_cm_mhz * p.frequency_mhz * (depth - p.depth_mm) / 10
    return (haze + reverberation + lobes + _power(p.noise_db + lifted)).astype(np.float32)


def _power(db: np.ndarray | float) -> np.ndarray:
    return np.exp(np.asarray(db, np.float32) * np.float32(np.log(10) / 10))


def echo_power(patient: Patient, reflectors: np.ndarray) -> np.ndarray:
    """The squared envelope of the echoes of point reflectors, float32 (samples, beams); of mean 1 for unit noise.

    reflectors: float32 (samples, beams, 2), real and imaginary part on the polar grid.
    The pulse is Gaussian, one wavelength long (full width of its amplitude at half maximum). The beam is focused at
    every depth, so that its angular width (the same measure) is wavelength / aperture.
    """
    wavelength, sigma_per_fwhm = SOUND_MM_PER_US / patient.frequency_mhz, 1 / np.sqrt(8 * np.log(2))
    axial = sigma_per_fwhm * wavelength / (patient.depth_mm / SAMPLES)
    lateral = sigma_per_fwhm * wavelength / patient.aperture_mm / (np.radians(patient.sector_deg) / BEAMS)
    blurred = cv2.sepFilter2D(reflectors, cv2.CV_32F, _bell(lateral), _bell(axial))
    return (blurred * blurred).sum(axis=2) / 2


def _bell(sigma: float) -> np.ndarray:
    """A Gaussian of unit energy, so that filtered white noise keeps its variance."""
    reach = int(np.ceil(3 * sigma))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return (bell / np.sqrt((bell**2).sum())).astype(np.float32)


def _scatterers(patient: Patient, tissue: _Tissue) -> np.ndarray:
    """The tissue's own scatterers where they have moved to, float32 (samples, beams, 2)."""
    grid = _generator(patient.seed, 5).standard_normal((360, 256, 2), dtype=np.float32)
    across, along = SCATTERER_MM
    return cv2.remap(grid, tissue.x / across, tissue.z / along, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP)


# --------------------------------------------------------------------------------------------------- one frame


def render(patient: Patient, phase: float, seed: int = 0) -> Rendered:
    """One frame of `patient` at `phase` of the beat, 0 (end-diastole) to 1; `seed` draws the frame's own noise."""
    fraction = volume_fraction(patient, phase)
    v = _ventricle(patient, fraction)
    anatomy, tissue = _draw(patient, v, phase), _follow(patient, v)
    echoes = _power(_echogenicity(patient, anatomy, tissue) + _transmission(patient))
    noise = _generator(patient.seed, 6, seed).standard_normal((SAMPLES, BEAMS, 2), dtype=np.float32)
    reflectors = np.sqrt(echoes)[..., None] * _scatterers(patient, tissue)
    reflectors += np.sqrt(_clutter(patient, echoes))[..., None] * noise
    grey = _compress(patient, echo_power(patient, reflectors))
    image, spacing, corner = _scan_convert(patient, grey)
    contour = _place(patient, v, _outline(v)) - corner
    mask = inside(contour / spacing - 0.5, image.shape)
    labels = _labels(patient, anatomy, mask, spacing, corner)
    (x, y), (x1, y1) = contour.T, np.roll(contour, -1, axis=0).T
    area = abs(float((x * y1 - x1 * y).sum())) / 2
    return Rendered(image, mask, labels, (spacing, spacing), contour, area, patient.edv_ml * fraction)


def _compress(patient: Patient, power: np.ndarray) -> np.ndarray:
    """Log compression and the scanner's grey curve: levels 0 to 255, float32 (samples, beams)."""
    p = patient
    db = 10 * np.log10(power + np.float32(1e-12))
    shown = p.myocardium_grey ** (1 / p.gamma) + db / p.dynamic_range_db
    grey = 255 * np.clip(shown, 0, 1) ** np.float32(p.gamma)
    axial = p.smoothing_mm / (p.depth_mm / SAMPLES)
    lateral = p.smoothing_mm / (p.depth_mm / 2 * np.radians(p.sector_deg) / BEAMS)
    return cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigmaX=lateral + 0.05, sigmaY=axial + 0.05)


def _scan_convert(patient: Patient, grey: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """From beams to pixels: the image, uint8; its pixel size in mm; its upper left corner in the probe's (x, z)."""
    p = patient
    spacing = (p.depth_mm + 2 * p.margin_mm) / ROWS
    columns = round(2 * (p.half_width_mm + p.margin_mm) / spacing)
    corner = np.array([-columns / 2 * spacing, -p.margin_mm])
    x = (corner[0] + spacing * (np.arange(columns) + 0.5)).astype(np.float32)
    z = (corner[1] + spacing * (np.arange(ROWS) + 0.5)).astype(np.float32)
    depth, angle = cv2.cartToPolar(np.tile(x, (ROWS, 1)), np.repeat(z[:, None], columns, axis=1))
    beams = ((np.float32(np.pi / 2) - angle) / np.float32(np.radians(p.sector_deg)) + 0.5) * BEAMS - 0.5
    image = cv2.remap(grey, beams, depth * np.float32(SAMPLES / p.depth_mm) - 0.5, cv2.INTER_LINEAR)
    return np.rint(image).astype(np.uint8), spacing, corner


def _labels(patient: Patient, anatomy: _Anatomy, mask: np.ndarray, spacing: float, corner: np.ndarray) -> np.ndarray:
    """The anatomy as CAMUS's labels at the image's pixels, with the exact mask on top."""
    table = np.zeros(8, np.uint8)
    table[[ATRIUM, MYOCARDIUM]] = 3, 2
    rows, columns = (
        np.rint((start + spacing * (np.arange(n) + 0.5)) / GRID_MM).astype(int)
        for start, n in zip((corner[1], corner[0] + patient.half_width_mm), mask.shape, strict=True)
    )
    height, width = anatomy.codes.shape
    labels = table[anatomy.codes][rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    labels[mask] = 1
    return labels


# --------------------------------------------------------------------------------------------------- data sets


def cohort(n_patients: int = 10, n_frames: int = 50, seed: int = 2023, population: str = "child") -> list[Frame]:
    """Lazy four-chamber frames, `n_frames` of each patient; the defaults are the numbers of the paper's data.

    A patient's frames are spread over five beats; in each the probe and the gain are set slightly differently. Names
    are like `phantom-p03-f07`; the frames of largest and smallest volume carry the phases ED and ES.
    """
    if n_patients < 1 or n_frames < 1:
        raise ConfigError(f"a cohort of {n_patients} x {n_frames} frames is empty; ask for 1 or more of each")
    frames = []
    for number in range(n_patients):
        patient = sample_patient(int(_generator(seed, number).integers(2**31)), population)
        name = f"phantom-p{number + 1:02d}"
        times = np.arange(n_frames) * 5 / n_frames  # in beats
        volumes = [volume_fraction(patient, time % 1) for time in times]
        marks = {int(np.argmin(volumes)): "ES", int(np.argmax(volumes)): "ED"}
        for index, time in enumerate(times):
            load = partial(_load, _nudged(patient, int(time)), float(time % 1), index)
            frames.append(
                Frame(
                    f"{name}-f{index + 1:02d}",
                    name,
                    load,
                    view="4CH",
                    phase=marks.get(index, ""),
                    files=(Path(__file__),),
                )
            )
    return frames


def _nudged(patient: Patient, beat: int) -> Patient:
    """The same heart in another beat: the probe moved by at most 1.5 mm and 1.2 degrees, the gain by 8 %."""
    across, down, turn, gain = _generator(patient.seed, 7, beat).uniform(-1, 1, 4)
    return replace(
        patient,
        apex_offset_mm=patient.apex_offset_mm + 1.5 * across,
        apex_depth_mm=patient.apex_depth_mm + 1.5 * down,
        axis_tilt_deg=patient.axis_tilt_deg + 1.2 * turn,
        myocardium_grey=patient.myocardium_grey * (1 + 0.08 * gain),
    )


def _load(patient: Patient, phase: float, seed: int) -> Pixels:
    frame = render(patient, phase, seed)
    return Pixels(frame.image, frame.mask, frame.spacing_mm)


def write_labelme(frames: list[Frame], folder: Path) -> None:
    """Write outlined frames as a LabelMe data set: `folder/PATIENT/NAME.png` and `.json`, each file atomically.

    The JSON's one polygon, labelled `LV`, runs between the pixels' centres around the mask. Raises `DataError` where
    a file can't be written.
    """
    for frame in frames:
        pixels = frame.read()
        path = folder / frame.patient / f"{frame.name}.png"
        with atomic(path) as temporary:
            cv2.imwrite(str(temporary), pixels.image)
        write_json(path.with_suffix(".json"), _annotation(path.name, pixels))


def _annotation(image_name: str, pixels: Pixels) -> dict[str, Any]:
    """A frame's annotation as LabelMe 5 writes it; points are x, y from the first pixel's corner."""
    assert pixels.mask is not None, "only outlined frames can be written"
    height, width = pixels.image.shape
    # Of every pixel's four quarters, the contour joins the centres of the outermost.
    quarters = cv2.resize(pixels.mask.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(quarters, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = (max(outlines, key=cv2.contourArea)[:, 0] + 0.5) / 2
    polygon = {"label": "LV", "points": points.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [polygon],
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
