"""Clinical measures against ellipsoids of known volume, hand cases, and CAMUS's outlines and volumes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from benchmarks.real_data import CAMUS, CAMUS_MHD
from lvseg import clinical
from lvseg.errors import DataError
from tests.support import needs_camus, needs_camus_mhd

SPACINGS = [(0.3, 0.3), (0.3, 0.15), (0.5, 1.0)]
TILTS = [0, 20, -30]
EMPTY = np.zeros((30, 20), bool)


def ventricle(length, width, spacing_mm, tilt=0.0, half=True, size_mm=120):
    """Half an ellipse, apex up and annulus flat, or a whole one; centred, tilted by `tilt` degrees."""
    rows, columns = (round(size_mm / side) for side in spacing_mm)
    y, x = np.ogrid[:rows, :columns]
    y, x = (y + 0.5) * spacing_mm[0] - size_mm / 2, (x + 0.5) * spacing_mm[1] - size_mm / 2
    angle = math.radians(tilt)
    down, aside = y * math.cos(angle) + x * math.sin(angle), x * math.cos(angle) - y * math.sin(angle)
    if not half:
        return (down / (length / 2)) ** 2 + (aside / (width / 2)) ** 2 <= 1
    return (((down - length / 2) / length) ** 2 + (aside / (width / 2)) ** 2 <= 1) & (down <= length / 2)


def angle_from_vertical(axis, spacing_mm):
    """In degrees, positive where the annulus lies right of the apex."""
    down, right = (np.array(axis.annulus) - axis.apex) * spacing_mm
    return math.degrees(math.atan2(right, down))


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("half", [True, False])
def test_ellipsoids_of_revolution(half, tilt, spacing_mm):
    """Both are 80 mm long and 44 mm wide, so half the longer ellipsoid holds as much as the shorter one."""
    length, width = 80, 44
    mask = ventricle(length, width, spacing_mm, tilt, half)
    axis = clinical.long_axis(mask, spacing_mm)
    volume_ml = math.pi / 6 * length * width**2 / 1000
    assert clinical.area_mm2(mask, spacing_mm) == pytest.approx(math.pi / 4 * length * width, rel=3e-3)
    assert axis.length_mm == pytest.approx(length, rel=0.012)
    assert angle_from_vertical(axis, spacing_mm) == pytest.approx(tilt, abs=2)
    assert clinical.volume_disks_ml(mask, spacing_mm) == pytest.approx(volume_ml, rel=0.01)
    assert clinical.volume_area_length_ml(mask, spacing_mm) == pytest.approx(volume_ml, rel=0.012)


def test_the_two_methods_differ_where_the_shape_is_no_ellipsoid():
    """A cone 60 mm high, 40 mm wide: disks give its volume, area-length 8 A² / (3 pi L) another."""
    rows, columns = np.ogrid[:300, :300]
    cone = np.abs((columns - 149.5) * 0.3) <= (rows + 0.5 - 40) * 0.3 / 3
    cone &= (rows >= 40) & (rows < 240)
    assert clinical.volume_disks_ml(cone, (0.3, 0.3)) == pytest.approx(math.pi / 3 * 20**2 * 60 / 1000, rel=0.01)
    assert clinical.volume_area_length_ml(cone, (0.3, 0.3)) == pytest.approx(
        8 * 1200**2 / (3 * math.pi * 60) / 1000, rel=0.02
    )


def test_disks_of_a_cylinder_worked_out_by_hand():
    mask = np.zeros((100, 60), bool)
    mask[5:85, 10:40] = True  # 80 rows of 1 mm, 30 columns of 0.5 mm: 20 disks, 4 mm high, 15 mm wide
    axis = clinical.long_axis(mask, (1.0, 0.5))
    assert axis.length_mm == pytest.approx(80, abs=0.3)
    assert axis.apex[1] == pytest.approx(24.5, abs=0.3)
    diameters = clinical.disk_diameters_mm(mask, (1.0, 0.5))
    assert diameters.shape == (20,)
    assert diameters[3:17] == pytest.approx(15, rel=0.06)
    assert diameters.sum() * axis.length_mm / 20 == pytest.approx(80 * 15)  # no pixel is lost


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_apex_and_annulus_are_where_they_were_drawn(spacing_mm):
    axis = clinical.long_axis(ventricle(80, 44, spacing_mm), spacing_mm)
    for found, row_mm in ((axis.apex, 20), (axis.annulus, 100)):
        assert (found[0] + 0.5) * spacing_mm[0] == pytest.approx(row_mm, abs=1)
        assert (found[1] + 0.5) * spacing_mm[1] == pytest.approx(60, abs=1.5)


def test_a_wide_low_ventricle_still_opens_downwards():
    mask = ventricle(50, 70, (0.5, 0.5))
    assert clinical.long_axis(mask, (0.5, 0.5)).length_mm == pytest.approx(50, abs=1)
    assert abs(angle_from_vertical(clinical.long_axis(mask, (0.5, 0.5)), (0.5, 0.5))) < 3


@pytest.mark.parametrize("length, tilt", [(40, 0), (44, 20), (44, -30)])
def test_apex_of_a_nearly_round_ventricle_is_its_top(length, tilt):
    """Many points of the wall are about as far from the annulus as the apex: it lies in the midst of them."""
    axis = clinical.long_axis(ventricle(length, 80, (0.5, 0.5), tilt), (0.5, 0.5))
    assert axis.length_mm == pytest.approx(length, abs=0.7)
    assert angle_from_vertical(axis, (0.5, 0.5)) == pytest.approx(tilt, abs=3)


def test_slanting_annulus_keeps_its_middle():
    """An ellipse cut off obliquely, one wall 14 mm longer than the other: the axis ends halfway."""
    whole = ventricle(120, 40, (0.25, 0.25), half=False, size_mm=140)
    y, x = np.ogrid[: whole.shape[0], : whole.shape[1]]
    x_mm, y_mm = (x + 0.5) * 0.25 - 70, (y + 0.5) * 0.25 - 70
    axis = clinical.long_axis(whole & (y_mm <= 20 + x_mm * 14 / 37), (0.25, 0.25))
    assert (axis.annulus[1] + 0.5) * 0.25 - 70 == pytest.approx(0, abs=1.5)
    assert axis.length_mm == pytest.approx(80, abs=1)


def test_islands_change_the_area_alone():
    mask = ventricle(80, 44, (0.5, 0.5))
    dirty = mask.copy()
    dirty[2:8, 2:8] = True
    assert clinical.long_axis(dirty, (0.5, 0.5)) == clinical.long_axis(mask, (0.5, 0.5))
    for volume in (clinical.volume_disks_ml, clinical.volume_area_length_ml):
        assert volume(dirty, (0.5, 0.5)) == volume(mask, (0.5, 0.5))
    assert clinical.area_mm2(dirty, (0.5, 0.5)) - clinical.area_mm2(mask, (0.5, 0.5)) == 36 / 4


def test_spacing_scales_and_place_does_not_matter():
    mask = ventricle(60, 40, (0.5, 0.5))
    moved = np.pad(mask, ((7, 0), (0, 11)))
    for spacing, factor in (((0.5, 0.5), 1), ((1.0, 1.0), 2)):
        assert clinical.volume_disks_ml(moved, spacing) == pytest.approx(
            clinical.volume_disks_ml(mask, (0.5, 0.5)) * factor**3
        )
        assert clinical.area_mm2(moved, spacing) == pytest.approx(clinical.area_mm2(mask, (0.5, 0.5)) * factor**2)


@settings(deadline=None, max_examples=200)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=16)))
def test_any_mask_has_an_axis_inside_the_image_and_a_volume(mask):
    axis = clinical.long_axis(mask, (0.4, 0.3))
    volumes = clinical.volume_disks_ml(mask, (0.4, 0.3)), clinical.volume_area_length_ml(mask, (0.4, 0.3))
    if not mask.any():
        assert all(map(math.isnan, (axis.length_mm, *volumes)))
        return
    ends = np.array([axis.apex, axis.annulus])
    assert ((ends >= -0.51) & (ends <= np.array(mask.shape) - 0.49)).all()
    assert axis.length_mm > 0
    assert all(math.isfinite(volume) and volume > 0 for volume in volumes)


def test_empty_mask_measures_nan():
    assert math.isnan(clinical.area_mm2(EMPTY, (1, 1)))
    assert math.isnan(clinical.long_axis(EMPTY, (1, 1)).length_mm)
    assert np.isnan(clinical.disk_diameters_mm(EMPTY, (1, 1))).all()
    assert math.isnan(clinical.volume_disks_ml(EMPTY, (1, 1)))
    assert math.isnan(clinical.volume_area_length_ml(EMPTY, (1, 1)))


@pytest.mark.parametrize(
    "measure",
    [
        clinical.area_mm2,
        clinical.long_axis,
        clinical.disk_diameters_mm,
        clinical.volume_disks_ml,
        clinical.volume_area_length_ml,
    ],
)
def test_unfit_masks_and_spacings_are_refused(measure):
    with pytest.raises(DataError, match="bool"):
        measure(EMPTY.astype(np.uint8), (1, 1))
    with pytest.raises(DataError, match="spacing_mm"):
        measure(~EMPTY, (1, 0))


def test_ejection_fraction():
    assert clinical.ejection_fraction(120, 48) == pytest.approx(60)
    assert clinical.ejection_fraction(100, 130) == pytest.approx(-30)  # swapped phases show
    assert math.isnan(clinical.ejection_fraction(0, 0))
    assert math.isnan(clinical.ejection_fraction(math.nan, 40))
    assert math.isnan(clinical.ejection_fraction(100, math.nan))


def test_ed_and_es_are_the_frames_of_largest_and_smallest_area():
    assert clinical.ed_es_frames([20, 30, 30, 12, 25]) == (1, 3)
    assert clinical.ed_es_frames(np.array([math.nan, 8, math.nan, 9])) == (3, 1)
    assert clinical.ed_es_frames([5.0]) == (0, 0)
    for areas in ([], [math.nan, math.nan]):
        with pytest.raises(DataError, match="No frame"):
            clinical.ed_es_frames(areas)


# Real outlines


def camus_outline(patient, view, phase):
    simpleitk = pytest.importorskip("SimpleITK")
    file = CAMUS_MHD / patient / f"{patient}_{view}_{phase}_gt.mhd"
    image = simpleitk.ReadImage(str(file))
    return simpleitk.GetArrayFromImage(image).squeeze() == 1, image.GetSpacing()[1::-1]


def clinic_volumes(patient):
    text = (CAMUS_MHD / patient / "Info_4CH.cfg").read_text()
    values = dict(line.split(": ") for line in text.splitlines())
    return {"ED": float(values["LVedv"]), "ES": float(values["LVesv"])}, float(values["LVef"])


@needs_camus_mhd
@pytest.mark.parametrize("patient", [f"patient000{number}" for number in range(1, 6)])
def test_camus_volumes_agree_with_the_clinic(patient):
    """The clinic's volumes are biplane: so are ours from the disks of both views, and one view is near."""
    one_view = {}
    for phase in ("ED", "ES"):
        views = [camus_outline(patient, view, phase) for view in ("4CH", "2CH")]
        diameters = [clinical.disk_diameters_mm(*view) for view in views]
        length_mm = max(clinical.long_axis(*view).length_mm for view in views)
        biplane_ml = math.pi / 4 * (diameters[0] * diameters[1]).sum() * length_mm / 20 / 1000
        clinic_ml = clinic_volumes(patient)[0][phase]
        assert biplane_ml == pytest.approx(clinic_ml, rel=0.04)
        one_view[phase] = clinical.volume_disks_ml(*views[0])
        assert one_view[phase] == pytest.approx(clinic_ml, rel=0.3)
    ef = clinical.ejection_fraction(one_view["ED"], one_view["ES"])
    assert ef == pytest.approx(clinic_volumes(patient)[1], abs=8)


def test_the_nearest_pixel_is_the_one_that_scipy_takes():
    """On points inside, on the border, between two pixels and outside."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    cavity = rng.random((9, 7)) < 0.5
    points = np.concatenate([rng.uniform(-2, 10, (2000, 2)), np.argwhere(cavity), np.argwhere(cavity) + 0.5])
    expected = ndimage.map_coordinates(cavity.view(np.uint8), points.T, order=0) > 0
    np.testing.assert_array_equal(clinical._nearest(cavity, points), expected)


@needs_camus
def test_camus_annulus_is_found_at_the_border_to_the_atrium():
    nibabel = pytest.importorskip("nibabel")
    ndimage = pytest.importorskip("scipy.ndimage")
    files = sorted((CAMUS / "database_nifti").glob("patient00[0-4]*/*_gt.nii.gz"))
    assert files
    misses = []
    for file in files:
        image = nibabel.load(file)
        labels = np.asarray(image.dataobj).T
        spacing = np.array(image.header.get_zooms()[1::-1], dtype=float)
        border = np.argwhere((labels == 1) & ndimage.binary_dilation(labels == 3, iterations=2))
        if len(border) < 10:  # no atrium in the frame
            continue
        ends = border[[border[:, 1].argmin(), border[:, 1].argmax()]]
        axis = clinical.long_axis(labels == 1, tuple(spacing))
        misses.append(np.linalg.norm((axis.annulus - ends.mean(axis=0)) * spacing))
    assert len(misses) > 80
    assert np.mean(misses) < 1.5
    assert np.percentile(misses, 95) < 6
