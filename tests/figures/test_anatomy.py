"""The heart's parts lie where their names point, and the beat is the patient's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lvseg.figures import anatomy
from lvseg.phantom import heart
from lvseg.phantom.heart import sample_patient, volume_fraction

PARTS = {
    "left ventricle (LV)": {heart.CAVITY, heart.PAPILLARY},
    "left atrium": {heart.ATRIUM},
    "right\nventricle": {heart.RIGHT_HEART},
    "right\natrium": {heart.RIGHT_HEART},
    "septum": {heart.MYOCARDIUM},
    "lateral wall": {heart.MYOCARDIUM},
}


@pytest.mark.parametrize("seed", [1, 7, 12])
def test_names_point_at_their_parts(seed):
    patient = sample_patient(seed, "adult")
    drawn = anatomy.views(patient).axes[0]
    codes = drawn.images[0].get_array()
    half = patient.half_width_mm
    named = {text.get_text(): text.xy for text in drawn.texts}
    assert named.keys() == PARTS.keys() | {"apex", "mitral valve"}
    for name, parts in PARTS.items():
        x, z = named[name]
        assert codes.data[round(z / heart.GRID_MM), round((x + half) / heart.GRID_MM)] in parts, name
    _, apex = named["apex"]
    ventricle = np.argwhere(codes.data == heart.CAVITY)[:, 0] * heart.GRID_MM
    assert apex == pytest.approx(ventricle.min(), abs=4)
    assert named["mitral valve"][1] == pytest.approx(ventricle.max(), abs=15)


def test_a_two_chamber_view_has_no_right_heart():
    drawn = anatomy.views(sample_patient(7, "adult", "2CH")).axes[0]
    assert not {"right\nventricle", "right\natrium"} & {text.get_text() for text in drawn.texts}


def test_the_outline_lies_around_the_echos_cavity():
    seen = anatomy.views(sample_patient(7, "adult")).axes[1]
    image, (outline,) = seen.images[0].get_array(), seen.lines
    per_mm = image.shape[0] / seen.images[0].get_extent()[2]
    inside = np.zeros(image.shape, np.uint8)
    cv2.fillPoly(inside, [np.rint(outline.get_xydata() * per_mm).astype(np.int32)], 1)
    around = cv2.dilate(inside, np.ones((25, 25))) - inside
    assert image[inside > 0].mean() < 0.7 * image[around > 0].mean()  # blood is darker than muscle


def test_a_beat_starts_and_ends_full_and_is_emptiest_at_end_systole():
    patient = sample_patient(7, "adult")
    *pictures, curve = anatomy.beat(patient, shown=5).axes
    assert [axes.get_title() for axes in pictures] == ["ED", "", "ES", "", "ED"]
    line, dots = (each.get_xydata() for each in curve.lines)
    assert line[[0, -1], 1] == pytest.approx(patient.edv_ml)
    assert line[:, 1].min() == pytest.approx(patient.edv_ml * (1 - patient.ejection_fraction), rel=1e-3)
    assert dots[2] == pytest.approx(
        [patient.systole, patient.edv_ml * volume_fraction(patient, patient.systole)], rel=1e-3
    )
    areas = [(axes.images[0].get_array().data == heart.CAVITY).sum() for axes in pictures]
    assert np.argmin(areas) == 2 and areas[0] == areas[-1]
