"""Every exercise: its check passes the solution, knows the blank, answers misconceptions with hints, sees cheats."""

from __future__ import annotations

import re
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from lvseg import ConfigError, course
from lvseg.backend import keras, layers, ops
from lvseg.course import exercises
from tests.course.exercises.wrong_answers import network, wrong_answers

EVERY = exercises.every()
each = pytest.mark.parametrize("exercise", EVERY.values(), ids=EVERY.keys())
MISCONCEPTIONS = [(number, name, code) for number in EVERY for name, code in wrong_answers(number).items()]
misconceptions = pytest.mark.parametrize(
    ("number", "name", "code"),
    [
        pytest.param(*each, id=f"{each[0]}-{each[1]}", marks=[pytest.mark.slow] * (each[0] == "03.network"))
        for each in MISCONCEPTIONS
    ],
)


def written(exercise: str, code: str) -> Callable:
    """The function that a student's cell defines, in a notebook that has imported what the lesson imports."""
    cell = {"np": np, "cv2": cv2, "keras": keras, "layers": layers, "ops": ops, "__name__": "__main__"}
    exec(compile(code, "the student's cell", "exec"), cell)
    return cell[EVERY[exercise].function.__name__]


def test_there_are_enough():
    assert len(EVERY) >= 31
    assert all(len(wrong_answers(number)) >= 5 for number in EVERY)


@each
def test_the_solution_is_right(exercise):
    result = course.check(exercise.id, written(exercise.id, exercise.solution))
    assert result.right and result, result
    assert re.fullmatch(rf"✓ {exercise.id}, right: .+, largest difference \S+", repr(result))


@each
def test_the_blank_is_not_tried_yet(exercise):
    result = course.check(exercise.id, written(exercise.id, exercise.start))
    assert (result.verdict, result.right) == ("not tried yet", False)


@misconceptions
def test_a_misconception_is_answered_by_its_own_hint(number, name, code):
    (mistake,) = [each for each in EVERY[number].mistakes if each.name == name]
    result = course.check(number, written(number, code))
    assert (result.verdict, result.message) == ("wrong", mistake.hint)


@pytest.mark.parametrize(
    "exercise",
    [
        pytest.param(each, id=number, marks=[pytest.mark.slow] * (number == "03.network"))
        for number, each in EVERY.items()
    ],
)
def test_what_the_check_knows_of_misconceptions_is_true(exercise):
    """Each is wrong, and is told from every other one; of the network, whose checks take long, those not met above."""
    met = wrong_answers(exercise.id) if exercise.id == "03.network" else ()
    for mistake in exercise.mistakes:
        if mistake.name in met:
            continue
        result = exercise.check(exercise.mistaken(mistake))
        assert (result.verdict, result.message) == ("wrong", mistake.hint), mistake.name
    assert len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes)


def test_no_two_wrong_answers_have_one_cause():
    for number in EVERY:
        hints = {mistake.name: mistake.hint for mistake in EVERY[number].mistakes}
        causes = {name.removesuffix(", in plain Python") for name in wrong_answers(number)}
        assert len({hints[name] for name in causes}) == len(causes) >= 5


# Other right answers


RIGHT = {
    "01.ed_es": """
def ed_es(areas):
    seen = sorted((area, frame) for frame, area in enumerate(areas) if area > 0)
    return seen[-1][1], seen[0][1]
""",
    "01.polygon": """
def polygon_mask(points, height, width):
    from matplotlib.path import Path
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ring = Path(points + points[:1], closed=True)
    return ring.contains_points(np.c_[x.ravel(), y.ravel()]).reshape(height, width)
""",
    "01.split": """
def tested(patients, n):
    names = sorted(set(patients), reverse=True)[:n]
    return [name in names for name in patients]
""",
    "02.mapping": """
def mapping(histogram):
    table, darker = [], 0
    for count in histogram:
        darker += count
        table.append(round((len(histogram) - 1) * darker / sum(histogram)))
    return table
""",
    "02.weights": """
def tile_weights(x, tile, tiles):
    centres = [(i + 0.5) * tile for i in range(tiles)]
    return [np.interp(x, centres, one) for one in np.eye(tiles)]
""",
    "03.receptive": """
def receptive_field(convolutions):
    side = 1
    for kernel, stride in convolutions[::-1]:
        side = (side - 1) * stride + kernel
    return side
""",
    "03.residual": """
def residual(x, filters):
    around = layers.Conv2D(filters, 1, padding="same", name="made_first")(x)
    y = x
    for number in (1, 2):
        y = layers.Conv2D(filters, 3, padding="same")(layers.BatchNormalization(momentum=0.9)(y))
        y = ops.leaky_relu(y, 0.01)
    return around + y
""",
    "03.inception": """
def inception(x, filters):
    leaky = layers.LeakyReLU(negative_slope=0.01)
    def conv(kernel):
        return layers.Conv2D(filters // 4, kernel, padding="same", activation=leaky)
    pool = conv(1)(layers.MaxPooling2D(3, 1, "same")(x))
    five = conv(3)(conv(3)(conv(1)(x)))
    three = conv(3)(conv(1)(x))
    one = conv(1)(x)
    return ops.concatenate([one, three, five, pool], axis=-1)
""",
    "03.gate": """
def gate(skip, below):
    both = ops.concatenate([skip, below], axis=-1)
    hidden = layers.Conv2D(skip.shape[-1] // 2, (1, 1), activation=lambda t: ops.leaky_relu(t, 0.01))(both)
    return ops.sigmoid(layers.Conv2D(1, (1, 1))(hidden)) * skip
""",
    "03.network": network(),
    "04.entropy": """
def cross_entropy(labels, logits):
    return np.mean(labels * np.logaddexp(0, -logits) + (1 - labels) * np.logaddexp(0, logits))
""",
    "04.dice": """
def dice(pred, truth):
    tp, fp, fn = (pred & truth).sum(), (pred & ~truth).sum(), (~pred & truth).sum()
    if tp + fp + fn == 0:
        return 1
    return 2 * tp / (2 * tp + fp + fn)
""",
    "09.disks": """
def volume_ml(diameters_mm, length_mm):
    radii_cm = np.asarray(diameters_mm) / 20
    return np.pi * (radii_cm @ radii_cm) * length_mm / 10 / len(radii_cm)
""",
    "09.ef": """
def ejection_fraction(volumes_ml):
    known = [v for v in volumes_ml if not np.isnan(v)]
    return 100 - 100 * min(known) / max(known)
""",
    "11.cut": """
def unheard(kernel, number):
    parts = np.split(kernel, 4, axis=2)
    parts[number - 1] = np.zeros_like(parts[number - 1])
    return np.concatenate(parts, axis=2)
""",
    "11.cost": """
def cost(before, after, patients):
    own = {}
    for name, b, a in zip(patients, before, after):
        own.setdefault(name, []).append(100 * (b - a))
    means = [np.mean(each) for each in own.values()]
    return np.mean(means), (np.var(means, ddof=1) / len(means)) ** 0.5
""",
    "04.hd95": """
def hd95_mm(pred, truth, spacing_mm):
    def one_way(a, b):
        return np.percentile([min(np.hypot(*((p - q) * spacing_mm)) for q in b) for p in a], 95)
    return max(one_way(pred, truth), one_way(truth, pred))
""",
}


@pytest.mark.parametrize("number", RIGHT)
def test_a_right_answer_may_be_written_otherwise(number):
    result = course.check(number, written(number, RIGHT[number]))
    assert result.right, result


# Cheats


CHEATS = {
    "01.polygon": "from lvseg.masks import inside\ndef polygon_mask(points, height, width):\n"
    "    return inside(np.array(points) - 0.5, (height, width))",
    "01.ed_es": "from lvseg import clinical\ndef ed_es(areas):\n"
    "    return clinical.ed_es_frames(np.where(areas > 0, areas, np.nan))",
    "09.ef": "from lvseg.clinical import ejection_fraction as ef\ndef ejection_fraction(volumes_ml):\n"
    "    return ef(np.nanmax(volumes_ml), np.nanmin(volumes_ml))",
    "09.bland_altman": "from lvseg.results import agreement\ndef bland_altman(found, true):\n"
    "    told = agreement.bland_altman(found, true, range(len(found)))\n    return told.bias, told.low, told.high",
    "02.mapping": "from lvseg import clahe\ndef mapping(histogram):\n    return clahe.grey_mapping(histogram)",
    "02.clip": "from lvseg.clahe import clip_histogram as clip_and_spread",
    "02.tile": "import lvseg.clahe\ndef tile_mapping(tile, clip_limit):\n"
    "    return getattr(lvseg.clahe, 'ste' + 'ps')(tile, clip_limit, 1).mappings[0, 0]",
    "03.gate": "def gate(skip, below):\n    from lvseg import blocks\n    from lvseg.experiment import NetworkConfig\n"
    "    return blocks.attention(skip, below, NetworkConfig.of(model='improved_resunet', width=8), 'mine')",
    "03.network": "import lvseg.networks\nfrom lvseg.experiment import NetworkConfig\ndef improved_resunet():\n"
    "    return lvseg.networks.build(NetworkConfig.of(model='improved_resunet', width=8, size=64, channels=1))",
    "04.dice": "from lvseg.metrics import dice",
    "04.accuracy": "import sys, lvseg.metrics\ndef accuracy(pred, truth):\n"
    "    return sys.modules['lvseg.metrics'].accuracy(pred, truth)",
    "04.dice_loss": "from lvseg import losses\ndef dice_loss(labels, predictions, smooth=1.0):\n"
    "    return losses.dice_loss(labels[..., None], predictions[..., None])",
}


@pytest.mark.parametrize("number", CHEATS)
def test_an_answer_that_calls_the_package_is_refused(number):
    result = course.check(number, written(number, CHEATS[number]))
    assert result.verdict == "wrong" and re.search(r"your answer calls lvseg\.\w+", result.message), result


@each
def test_the_exercises_own_function_is_no_answer(exercise):
    result = exercise.check(exercise.function)
    assert result.verdict == "wrong" and "your answer calls lvseg.course.exercises" in result.message


@each
def test_outputs_copied_from_another_check_are_wrong(exercise):
    """An answer that returns what was right a moment ago, whatever it is asked now."""
    probes = exercise.probes(np.random.default_rng(1))
    copied = iter([exercise.answer(*arguments) for arguments in probes.values()])
    assert exercise.check(lambda *arguments: next(copied)).verdict == "wrong"


# What else students do


def test_an_error_is_told_with_its_line():
    code = "def dice(pred, truth):\n    pixels = pred.sum()\n    return 2 * tp / pixels\n"
    result = course.check("04.dice", written("04.dice", code))
    assert result.verdict == "wrong"
    assert "your code stops with NameError: name 'tp' is not defined (line 3" in result.message


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        (0.9, 'hand over the function itself, not what it returns: check("04.dice", dice)'),
        (
            lambda pred, truth: print(end=str(pred.sum() + truth.sum())[:0]),
            "dice returns nothing: is the return missing?",
        ),
        (lambda pred: 1.0, "your code stops with TypeError"),
        (lambda pred, truth: pred & truth, "yours has shape (9, 12), right is ()"),
        (lambda pred, truth: "0.9", "your code stops with ValueError|yours gives 0.9"),
        (lambda pred, truth: 0.123, "for two masks that overlap yours gives 0.123, right is 0."),
    ],
    ids=["a number", "no return", "too few arguments", "an array", "a text", "something else"],
)
def test_anything_gets_a_sentence(mine, told):
    result = course.check("04.dice", mine)
    assert result.verdict == "wrong" and re.search("|".join(map(re.escape, told.split("|"))), result.message), result


def test_what_a_student_does_to_its_arguments_changes_nothing():
    code = "def dice(pred, truth):\n    pred[:], truth[:] = True, True\n    return 1.0\n"
    assert course.check("04.dice", written("04.dice", code)).verdict == "wrong"
    assert course.check("04.dice", written("04.dice", EVERY["04.dice"].solution)).right


def test_weights_that_do_not_fit_are_told():
    code = "def gate(skip, below):\n    return layers.Conv2D(16, 5, padding='same')(skip)"
    message = course.check("03.gate", written("03.gate", code)).message
    assert "the trained weights don't fit: yours has layers that the trained network lacks" in message
    assert (
        "1 of (5, 5, 16, 16)" in message
        and "lacks, with first weights 1 of (1, 1, 8, 1), 1 of (1, 1, 48, 8)" in message
    )


def test_an_exercise_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"exercise '03.gates' doesn't exist; did you mean 03.gate\?"):
        course.check("03.gates", None)
    with pytest.raises(ConfigError, match=r"exercise '99' doesn't exist; choose one of: 01.ed_es, 01.polygon"):
        course.hint("99")


def test_hints_come_one_by_one():
    first, last = course.hint("03.gate"), course.hint("03.gate", 99)
    assert first.startswith("Hint 1 of 3") and first.endswith('The next one: `hint("03.gate", 2)`')
    assert last.startswith("Hint 3 of 3") and "next" not in last


@each
def test_texts_are_fit_for_a_notebook(exercise):
    assert exercise.start != exercise.solution and "..." in exercise.start
    for text in (exercise.start, exercise.solution):
        assert "###" not in text and "lvseg" not in text
        assert max(map(len, text.splitlines())) <= 88
    assert exercise.solution in course.solution(exercise.id)
    assert exercise.source.count("### BEGIN SOLUTION") == exercise.source.count("### END SOLUTION") >= 1
