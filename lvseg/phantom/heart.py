"""Virtual hearts: who the patient is, how the ventricle beats, and which tissue lies where.

Two frames of coordinates, both in mm: the heart's, with x across (lateral wall positive) and z from the apex along the
long axis; and the probe's, with x to the right and z down from its centre. `place` leads from the first to the second.
All chance comes from NumPy generators seeded by patient.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from lvseg.errors import ConfigError

POPULATIONS = ("child", "adult", "random")
VIEWS = ("4CH", "2CH")
GRID_MM = 0.5  # the Cartesian grid on which the anatomy is drawn

Range = tuple[float, float]


def _drawn(adult: Range, child: Range | None = None, random: Range | None = None) -> Any:
    """A field of `Patient` with the range it is drawn from in each population (the adult's where none is given)."""
    return field(metadata={"adult": adult, "child": child or adult, "random": random or adult})


def _absent(default: float, adult: Range, random: Range) -> Any:
    """The same for an ingredient that the children of the default cohort don't have."""
    return field(default=default, metadata={"adult": adult, "random": random})


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One virtual heart, how the probe sees it, and how well. Levels in dB are relative to normal myocardium.

    The seed fixes what no number describes: irregularities of the outline, texture, scatterers. The adults' ranges
    are set so that the spread of shapes, sizes, places and grey levels is like that of CAMUS's training patients (see
    docs/phantom.md); `random` goes far beyond.
    """

    seed: int
    view: str = "4CH"
    # The heart; its measures are those at end-diastole
    edv_ml: float = _drawn((40, 210), (15, 110), (15, 260))
    ejection_fraction: float = _drawn((0.25, 0.70), (0.45, 0.75), (0.20, 0.75))
    heart_rate_bpm: float = _drawn((50, 100), (70, 140), (50, 140))
    width_to_length: float = _drawn((0.42, 0.75), (0.44, 0.78), (0.38, 0.90))
    apex_power: float = _drawn((1.8, 2.8), (1.6, 2.4), (1.5, 3.2))  # 2: elliptic apex; more: blunter
    widest_at: float = _drawn((0.60, 0.85), random=(0.55, 0.85))  # level, 0 apex to 1 mitral plane
    annulus_to_width: float = _drawn((0.6, 1.0), random=(0.5, 1.0))
    bend: float = _drawn((-0.01, 0.09), (-0.02, 0.06), (-0.05, 0.11))  # sideways sweep of the long axis / length
    mitral_tilt_deg: float = _drawn((-12, 12), random=(-18, 18))
    irregularity: float = _drawn((0.0, 0.06), random=(0.0, 0.10))  # relative size of the outline's waves
    hypokinesia: float = _drawn((0.0, 0.6), (0.0, 0.2), (0.0, 0.6))  # motion lost at the worst place, 0 to 1
    hypokinesia_at: float = _drawn((-1, 1))  # -1 septal base, 0 apex, 1 lateral base
    wall_mm: float = _drawn((7, 15), (4, 8), (5, 18))
    rv_mm: float = _drawn((12, 38), (10, 24), (5, 45))
    atrium_mm: float = _drawn((25, 60), (18, 36), (20, 65))
    valve_open: float = _drawn((0.0, 0.15), (0.0, 0.25), (0.0, 0.4))  # share of the mitral valve that never closes
    # The probe
    depth_mm: float = _drawn((75, 190), (65, 125), (55, 200))
    sector_deg: float = _drawn((66, 86), (70, 90), (60, 92))
    margin_mm: float = _drawn((0, 0), random=(-6, 12))  # black border; negative: the image crops the sector
    apex_depth_mm: float = _drawn((12, 42), (8, 25), (6, 50))
    apex_offset_mm: float = _drawn((-14, 8), (-10, 8), (-25, 20))
    axis_tilt_deg: float = _drawn((-3, 25), random=(-15, 35))  # positive: the base lies further right than the apex
    frequency_mhz: float = _drawn((2.0, 4.0), (3.0, 7.0), (1.5, 6.0))
    aperture_mm: float = _drawn((16, 26), (10, 17), (10, 26))
    slice_mm: float = _drawn((0.5, 1.8), (0.4, 1.3), (0.4, 2.5))  # the beam's thickness, which softens borders
    # The tissue
    septum_db: float = _drawn((1, 9), random=(-6, 12))
    lateral_db: float = _drawn((-14, 2), (-10, 1), (-18, 6))
    apex_db: float = _drawn((-14, 3), (-12, 2), (-18, 6))
    transmural_db: float = _drawn((0, 15), random=(0, 20))  # apical, lateral wall: endocardium below epicardium
    trabecula_mm: float = _drawn((0.0, 7.0), (0.0, 3.0), (0.0, 10.0))
    papillary_db: float = _drawn((-12, 3), random=(-20, 6))
    valve_db: float = _drawn((-8, 10), (2, 12), (-12, 14))
    blood_db: float = _drawn((-32, -14), (-35, -16), (-36, -8))
    right_heart_db: float = _drawn((-24, -8), random=(-35, -4))
    atrium_db: float = _drawn((-38, -16), (-24, -4), (-42, -6))
    surroundings_db: float = _drawn((-8, 3), random=(-16, 6))
    pericardium_db: float = _drawn((3, 17), (2, 14), (-6, 19))
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
    # What the default cohort does without, so that it stays as it was first shipped
    late_closure: float = _absent(0.0, (0.0, 0.6), (0.0, 0.8))  # how far the mitral valve is open at end-diastole
    squeeze: float = _absent(0.0, (0.0, 1.2), (0.0, 1.6))  # how much more the wall moves at papillary level
    tricuspid_mm: float = _absent(0.0, (0.5, 2.0), (0.0, 2.5))  # thickness of its leaflets
    apical_mesh_mm: float = _absent(0.0, (5, 30), (0, 35))  # depth to which trabeculae and clutter fill the apex
    systolic_transmural_db: float = _absent(0.0, (0, 12), (0, 16))  # at end-systole, the septum's endocardium below
    atrial_rise_db: float = _absent(0.0, (6, 24), (-2, 28))  # the atrium's level at end-diastole above end-systole
    atrial_reservoir: float = _absent(0.0, (0.2, 0.6), (0.0, 0.8))  # how much wider it gets as the LV empties

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


def sample_patient(seed: int, population: str = "child", view: str = "4CH") -> Patient:
    """Draw the patient of this seed (0 or more): every number uniformly from its range.

    Drawn again until the ventricle lies within the sector at end-diastole, in both views.
    population: one of `POPULATIONS`; `random`, for training, goes beyond the adults' ranges towards its own, each
        patient by another share of the way.
    view: one of `VIEWS`. Raises `ConfigError` on another name.
    """
    if population not in POPULATIONS:
        raise ConfigError(f"{population!r} is no population; choose one of {', '.join(POPULATIONS)}")
    if view not in VIEWS:
        raise ConfigError(f"{view!r} is no view; choose one of {', '.join(VIEWS)}")
    rng = generator(seed, 0)
    ranges = {f.name: f.metadata[population] for f in fields(Patient) if population in f.metadata}
    low, high = np.array(list(ranges.values())).T
    if population == "random":
        usual = np.array([Patient.__dataclass_fields__[name].metadata["adult"] for name in ranges]).T
        low, high = usual + rng.uniform() * (np.stack([low, high]) - usual)
    while True:
        numbers = rng.uniform(low, high).tolist()
        patient = Patient(seed=seed, view=view, **dict(zip(ranges, numbers, strict=True)))
        if all(_seen_whole(replace(patient, view=each)) for each in VIEWS):
            return patient


def _seen_whole(patient: Patient, margin_mm: float = 4.0) -> bool:
    """Whether the end-diastolic cavity keeps `margin_mm` from every border of sector and image."""
    v = ventricle(patient, 1.0)
    x, z = place(patient, v, outline(v)).T
    half = np.radians(patient.sector_deg / 2)
    to_side = z * np.sin(half) - np.abs(x) * np.cos(half)
    reach = patient.depth_mm - margin_mm + min(patient.margin_mm, 0)
    return bool(to_side.min() > margin_mm and np.hypot(x, z).max() < reach)


def generator(seed: int, *key: int) -> np.random.Generator:
    if seed < 0:
        raise ConfigError(f"the seed {seed} is negative; choose 0 or more")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


# -------------------------------------------------------------------------------------------- the beating heart


class Ventricle(NamedTuple):
    """The LV in its own coordinates: x across (lateral wall positive), z from the apex along the axis, in mm."""

    levels: np.ndarray  # 0 apex to 1 mitral plane, denser at the apex
    left: np.ndarray  # distance from the axis to the septal endocardium (inferior in the two-chamber view)
    right: np.ndarray  # and to the lateral one (anterior)
    length: float
    full_length: float  # at end-diastole
    wall: float


def volume_fraction(patient: Patient, phase: float) -> float:
    """Volume / end-diastolic volume at `phase` of the beat, 0 (end-diastole) to 1 (the next one).

    After ejection, early filling brings back three quarters of the stroke volume, the atrium's contraction the rest
    (textbooks: a fifth to three tenths).
    """
    end, rest = patient.systole, 1 - patient.systole
    early, late = (end + 0.1 * rest, end + 0.6 * rest), (end + 0.7 * rest, 1.0)
    ejected = _ramp(phase, 0.0, end) - 0.75 * _ramp(phase, *early) - 0.25 * _ramp(phase, *late)
    return 1 - patient.ejection_fraction * ejected


def _ramp(t: float, start: float, end: float) -> float:
    """0 before `start`, 1 after `end`, smooth between."""
    u = min(max((t - start) / (end - start), 0.0), 1.0)
    return u * u * (3 - 2 * u)


def ventricle(patient: Patient, fraction: float) -> Ventricle:
    """The cavity when it holds exactly `fraction` of its end-diastolic volume.

    The length follows the fraction's power 1/4, as in CAMUS (a length ratio of 0.84 at half the volume). The walls do
    the rest, less where they are hypokinetic, and thicken (by a seventh at half the volume, as there).
    """
    p, levels = patient, np.linspace(0, 1, 80) ** 1.5
    rising = (1 - np.clip(1 - levels / p.widest_at, 0, 1) ** p.apex_power) ** (1 / p.apex_power)
    falling = 1 - (1 - p.annulus_to_width) * np.clip((levels - p.widest_at) / (1 - p.widest_at), 0, 1) ** 2
    k = np.arange(1, 5)
    waves = generator(p.seed, 1, VIEWS.index(p.view)).standard_normal((2, 4)) / np.sqrt(k)
    sides = rising * falling * (1 + p.irregularity * waves @ np.sin(np.pi * k[:, None] * levels))
    sides *= p.width_to_length / sides.sum(axis=0).max()

    def disks(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.trapezoid(np.pi / 4 * a * b, levels))

    width = sides.sum(axis=0)
    full_length = (1000 * p.edv_ml / disks(width, width)) ** (1 / 3)
    around = np.stack([-levels, levels])  # -1 septal base, 0 apex, 1 lateral base
    inward = sides * (1 + p.squeeze * np.exp(-(((levels - 0.35) / 0.3) ** 2)))
    inward = inward * (1 - p.hypokinesia * np.exp(-(((around - p.hypokinesia_at) / 0.35) ** 2)))
    # The walls move in by share * inward, so that disks as wide as what is left hold the volume.
    moved = inward.sum(axis=0)
    a, b, c = disks(moved, moved), disks(width, moved), disks(width, width) * (1 - fraction**0.75)
    share = (b - np.sqrt(max(b * b - a * c, 0.0))) / a
    left, right = full_length * (sides - share * inward)
    length = full_length * fraction**0.25
    return Ventricle(levels, left, right, length, full_length, p.wall_mm * fraction**-0.19)


def outline(v: Ventricle) -> np.ndarray:
    """The endocardium, (points, 2) in the heart's coordinates: septal hinge, apex, lateral hinge."""
    z = v.levels * v.length
    return np.concatenate([np.c_[-v.left, z][::-1], np.c_[v.right, z][1:]])


def epicardium(v: Ventricle) -> np.ndarray:
    """The outline moved outwards by the wall's thickness."""
    endo = outline(v)
    along = np.gradient(endo, axis=0)
    return endo + v.wall * np.c_[along[:, 1], -along[:, 0]] / np.linalg.norm(along, axis=1, keepdims=True)


def place(patient: Patient, v: Ventricle, points: np.ndarray) -> np.ndarray:
    """From the heart's coordinates to the probe's: x to the right and z down from the probe, in mm.

    The axis's sweep and the mitral plane's tilt are shears, which keep areas and volumes.
    """
    x, z = points.T
    x = x + patient.bend * v.full_length * np.sin(np.pi * np.clip(z / v.full_length, 0, 1))
    z = z + x * np.tan(np.radians(patient.mitral_tilt_deg))
    sin, cos = np.sin(np.radians(patient.axis_tilt_deg)), np.cos(np.radians(patient.axis_tilt_deg))
    return np.c_[patient.apex_offset_mm + x * cos + z * sin, patient.apex_depth_mm - x * sin + z * cos]


def unplace(patient: Patient, v: Ventricle, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reverse of `place`, for arrays of any one shape."""
    sin, cos = np.sin(np.radians(patient.axis_tilt_deg)), np.cos(np.radians(patient.axis_tilt_deg))
    x, z = x - patient.apex_offset_mm, z - patient.apex_depth_mm
    x, z = x * cos - z * sin, x * sin + z * cos
    z = z - x * np.tan(np.radians(patient.mitral_tilt_deg))
    return x - patient.bend * v.full_length * np.sin(np.pi * np.clip(z / v.full_length, 0, 1)), z


# ------------------------------------------------------------------------------------------------- the anatomy

OUTSIDE, PERICARDIUM, WALL, RIGHT_HEART, ATRIUM, CAVITY, PAPILLARY, MYOCARDIUM = range(8)


class Drawing:
    """Tissue codes (and, apart from them, the valves) in the probe's coordinates, drawn from the heart's."""

    def __init__(self, patient: Patient, v: Ventricle):
        self.patient, self.v = patient, v
        shape = int(patient.depth_mm / GRID_MM) + 1, int(2 * patient.half_width_mm / GRID_MM) + 1
        self.codes, self.valves = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)

    def _pixels(self, points: np.ndarray) -> list[np.ndarray]:
        placed = place(self.patient, self.v, points) + np.array([self.patient.half_width_mm, 0])
        return [np.rint(placed / GRID_MM * 16).astype(np.int32)]

    def fill(self, code: int, points: np.ndarray) -> None:
        cv2.fillPoly(self.codes, self._pixels(points), code, shift=4)

    def line(self, code: int, points: np.ndarray, width_mm: float) -> None:
        cv2.polylines(self.codes, self._pixels(points), False, code, max(1, round(width_mm / GRID_MM)), shift=4)

    def valve(self, points: np.ndarray, width_mm: float) -> None:
        cv2.polylines(self.valves, self._pixels(points), False, 1, max(1, round(width_mm / GRID_MM)), shift=4)


def draw(patient: Patient, v: Ventricle, phase: float) -> Drawing:
    """The heart with all its chambers. What lies in front is drawn last."""
    rng = generator(patient.seed, 2)
    drawing = Drawing(patient, v)
    endo, epi = outline(v), epicardium(v)
    left, right, base = endo[0, 0], endo[-1, 0], v.length
    annulus = right - left
    roof = v.full_length + patient.atrium_mm  # the atria's roofs stay where they are, the annulus moves
    middle = (left + right) / 2 + annulus * rng.uniform(-0.15, 0.15)
    filling = (v.length / v.full_length) ** (-4 * patient.atrial_reservoir)
    oval = _oval(middle, base, roof, annulus * filling * rng.uniform(0.45, 0.7))
    atrium = cv2.convexHull(np.concatenate([oval, endo[[0, -1]]]).astype(np.float32))[:, 0]
    lateral = epi[len(v.levels) :][v.levels[1:] > rng.uniform(0.1, 0.6)]
    right_heart = _right_heart(patient, v, roof, rng) if patient.view == "4CH" else []
    sac, wall = rng.uniform(6, 18), rng.uniform(2, 8)
    for chamber in (lateral, atrium, *right_heart):
        drawing.line(PERICARDIUM, chamber, sac)
    for _ in range(rng.integers(0, 3)):  # pericardium and diaphragm behind the atria
        x, z = rng.uniform(-90, 30), roof + rng.uniform(-15, 15)
        arc = np.array([[x, z], [x + rng.uniform(20, 80), z + rng.uniform(-15, 15)]])
        drawing.line(PERICARDIUM, arc, rng.uniform(2, 9))
    for chamber in (atrium, *right_heart):
        drawing.line(WALL, chamber, wall)
    for chamber in right_heart:
        drawing.fill(RIGHT_HEART, chamber)
    drawing.fill(ATRIUM, atrium)
    drawing.fill(CAVITY, endo)
    for _ in range(rng.integers(0, 4)):
        drawing.fill(PAPILLARY, _papillary(v, rng))
    for hinge in endo[[0, -1]]:  # the fibrous grooves between atria and ventricles
        groove = hinge + rng.uniform(-6, 6, (2, 2)) + [np.sign(hinge[0]) * 5, 4]
        drawing.line(PERICARDIUM, groove, rng.uniform(4, 14))
    drawing.fill(MYOCARDIUM, np.concatenate([epi, endo[::-1]]))
    opening = _valve_opening(patient, phase)
    _draw_valves(drawing, (left, right, base), opening, rng)
    if patient.tricuspid_mm and right_heart:
        _draw_tricuspid(drawing, right_heart[0], opening)
    return drawing


def _oval(x: float, top: float, bottom: float, half_width: float) -> np.ndarray:
    """A box with round corners, as atria are."""
    t = np.linspace(0, 2 * np.pi, 60)
    across, along = (np.sign(f) * np.abs(f) ** 0.8 for f in (np.cos(t), np.sin(t)))
    return np.c_[x + half_width * across, (top + bottom) / 2 + (bottom - top) / 2 * along]


def _right_heart(patient: Patient, v: Ventricle, roof: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Right ventricle, along the septum and narrowing to its apex, and right atrium."""
    septum = epicardium(v)[: len(v.levels)][v.levels[::-1] > rng.uniform(0.15, 0.4)]
    width = patient.rv_mm * np.sqrt(v.length / v.full_length)
    bulge = np.clip(np.sin(np.linspace(0.75 * np.pi, 0, len(septum)) * rng.uniform(0.9, 1.2)), 0, 1)
    free_wall = septum - np.c_[width * bulge, 0 * bulge]
    middle, annulus = (septum + free_wall)[0, 0] / 2, (septum - free_wall)[0, 0]
    atrium = _oval(middle, v.length, roof - rng.uniform(0, 12), annulus * rng.uniform(0.5, 0.7))
    return [np.concatenate([septum, free_wall[::-1]]), atrium]


def _papillary(v: Ventricle, rng: np.random.Generator) -> np.ndarray:
    """A papillary muscle or thick trabecula along a wall, mostly the lateral one."""
    side, level = (1 if rng.random() < 0.7 else -1), rng.uniform(0.3, 0.7)
    wall = np.interp(level, v.levels, v.right if side > 0 else v.left)
    radius, half_length, t = rng.uniform(1, 4), rng.uniform(3, 10), np.linspace(0, 2 * np.pi, 16)
    x = side * (wall - rng.uniform(0.5, 2.5) * radius)
    return np.c_[x + radius * np.cos(t), level * v.length + half_length * np.sin(t)]


def _valve_opening(patient: Patient, phase: float) -> float:
    """0 closed in systole, 1 in early filling, half open in mid-diastole, open again as the atrium contracts."""
    t = (phase - patient.systole) / (1 - patient.systole)
    opening = float(np.interp(t, [0.05, 0.2, 0.5, 0.75, 0.9, 1.0], [0, 1, 0.4, 0.4, 0.8, 0.1 + patient.late_closure]))
    opening = max(opening, 0.1 - phase + patient.late_closure * max(1 - 10 * phase, 0))  # it closes as systole begins
    return opening + (1 - opening) * patient.valve_open


def _draw_valves(
    drawing: Drawing, annulus: tuple[float, float, float], opening: float, rng: np.random.Generator
) -> None:
    """The mitral leaflets (the anterior, septal one is longer) and the bright fibrous ring they hang from."""
    left, right, base = annulus
    thickness, closed, sag = rng.uniform(1, 2.5), rng.uniform(-5, 7), rng.uniform(-0.1, 0.1)
    for hinge, reach in ((left, 0.62 * (right - left)), (right, -0.48 * (right - left))):
        angle = np.radians(closed + (80 - closed) * opening * rng.uniform(0.6, 1.0))
        s = np.linspace(0, 1, 10)
        curve = sag * abs(reach) * np.sin(np.pi * s)
        x, z = reach * s * np.cos(angle), base - abs(reach) * s * np.sin(angle) + curve
        drawing.valve(np.c_[hinge + x, z], thickness)
        drawing.valve(np.array([[hinge, base - 1], [hinge, base + 1]]), rng.uniform(2, 6))


def _draw_tricuspid(drawing: Drawing, ventricle: np.ndarray, opening: float) -> None:
    """Two leaflets between the right ventricle's last points, septal and lateral; they open with the mitral valve."""
    angle = np.radians(5 + 70 * opening)
    for hinge, other in (ventricle[[0, -1]], ventricle[[-1, 0]]):
        reach = 0.5 * (other[0] - hinge[0])
        tip = hinge + np.array([reach * np.cos(angle), -abs(reach) * np.sin(angle)])
        drawing.valve(np.stack([hinge, tip]), drawing.patient.tricuspid_mm)
