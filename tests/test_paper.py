"""The paper's numbers agree among themselves, and every question that it leaves open has a switch that exists."""

from __future__ import annotations

import math

import pytest

from lvseg import paper
from lvseg.experiment import Experiment


def test_the_abstracts_gains_are_table_2s_differences():
    """The proposed method's score less the other's, to the fourth digit in which they are printed."""
    assert len(paper.ABSTRACT_GAINS) == 4
    for (method, score), gain in paper.ABSTRACT_GAINS.items():
        found = paper.TABLE_2["improved_resunet"][score] - paper.TABLE_2[method][score]
        assert found == pytest.approx(gain, abs=1e-9), (method, score)


def test_table_1_is_one_chain():
    """Each row takes what the one before gives; strides divide the sides, and an upsampling doubles them."""
    assert paper.TABLE_1[0].input == (256, 256, 3) and paper.TABLE_1[-1].output == (256, 256, 1)
    for before, after in zip(paper.TABLE_1, paper.TABLE_1[1:], strict=False):
        assert after.input == before.output, after
    for row in paper.TABLE_1:
        height, width, channels = row.input
        stride = math.prod(row.strides)
        if row.name == "upsampling":
            assert row.output == (height * stride, width * stride, channels), row
        else:
            assert row.output[:2] == (height // stride, width // stride), row
            assert len(row.kernels) in (0, len(row.strides)), row


def test_the_blocks_of_table_1_halve_and_double():
    """U-Net's widths: 64 channels, doubled by each block on the way down and halved on the way up."""
    widths = [row.output[2] for row in paper.TABLE_1 if row.name.startswith("ResBlock")]
    assert widths == [64, 128, 256, 512, 1024, 512, 256, 128, 64]


def test_every_open_question_has_a_switch_that_exists():
    assert list(paper.OPEN_QUESTIONS) == [f"U{number}" for number in range(1, 20)]
    switches = {name for asked in paper.OPEN_QUESTIONS.values() for name in asked.switch.split(", ") if name}
    assert len(switches) > 15 and switches <= set(Experiment.model_fields)


@pytest.mark.parametrize(("number", "switch"), [("U4", "slope"), ("U11", "batch"), ("U17", "threshold")])
def test_a_default_that_is_a_number_is_the_published_profiles(number, switch):
    published = Experiment.of_profile("paper", model="improved_resunet")
    assert float(paper.OPEN_QUESTIONS[number].default) == getattr(published, switch)
