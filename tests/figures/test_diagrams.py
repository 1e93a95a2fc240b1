"""Diagrams drawn from the built network's graph: every box and arrow is a layer's, and no word leaves its box."""

from __future__ import annotations

import itertools

import pytest

from lvseg import paper
from lvseg.figures import diagrams
from tests.small_networks import SMALL, built


def test_fig5_is_drawn_from_the_graph():
    boxes = {box.name: box for box in diagrams.block_diagram(built(model="improved_resunet", **SMALL), 2)}
    down = [box.label for box in boxes.values() if box.column == 0]
    assert down == [
        "ResBlock (1)\n32 × 32 × 4", *2 * ["BN", "3x3 conv", "LeakyReLU"],
        "addition", "Inception module", "3x3 conv, stride 2", "ResBlock (2)\n16 × 16 × 8",
    ]  # fmt: skip
    assert set(boxes["resblock_2_add"].inputs) == {"resblock_2_2_activation", "resblock_2_shortcut"}
    assert boxes["resblock_2_shortcut"].inputs == ("resblock_1",)
    assert [box.name for box in boxes.values() if box.column == 1] == ["resblock_2_shortcut"]

    boxes = {box.name: box for box in diagrams.block_diagram(built(model="resunet", **SMALL), 6)}
    assert boxes["upsampling_6"].inputs == ("resblock_5",)
    assert set(boxes["resblock_6_join"].inputs) == {"upsampling_6", "resblock_4"}
    labels = {box.label for box in boxes.values()}
    assert "ReLU" in labels and not labels & {"Inception module", "LeakyReLU"}


def test_the_whole_network_is_drawn_from_the_graph(full):
    boxes = diagrams.network_diagram(full)
    labels = [box.label for box in boxes if not box.name.startswith(("image", "attention", "probability"))]
    assert sorted(labels) == sorted(f"{row.name}\n{' × '.join(map(str, row.output))}" for row in paper.TABLE_1)
    by_name = {box.name: box for box in boxes}
    for number in (6, 7, 8, 9):
        skip = f"resblock_{10 - number}"
        assert set(by_name[f"attention_{number}"].inputs) == {skip, f"upsampling_{number}"}
        assert set(by_name[f"resblock_{number}"].inputs) == {f"attention_{number}", f"upsampling_{number}"}
        assert by_name[skip].row == by_name[f"attention_{number}"].row == by_name[f"resblock_{number}"].row
        assert by_name[f"upsampling_{number}"].inputs == (f"resblock_{number - 1}",)


DRAWN = [
    {"model": "improved_resunet"}, {"model": "unet"}, {"model": "resunet", "wiring": "two_convolutions"},
    {"wiring": "preactivation", "skip": "add", "attention": "cbam", "inception": "encoder_decoder"},
    {"wiring": "postactivation", "upsampling": "transposed", "attention": "squeeze_excitation"},
]  # fmt: skip


@pytest.mark.parametrize("choices", DRAWN, ids=str)
def test_no_box_of_a_figure_hides_another(choices):
    network = built(**SMALL | choices)
    for boxes in (diagrams.network_diagram(network), *(diagrams.block_diagram(network, n) for n in range(1, 10))):
        places = sorted((box.column, box.row) for box in boxes)
        assert all(a[0] != b[0] or b[1] - a[1] >= 1 for a, b in itertools.pairwise(places))
        assert {name for box in boxes for name in box.inputs} <= {box.name for box in boxes}


def test_every_word_of_a_figure_lies_in_its_box(full):
    blocks_drawn = diagrams.fig5({f"ResBlock ({n})": diagrams.block_diagram(full, n) for n in (2, 6)})
    for figure in (blocks_drawn, diagrams.u_shape(diagrams.network_diagram(full))):
        figure.png()
        boxes = [patch.get_window_extent() for axes in figure.axes for patch in axes.patches if patch.get_zorder() == 2]
        texts = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
        assert len(texts) == len(boxes) > 10
        for text, box in zip(texts, boxes, strict=True):
            assert box.x0 < text.x0 < text.x1 < box.x1 and box.y0 < text.y0 < text.y1 < box.y1
