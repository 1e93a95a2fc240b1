"""What the figures draw, read back from their axes: the numbers that they were given, or others' reading of them."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from lvseg import clahe, paper
from lvseg.figures import plots

IMAGE = np.minimum(np.random.default_rng(0).exponential(50, (64, 80)), 255).astype(np.uint8)
MASK = np.zeros(IMAGE.shape, bool)
MASK[20:40, 30:60] = True


def drawn_outlines(axes) -> list[np.ndarray]:
    """The points of every outline in the axes."""
    return [path.vertices for drawn in axes.collections for path in drawn.get_paths() if len(path.vertices)]


def test_an_outline_is_drawn_around_its_mask_and_where_there_is_one():
    """Halfway between the last pixel inside and the first one outside."""
    with_mask, without, empty = plots.outlined([IMAGE] * 3, [MASK, None, MASK & False], ["a", "b", "c"]).axes[:3]
    (outline,) = drawn_outlines(with_mask)
    assert (outline.min(0), outline.max(0)) == (pytest.approx([29.5, 19.5]), pytest.approx([59.5, 39.5]))
    assert drawn_outlines(without) == drawn_outlines(empty) == []
    assert [axes.get_title() for axes in (with_mask, without, empty)] == ["a", "b", "c"]


@pytest.mark.parametrize(("frames", "grid"), [(1, (1, 1)), (6, (1, 6)), (7, (2, 6))])
def test_six_frames_stand_in_a_row(frames, grid):
    figure = plots.outlined([IMAGE] * frames, [None] * frames, [str(number) for number in range(frames)])
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    assert sum(len(axes.images) for axes in figure.axes) == frames


def test_fig6_shows_opencvs_clahe_and_the_grey_levels_of_both():
    before, after, *histograms = plots.fig6(IMAGE, 2.0, 8).axes
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(IMAGE)
    np.testing.assert_array_equal(before.images[0].get_array(), IMAGE)
    np.testing.assert_array_equal(after.images[0].get_array(), expected)
    for axes, picture in zip(histograms, (IMAGE, expected), strict=True):
        assert sum(bar.get_height() for bar in axes.patches) == (IMAGE > 0).sum()
        np.testing.assert_array_equal(
            [bar.get_height() for bar in axes.patches], np.histogram(picture[IMAGE > 0], 64, (0, 256))[0]
        )


def test_the_steps_of_one_tile_are_that_tiles():
    taken_apart = clahe.steps(IMAGE, 2.0, (4, 5))
    tiled, histogram, mapping, result = plots.clahe_steps(taken_apart, (1, 3)).axes
    frame = tiled.patches[0]
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (3 * 16, 1 * 16, 16, 16)
    np.testing.assert_array_equal(histogram.lines[0].get_ydata(), taken_apart.histograms[1, 3])
    np.testing.assert_array_equal(histogram.lines[1].get_ydata(), taken_apart.clipped[1, 3])
    np.testing.assert_array_equal(mapping.lines[0].get_ydata(), taken_apart.mappings[1, 3])
    np.testing.assert_array_equal(result.images[0].get_array(), taken_apart.result)


def test_end_diastole_and_end_systole_stand_at_the_largest_and_the_smallest_area():
    (axes,) = plots.area_curve([20.0, 31.0, 25.0, 12.0, 19.0]).axes
    assert {text.get_text(): text.xy for text in axes.texts} == {"ED": (1, 31.0), "ES": (3, 12.0)}


def test_histograms_count_every_value_in_common_bins():
    values = {"few": [0.1, 0.9], "many": np.linspace(0, 1, 50)}
    (axes,) = plots.histograms(values, "Dice").axes
    bars = [list(drawn) for drawn in axes.containers]
    assert [sum(bar.get_height() for bar in drawn) for drawn in bars] == [2, 50]
    assert [bar.get_x() for bar in bars[0]] == [bar.get_x() for bar in bars[1]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["few", "many"]


def test_lines_are_the_numbers():
    (axes,) = plots.lines([1, 2, 4], {"a": [3, 5, 7], "b": [0, 1, 0]}, "x", "y").axes
    found = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert found == {"a": [[1, 3], [2, 5], [4, 7]], "b": [[1, 0], [2, 1], [4, 0]]}


def test_disks_are_stacked_along_the_axis_as_wide_as_the_mask():
    """A box 80 mm high, 15 mm wide, of pixels 1 x 0.5 mm: 20 level disks, 30 columns wide, 4 rows apart."""
    box = np.zeros((100, 60), bool)
    box[5:85, 10:40] = True
    (axes,) = plots.disks(box.astype(np.uint8), box, (1.0, 0.5)).axes
    axis, *stacked = (line.get_xydata() for line in axes.lines)
    assert axis == pytest.approx(np.array([[24.5, 4.5], [24.5, 84.5]]), abs=0.6)
    assert len(stacked) == 20
    assert np.ptp(stacked[9][:, 0]) == pytest.approx(30, abs=1.5) and np.ptp(stacked[9][:, 1]) < 0.5
    assert stacked[10][0, 1] - stacked[9][0, 1] == pytest.approx(4, abs=0.05)


def test_intervals_reach_from_low_to_high_row_by_row():
    (axes,) = plots.intervals({"first": (2.0, 1.0, 4.0), "second": (-1.0, -3.0, -0.5)}, "cost").axes
    bars = [segment.tolist() for segment in axes.collections[0].get_segments()]
    assert bars == [[[1, 0], [4, 0]], [[-3, 1], [-0.5, 1]]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert axes.yaxis_inverted()  # the first row on top


def test_each_seed_is_a_line_and_each_method_a_colour_and_a_name():
    seeds = [pd.DataFrame({"epoch": [1, 2], "loss": [1.0, loss]}) for loss in (0.5, 0.25)]
    (axes,) = plots.curves({"unet": seeds, "resunet": seeds[:1]}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 0.5], [1, 0.25], [1, 0.5]]
    assert [line.get_color() for line in axes.lines] == [plots.COLOURS[m] for m in ("unet", "unet", "resunet")]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["U-Net", "ResUNet"]


def test_a_bar_is_the_mean_of_the_frames_and_a_dot_that_of_a_patient():
    """Nine frames of one patient score 1, one of another 0: dots at 1 and 0, the bar at 0.9, the paper's beside it."""
    table = pd.DataFrame({"patient": ["p"] * 9 + ["q"], "dice": [1.0] * 9 + [0.0]})
    (axes,) = plots.dice_by_patient({"unet": table, "other": table}).axes
    dots, bar, *_ = axes.collections
    assert sorted(dots.get_offsets()[:, 1]) == [0, 1]
    assert bar.get_segments()[0][:, 1] == pytest.approx([0.9, 0.9])
    diamond, between, twice = axes.lines  # the paper has no other method
    assert diamond.get_ydata().tolist() == [paper.TABLE_2["unet"]["dice"]]
    assert_people_are_shown(axes, between, twice)


def assert_people_are_shown(axes, between, twice):
    """CAMUS's cardiologist against herself from 0.930 (ES) to 0.945 (ED), observers 0.899, a picture twice 0.958."""
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == (pytest.approx(0.930), pytest.approx(0.945))
    assert (set(between.get_ydata()), set(twice.get_ydata())) == ({0.899}, {0.958})
    labels = [drawn.get_label() for drawn in (band, between, twice)]
    assert labels == [
        "a cardiologist against herself 0.930-0.945", "between observers 0.899", "one picture outlined twice 0.958"
    ]  # fmt: skip


def test_people_stand_beside_the_dice_of_watched_frames_too():
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5]})
    _, axes = plots.curves({"unet": [history]}, [(1, 0.5), (2, 0.75)]).axes
    dice, *people = axes.lines
    assert dice.get_xydata().tolist() == [[1, 0.5], [2, 0.75]]
    assert_people_are_shown(axes, *people)


def test_bland_altman_shows_each_pair_the_bias_and_the_limits():
    pairs = {"EF": ([50, 62], [54, 60]), "area": ([1, 2], [1, 1])}
    ef, area = plots.bland_altman(pairs, {"EF": (-1.0, -9.3, 7.3), "area": (0.5, None, None)}).axes
    assert ef.collections[0].get_offsets().tolist() == [[52, -4], [61, 2]] and ef.get_title() == "EF"
    assert [set(line.get_ydata()) for line in ef.lines] == [{-1.0}, {-9.3}, {7.3}]
    assert [set(line.get_ydata()) for line in area.lines] == [{0.5}]
    assert plots.bland_altman({}, {}).axes[0].lines[:] == []  # nothing was measured


def test_fig7_has_the_label_around_each_methods_mask():
    moved = np.roll(MASK, 5, axis=1)
    figure = plots.fig7([(IMAGE, MASK, {"unet": moved, "resunet": MASK})] * 2, ["one", "two"])
    first, second = figure.axes[:4], figure.axes[4:]
    assert [axes.get_title() for axes in first] == ["(a) image\none", "(b) label", "(c) U-Net", "(d) ResUNet"]
    assert [axes.get_title() for axes in second] == ["two", "", "", ""]
    shown = [axes.images[0].get_array() for axes in first]
    for found, expected in zip(shown, (IMAGE, MASK * 255, moved * 255, MASK * 255), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [len(drawn_outlines(axes)) for axes in first] == [0, 0, 1, 1]
    np.testing.assert_array_equal(drawn_outlines(first[2])[0], drawn_outlines(first[3])[0])


def test_a_notebook_gets_a_figure_with_words_for_those_who_cannot_see_it():
    figure = plots.outlined([IMAGE] * 2, [None] * 2, ["before", "after"])
    formatted = DisplayFormatter().format
    assert formatted(figure)[1]["image/png"] == {"alt": "before; after"}
    data, metadata = formatted(figure.with_alt("Twice the same noise."))
    assert data["image/png"].startswith(b"\x89PNG") and metadata["image/png"] == {"alt": "Twice the same noise."}


def test_a_figure_is_a_png_of_its_own_size():
    picture = cv2.imdecode(np.frombuffer(plots.lines([0, 1], {"a": [0, 1]}, "x", "y").png(), np.uint8), 1)
    assert picture.shape[:2] == (3 * 90, 7 * 90)
