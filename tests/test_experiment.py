"""An experiment's choices are checked before any work, and a wrong one is told in one sentence."""

from __future__ import annotations

import pytest

from lvseg.errors import ConfigError
from lvseg.experiment import Experiment, NetworkConfig


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"model": "vnet"}, "model='vnet'"),
        ({"attention": "self"}, "attention='self'"),
        ({"size": 100}, "size=100"),
        ({"width": 6}, "width=6"),
        ({"widht": 8}, "'widht'"),
        ({"model": "unet", "inception": "encoder"}, "unet has no residual block"),
    ],
)
def test_a_wrong_choice_is_one_sentence_that_names_it(choices, named):
    with pytest.raises(ConfigError) as error:
        NetworkConfig.of(**choices)
    assert named in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -1])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ConfigError, match="rate="):
        Experiment.of_profile("smoke", rate=rate)


def test_a_batch_has_to_divide_into_its_parts():
    with pytest.raises(ConfigError, match="parts=3 don't divide a batch of 8 evenly"):
        Experiment.of_profile("class", batch=8, parts=3)


@pytest.mark.parametrize("split", ["doctor", "gone.txt", "x.json#12"])
def test_a_split_that_does_not_exist_is_refused_before_any_data_is_read(split):
    with pytest.raises(ConfigError, match="choose patient, frame, own, or a file"):
        Experiment.of_profile("class", split=split)
