"""The lessons' real cine: whole, quiet, and without a pixel size that nobody can know."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest

from lvseg.course.samples import real_cine
from lvseg.errors import DataWarning
from lvseg.readers import open_path


def test_the_cine_is_what_pydicom_ships():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = real_cine()
        pixels = [frame.read() for frame in frames]
    assert len(frames) == 30 and all(each.image.shape == (240, 320) and each.spacing_mm is None for each in pixels)
    with warnings.catch_warnings(action="ignore"):
        as_read = open_path(pydicom.examples.get_path("ybr_color"))[17].read().image  # held to the JPEG in test_dicom
    np.testing.assert_array_equal(pixels[17].image, as_read)


def test_a_reader_says_why_its_pixel_size_is_not_known():
    with pytest.warns(DataWarning, match="its regions don't fit into its 240 x 320 pixels"):
        open_path(pydicom.examples.get_path("ybr_color"))[0].read()
