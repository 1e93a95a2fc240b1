"""The course is copied whole, and never over somebody's work."""

from __future__ import annotations

import pytest

from lvseg.course.copy import copy_course
from lvseg.errors import ConfigError
from lvseg.files import CHECKOUT


def test_the_copy_has_every_notebook_and_sample(tmp_path):
    copy_course(tmp_path / "mine")
    for pattern in ("notebooks/0*.ipynb", "data_samples/phantom_labelme/*/*", "data_samples/weights/*"):
        ours = sorted(CHECKOUT.glob(pattern))
        assert len(ours) >= 4
        for path in ours:
            assert (tmp_path / "mine" / path.relative_to(CHECKOUT)).read_bytes() == path.read_bytes()


def test_nothing_is_copied_over_what_is_there(tmp_path):
    (tmp_path / "data_samples").mkdir()
    with pytest.raises(ConfigError, match="data_samples: is there already; choose another folder"):
        copy_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data_samples"]
