"""What notebooks show while it changes: a learning network's scores, worked by hand; pictures with sliders."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import ipywidgets
import numpy as np
import pandas as pd
import pytest

from lvseg.course import live
from lvseg.experiment import Experiment
from lvseg.readers import Frame, Pixels

EXPERIMENT = Experiment.of_profile("smoke", size=16, epochs=4)


def frame(name: str, columns: int) -> Frame:
    """40 x 80 pixels whose first `columns` columns are the LV."""
    image = np.random.default_rng(0).integers(0, 255, (40, 80), dtype=np.uint8)
    return Frame(name, name, lambda: Pixels(image, np.arange(80) < np.full((40, 1), columns), (0.5, 0.5)))


def network(columns: int) -> SimpleNamespace:
    """Finds the LV in the first `columns` of its 16 columns, whatever it sees."""
    found = np.broadcast_to(np.arange(16) < columns, (16, 16))[..., None].astype(np.float32)
    return SimpleNamespace(predict_on_batch=lambda images: np.stack([found] * len(images)))


@pytest.fixture
def shown(monkeypatch) -> list:
    """What was shown: (place, figure), the curves at 0, the outlines at 1."""
    shown: list = []
    places = iter(range(2))

    def display(*, display_id):
        place = next(places)
        return SimpleNamespace(update=lambda figure: shown.append((place, figure)))

    monkeypatch.setattr(live, "display", display)
    return shown


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": epoch, "loss": 1 / epoch, "seconds": 1.0} for epoch in range(1, epochs + 1)]


def test_every_epoch_is_scored_and_the_last_one_drawn(shown, monkeypatch):
    """Half of the columns found. Of a frame with 40 of 80: Dice 1; with 20: 2 x 20 / (40 + 20)."""
    clock = iter([10.0, 12.0, 12.0, 13.0, 80.0, 81.0, 81.0, 82.0, 83.0, 83.0])  # drawing takes 2 s, then 1 s
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    watch = live.Watch(EXPERIMENT, [frame("half", 40), frame("quarter", 20)])
    drawn = []
    for epoch, columns in enumerate((8, 0, 8, 8), start=1):
        watch(network(columns), history(epoch))
        drawn.append(len(shown))
    both = (1 + 40 / 60) / 2
    assert watch.dice == [(1, pytest.approx(both)), (2, 0), (3, pytest.approx(both)), (4, pytest.approx(both))]
    assert drawn == [2, 2, 4, 6]  # at 13 s it isn't due, at 80 s it is; the last epoch always
    assert [place for place, _ in shown] == [0, 1] * 3
    loss, dice = shown[-2][1].axes
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [(n, 1 / n) for n in (1, 2, 3, 4)])
    np.testing.assert_allclose(dice.lines[0].get_xydata(), watch.dice)
    assert [axes.get_title() for axes in shown[-1][1].axes[:2]] == ["epoch 4, Dice 1.00", "epoch 4, Dice 0.67"]


def test_a_run_that_was_finished_before_shows_its_loss(shown):
    live.Watch(EXPERIMENT, [frame("half", 40)]).draw_curves(pd.DataFrame(history(3)))
    ((place, figure),) = shown
    (loss,) = figure.axes
    assert place == 0 and loss.get_ylabel().startswith("training loss")


def test_where_nobody_is_watched_it_says_so_and_draws_the_loss(shown, capsys):
    watch = live.Watch(EXPERIMENT, [])
    watch(network(8), history(4))
    ((place, figure),) = shown
    assert "No patients are watched" in capsys.readouterr().out and watch.dice == []
    assert place == 0 and len(figure.axes) == 1


IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)


@pytest.mark.parametrize(
    "box", [live.clahe_explorer(IMAGE), live.threshold_explorer(IMAGE, IMAGE / 255.0)], ids=["clahe", "threshold"]
)
def test_a_moved_slider_redraws_the_picture_beside_it(box):
    assert isinstance(box, ipywidgets.HBox)
    sliders, picture = box.children
    assert isinstance(picture, ipywidgets.Image)
    for slider in sliders.children:
        before = cv2.imdecode(np.frombuffer(picture.value, np.uint8), cv2.IMREAD_COLOR)
        slider.value = slider.max
        after = cv2.imdecode(np.frombuffer(picture.value, np.uint8), cv2.IMREAD_COLOR)
        assert before.shape == after.shape and (before != after).any()
