"""An experiment's choices are checked before any work, and a wrong one is told in one sentence."""

from __future__ import annotations

import json
import re
import statistics

import pytest

from benchmarks.table import RESULTS
from lvseg.errors import ConfigError
from lvseg.experiment import PROFILES, Experiment, NetworkConfig


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


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"first_epochs": 24}, "first_epochs=24 leave none of 24 epochs"),
        ({"first_epochs": 2, "first_size": 128}, "first_size=128 is above size=64"),
    ],
)
def test_first_epochs_are_some_of_all_and_no_larger(choices, said):
    with pytest.raises(ConfigError, match=said):
        Experiment.of_profile("class", **choices)


@pytest.mark.parametrize("later", [{"first_epochs": 1}, {"members": 2}, {"start": "x.keras"}])
def test_a_choice_that_came_later_makes_another_experiment(later):
    assert Experiment.of_profile("smoke", **later).fingerprint() != Experiment.of_profile("smoke").fingerprint()


@pytest.mark.parametrize("split", ["doctor", "gone.txt", "x.json#12"])
def test_a_split_that_does_not_exist_is_refused_before_any_data_is_read(split):
    with pytest.raises(ConfigError, match="choose patient, frame, own, or a file"):
        Experiment.of_profile("class", split=split)


def test_experiments_kept_from_before_are_the_same_experiments():
    """Their receipts hold this fingerprint: were it another one, finished runs would be run again."""
    kept = {
        "unet": "1391f16de51f68463673cbd7d2e43e0817d02f4f879fbfcd4940ba5cfd598f90",
        "resunet": "a5a0a5fadfc8ff7ec8ae1c837505e3363cac8611fc171626f3196b55c1cf8a6d",
        "improved_resunet": "40d1d81069e65599a088efb5b8e7796ac4a0769e3c908dd91f3a19ff8dc74387",
    }
    found = {model: Experiment.of_profile("smoke", model=model).fingerprint() for model in kept}
    assert found == kept


def test_a_profile_costs_and_scores_what_the_benchmarks_measured():
    """Of a U-Net on CAMUS's validation patients: the mean Dice of the newest measurement, and its seconds."""
    rows = [row for row in json.loads(RESULTS.read_text()) if row["name"] == "time_to_dice"]
    for name in ("class",):
        profile = PROFILES[name]
        newest = [row for row in rows if row["case"].startswith(f"{name}_unet,")][-1]["ends"][f"{name}_unet"]
        ends = [re.fullmatch(r"Dice ([\d.]+) after ([\d.]+) s", end).groups() for end in newest]
        dice, seconds = (statistics.mean(map(float, values)) for values in zip(*ends, strict=True))
        assert profile.dice == pytest.approx(dice, abs=0.001)
        assert profile.seconds == pytest.approx(seconds, rel=0.05)
