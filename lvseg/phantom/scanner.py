"""Virtual patients: apical echo frames with real speckle and a beating left ventricle whose outline is known exactly.

A frame is made as a scanner makes it: anatomy in millimetres (`heart`), how strongly each tissue scatters
(dB), random scatterers that move with the tissue, the beam's blur in polar coordinates, envelope, log compression,
scan conversion. Nothing is taken from real images. All chance comes from NumPy generators seeded by patient and
frame, so that a frame is the same, byte for byte, in whatever order and on however many threads it is made.

>>> patient = sample_patient(seed=7, population="adult")
>>> end_diastole = render(patient, phase=0.0)
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from lvseg.masks import inside
from lvseg.phantom import heart
from lvseg.phantom.heart import Drawing, Patient, Ventricle, generator, volume_fraction

ROWS = 400  # height of an image in pixels
SAMPLES, BEAMS = 448, 224  # the polar grid on which echoes are formed
SCATTERER_MM = (0.6, 0.35)  # scatterer spacing across and along the heart: several in every resolution cell
SOUND_MM_PER_US = 1.54  # the speed of sound in soft tissue that scanners assume


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


def _follow(patient: Patient, v: Ventricle) -> _Tissue:
    """Where each cell's tissue came from. Computed on every fourth cell and interpolated, for the fields are smooth."""
    then = heart.ventricle(patient, 1.0)
    depth, angle = _polar(patient, SAMPLES // 4, BEAMS // 4)
    x, z = heart.unplace(patient, v, depth * np.sin(angle), depth * np.cos(angle))
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


def _echogenicity(patient: Patient, drawing: Drawing, tissue: _Tissue, fraction: float) -> np.ndarray:
    """How strongly each cell scatters on average, in dB, float32 (samples, beams)."""
    p, rng = patient, generator(patient.seed, 3)
    depth, angle = _polar(p)
    columns, rows = (p.half_width_mm + depth * np.sin(angle)) / heart.GRID_MM, depth * np.cos(angle) / heart.GRID_MM

    def on_beams(a: np.ndarray, blur_mm: float) -> np.ndarray:
        return cv2.remap(cv2.GaussianBlur(a, (0, 0), blur_mm / heart.GRID_MM), columns, rows, cv2.INTER_LINEAR)

    def share(*codes: int) -> np.ndarray:
        return on_beams(np.isin(np.arange(8), codes).astype(np.float32)[drawing.codes], p.slice_mm)

    systole = (1 - fraction) / p.ejection_fraction  # 0 at end-diastole, 1 at end-systole
    atrium_db = p.atrium_db + p.atrial_rise_db * (1 - systole)
    levels = [p.surroundings_db, p.pericardium_db, 0, p.right_heart_db, atrium_db, p.blood_db, p.papillary_db, 0]
    db = on_beams(np.array(levels, np.float32)[drawing.codes], p.slice_mm)
    cavity = share(heart.CAVITY)
    fine = 4 * SOUND_MM_PER_US / p.frequency_mhz
    patches, strands = _noise(rng, tissue.x / 9, tissue.z / 9, 4), _noise(rng, tissue.x / fine, tissue.z / fine)
    segment = _wall_level(p, tissue)
    inner = np.clip(1 - tissue.outside / p.wall_mm, 0, 1)  # 1 at the endocardium, 0 at the epicardium
    weak = np.maximum(tissue.lateral, tissue.apical) * inner
    systolic = p.systolic_transmural_db * systole * (inner - weak)
    db += share(heart.MYOCARDIUM) * (segment - p.transmural_db * weak - systolic)
    trabecula = np.clip(1 + tissue.outside / (p.trabecula_mm + 0.01), 0, 1) * (strands + patches > 0.5)
    db += cavity * trabecula * np.clip(segment - 3 - db, 0, None)
    mesh = tissue.apical * np.clip((p.apical_mesh_mm + np.minimum(tissue.outside, 0)) / (p.apical_mesh_mm + 5), 0, 1)
    db += cavity * mesh * np.clip(p.apex_db + 3 * patches - db, 0, None)
    glints = strands + 0.35 * strands * np.abs(strands)
    db += p.texture_db * (0.7 * patches + 0.4 * glints) * (1 - 0.7 * cavity)
    body = share(heart.OUTSIDE, heart.PERICARDIUM, heart.WALL)
    blood = share(heart.CAVITY, heart.ATRIUM, heart.RIGHT_HEART)
    db += 1.5 * p.texture_db * body * _noise(rng, tissue.x / 30, tissue.z / 30, 4)
    long, thick = rng.uniform(5, 14), rng.uniform(1.2, 3.5)
    arcs = _noise(rng, angle * (p.depth_mm / long), depth / np.float32(thick))
    db += p.streaks_db * arcs * (depth / p.depth_mm) * (1 - cavity)
    db += p.uneven_db * _noise(rng, angle * 4, depth / 30, 4)
    db += on_beams(drawing.valves.astype(np.float32), heart.GRID_MM) * (p.valve_db + 3 * strands - db)
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
    p, rng = patient, generator(patient.seed, 4)
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
    grid = generator(patient.seed, 5).standard_normal((360, 256, 2), dtype=np.float32)
    across, along = SCATTERER_MM
    return cv2.remap(grid, tissue.x / across, tissue.z / along, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP)


def render(patient: Patient, phase: float, seed: int = 0) -> Rendered:
    """One frame of `patient` at `phase` of the beat, 0 (end-diastole) to 1; `seed` draws the frame's own noise."""
    fraction = volume_fraction(patient, phase)
    v = heart.ventricle(patient, fraction)
    drawing, tissue = heart.draw(patient, v, phase), _follow(patient, v)
    echoes = _power(_echogenicity(patient, drawing, tissue, fraction) + _transmission(patient))
    noise = generator(patient.seed, 6, seed).standard_normal((SAMPLES, BEAMS, 2), dtype=np.float32)
    reflectors = np.sqrt(echoes)[..., None] * _scatterers(patient, tissue)
    reflectors += np.sqrt(_clutter(patient, echoes))[..., None] * noise
    grey = _compress(patient, echo_power(patient, reflectors))
    image, spacing, corner = _scan_convert(patient, grey)
    contour = heart.place(patient, v, heart.outline(v)) - corner
    mask = inside(contour / spacing - 0.5, image.shape)
    labels = _labels(patient, drawing, mask, spacing, corner)
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


def _labels(patient: Patient, drawing: Drawing, mask: np.ndarray, spacing: float, corner: np.ndarray) -> np.ndarray:
    """The anatomy as CAMUS's labels at the image's pixels, with the exact mask on top."""
    table = np.zeros(8, np.uint8)
    table[[heart.ATRIUM, heart.MYOCARDIUM]] = 3, 2
    rows, columns = (
        np.rint((start + spacing * (np.arange(n) + 0.5)) / heart.GRID_MM).astype(int)
        for start, n in zip((corner[1], corner[0] + patient.half_width_mm), mask.shape, strict=True)
    )
    height, width = drawing.codes.shape
    labels = table[drawing.codes][rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    labels[mask] = 1
    return labels
