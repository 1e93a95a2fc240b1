"""The heart for those who have never seen one: a virtual patient's chambers by name, and one beat."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from lvseg.figures.plots import PREDICTED, TRUTH, Figure
from lvseg.phantom import heart
from lvseg.phantom.heart import Patient, volume_fraction
from lvseg.phantom.scanner import render

_TISSUES = {
    heart.OUTSIDE: "#f4f1ea",
    heart.PERICARDIUM: "#ddd6c8",
    heart.WALL: "#d9b8a8",
    heart.RIGHT_HEART: "#b9cfe4",
    heart.ATRIUM: "#f3c9c9",
    heart.CAVITY: "#ee9a9a",
    heart.PAPILLARY: "#c98b76",
    heart.MYOCARDIUM: "#c98b76",
}
"""Colours as in textbooks: blood without oxygen bluish, with oxygen reddish, muscle brown."""


def views(patient: Patient, phase: float = 0.0) -> Figure:
    """What a drawing knows and what an echo shows of one moment: the parts by name, and the frame with its outline.

    phase: of the beat, from 0 (end-diastole) to 1.
    """
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    drawn, seen = figure.subplots(1, 2)
    _draw(drawn, patient, phase)
    v = heart.ventricle(patient, volume_fraction(patient, phase))
    for name, (x, z), (to_x, to_z) in _names(patient, v):
        (px, pz), (tx, tz) = heart.place(patient, v, np.array([[x, z], [to_x, to_z]]))
        drawn.annotate(
            name,
            (px, pz),
            (tx, tz),
            ha="center",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "lw": 0.8} if (x, z) != (to_x, to_z) else None,
        )
    drawn.set_title("the parts of the heart, probe above")
    frame = render(patient, phase)
    height, width = frame.image.shape
    extent = (0, width * frame.spacing_mm[1], height * frame.spacing_mm[0], 0)
    seen.imshow(frame.image, cmap="gray", vmin=0, vmax=255, extent=extent)
    seen.plot(*np.vstack([frame.contour_mm, frame.contour_mm[:1]]).T, color=TRUTH, lw=1.5)
    seen.set_title("the same heart by ultrasound; yellow: the LV's outline")
    seen.set_axis_off()
    return figure


def _draw(axes: Axes, patient: Patient, phase: float) -> None:
    """The tissues within the sector, in mm from the probe."""
    drawing = heart.draw(patient, heart.ventricle(patient, volume_fraction(patient, phase)), phase)
    half, depth = patient.half_width_mm, patient.depth_mm
    rows, columns = drawing.codes.shape
    x, z = np.meshgrid(np.linspace(-half, half, columns), np.linspace(0, depth, rows))
    beyond = (np.abs(np.arctan2(x, z)) > np.radians(patient.sector_deg / 2)) | (np.hypot(x, z) > depth)
    extent = (-half, half, depth, 0)
    codes = np.ma.masked_array(drawing.codes, beyond)
    axes.imshow(codes, cmap=ListedColormap(list(_TISSUES.values())), vmin=-0.5, vmax=7.5, extent=extent)
    valves = np.ma.masked_array(drawing.valves, beyond | (drawing.valves == 0))
    axes.imshow(valves, cmap=ListedColormap(["#5b3a8c"]), extent=extent)
    axes.set_axis_off()


def _names(patient: Patient, v: heart.Ventricle) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """Each part's name, where it lies and where to write it, in the heart's coordinates (`heart`)."""
    base, roof = v.length, v.full_length + patient.atrium_mm
    left, right, wall = v.left[-1], v.right[-1], v.wall
    mid_left, mid_right = (float(np.interp(0.5, v.levels, side)) for side in (v.left, v.right))
    middle = (right - left) / 2
    right_ventricle, right_atrium = (-left - wall - share * patient.rv_mm for share in (0.45, 0.33))
    septum, lateral = (-mid_left - wall / 2, base / 2), (mid_right + wall / 2, base / 2)
    names = [
        ("left ventricle (LV)", (0.0, base * 0.62), (0.0, base * 0.62)),
        ("left atrium", (middle, (base + roof) / 2), (middle, (base + roof) / 2)),
        ("apex", (0.0, 0.0), (-0.9 * left, -0.06 * base)),
        ("septum", septum, (septum[0] - 1.1 * patient.rv_mm, 0.3 * base)),
        ("lateral wall", lateral, (lateral[0] + 0.5 * base, 0.3 * base)),
        ("mitral valve", (middle, base * 0.96), (right + 0.5 * base, base * 1.02)),
    ]
    if patient.view == "4CH":
        names += [
            ("right\nventricle", (right_ventricle, base * 0.85), (right_ventricle, base * 0.85)),
            ("right\natrium", (right_atrium, (base + roof) / 2), (right_atrium, (base + roof) / 2)),
        ]
    return names


def beat(patient: Patient, shown: int = 6) -> Figure:
    """One beat: `shown` moments of it drawn, and the LV's volume (ml) from one end-diastole to the next."""
    phases = np.linspace(0, 1, 200)
    volumes = [patient.edv_ml * volume_fraction(patient, phase) for phase in phases]
    moments = np.concatenate([[0.0, patient.systole / 2], np.linspace(patient.systole, 1.0, shown - 2)])
    figure = Figure(figsize=(11, 5), layout="constrained")
    grid = figure.add_gridspec(2, shown, height_ratios=(1, 1.1))
    for place, moment in enumerate(moments):
        axes = figure.add_subplot(grid[0, place])
        _draw(axes, patient, float(moment) % 1)
        axes.set_title("ED" if moment in (0, 1) else "ES" if moment == patient.systole else "", fontsize=10)
    axes = figure.add_subplot(grid[1, :])
    axes.plot(phases, volumes, color="#0072b2")
    axes.plot(moments, np.interp(moments, phases, volumes), "o", color=PREDICTED)
    axes.axvspan(0, patient.systole, color="#f5dbe8")
    for name, x in (("systole: it empties", patient.systole / 2), ("diastole: it fills", (1 + patient.systole) / 2)):
        axes.text(x, min(volumes) + 0.9 * np.ptp(volumes), name, ha="center")
    axes.set(xlabel="share of the beat", ylabel="LV volume (ml)", xlim=(-0.02, 1.02))
    return figure
