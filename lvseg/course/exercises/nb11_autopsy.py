"""Notebook 11: a gate forced to a constant, a branch that isn't heard, a fair stand-in, what a cut costs by patient."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from lvseg.course.exercises.exercise import Exercise, Mistake, Probes


def gated(skip, logits, forced=None):
    """What an attention gate passes on; with `forced`, every weight is that number.

    skip: float array (height, width, channels). logits: any real numbers, float array
    (height, width, 1); a weight is 1 / (1 + exp(-logit)). forced: None, or a number
    from 0 (shut) to 1 (open). Returns a float array of the skip's shape.
    """
    ### BEGIN SOLUTION
    weight = 1 / (1 + np.exp(-logits)) if forced is None else forced
    return skip * weight
    ### END SOLUTION


def _gated(skip: np.ndarray, logits: np.ndarray, forced: float | None = None) -> np.ndarray:
    weights = special.expit(logits) if forced is None else np.full_like(logits, forced)
    return np.einsum("hwc,hw->hwc", skip, weights[..., 0])


def _skips(random: np.random.Generator) -> Probes:
    skip, logits = random.normal(size=(5, 6, 4)), random.normal(size=(5, 6, 1))
    return {
        "a gate left alone": (skip, logits),
        "a gate forced open": (skip, logits, 1.0),
        "a gate forced shut": (skip, logits, 0.0),
        "a gate forced to 0.3": (skip, logits, 0.3),
    }


_WEIGHT = "weight = 1 / (1 + np.exp(-logits)) if forced is None else forced"

GATE = Exercise(
    "11.gate",
    "Write the end of an attention gate, with a switch that forces its weight to a constant.",
    gated,
    "what yours passes on and what it should, with the gate free, open, shut and at 0.3",
    answer=_gated,
    probes=_skips,
    mistakes=(
        Mistake(
            "0 taken for no number",
            {_WEIGHT: "weight = forced or 1 / (1 + np.exp(-logits))"},
            "right, but for a gate forced shut: Python takes 0 for False, so it stays free. Ask `forced is None`.",
        ),
        Mistake(
            "forced before the sigmoid",
            {_WEIGHT: "weight = 1 / (1 + np.exp(-(logits if forced is None else forced + 0 * logits)))"},
            "you force the logit: the sigmoid of 1 is 0.73, and that of 0 is one half. Force the weight, behind the "
            "sigmoid.",
        ),
        Mistake(
            "forced on top of the gate",
            {_WEIGHT: "weight = 1 / (1 + np.exp(-logits)) * (1 if forced is None else forced)"},
            "you multiply by the gate's own weight too, so that forcing it to 1 changes nothing. The constant takes "
            "the weight's place.",
        ),
        Mistake(
            "sigmoid forgotten",
            {"1 / (1 + np.exp(-logits))": "logits"},
            "left alone, your gate multiplies by the logits: weights below 0 and above 1. The sigmoid is missing.",
        ),
        Mistake(
            "skip added once more",
            {"return skip * weight": "return skip + skip * weight"},
            "a gate forced shut must pass nothing; yours passes the skip all the same. Multiply, add nothing.",
        ),
        Mistake(
            "a weight cut at one half",
            {"return skip * weight": "return skip * (np.asarray(weight) > 0.5)"},
            "your weights are 0 or 1. A gate's weight is any number between them.",
        ),
        Mistake(
            "sign turned",
            {"np.exp(-logits)": "np.exp(logits)"},
            "left alone, your gate is open where it should be shut: the sigmoid has exp(-logit).",
        ),
    ),
    hints=(
        "Two cases: where `forced` is None the weight is the sigmoid of the logits, else it is `forced`.",
        "`skip * weight` multiplies every channel of a pixel by that pixel's weight.",
    ),
)


def unheard(kernel, number):
    """The kernel of the convolution behind an Inception module, deaf to one branch.

    kernel: float array (height, width, channels in, channels out). Its channels in
    are those of four branches, one branch after another, a quarter each. number:
    which branch, 1 to 4. Returns a new kernel of the same shape.
    """
    ### BEGIN SOLUTION
    quarter = kernel.shape[2] // 4
    cut = kernel.copy()
    cut[:, :, (number - 1) * quarter : number * quarter] = 0
    return cut
    ### END SOLUTION


def _unheard(kernel: np.ndarray, number: int) -> np.ndarray:
    heard = np.repeat(np.arange(1, 5) != number, kernel.shape[2] // 4)
    return np.einsum("hwio,i->hwio", kernel, heard)


def _kernels(random: np.random.Generator) -> Probes:
    return {f"branch {number}": (random.normal(size=(3, 3, 16, 16)), number) for number in (1, 2, 4)}


_SLICE = "cut[:, :, (number - 1) * quarter : number * quarter] = 0"

CUT = Exercise(
    "11.cut",
    "Cut a branch where it is heard: in the kernel of the convolution behind the Inception module.",
    unheard,
    "your kernels and those with the branch's channels at 0, of random kernels",
    answer=_unheard,
    probes=_kernels,
    mistakes=(
        Mistake(
            "counted from 0",
            {_SLICE: "cut[:, :, number * quarter : (number + 1) * quarter] = 0"},
            "you cut the branch after the one that was asked for. Branches count from 1, indices from 0.",
        ),
        Mistake(
            "channels out",
            {_SLICE: "cut[:, :, :, (number - 1) * quarter : number * quarter] = 0"},
            "you silence channels that the convolution puts out. The branch comes in: the third axis.",
        ),
        Mistake(
            "everything else cut",
            {"cut = kernel.copy()": "cut = 0 * kernel", _SLICE: _SLICE.replace("= 0", "= kernel[:, :, "
             "(number - 1) * quarter : number * quarter]")},
            "yours hears this branch alone. It should hear the other three.",
        ),
        Mistake(
            "every fourth channel",
            {_SLICE: "cut[:, :, number - 1 :: 4] = 0"},
            "you cut every fourth channel. The branches are joined one after another, not shuffled.",
        ),
        Mistake(
            "one channel only",
            {_SLICE: "cut[:, :, number - 1] = 0"},
            "you cut one channel. A branch has a quarter of the channels in.",
        ),
        Mistake(
            "all branches up to it",
            {_SLICE: "cut[:, :, : number * quarter] = 0"},
            "you cut the branches before it too: start at (number - 1) * quarter.",
        ),
        Mistake(
            "taken out instead of silenced",
            {_SLICE: "cut = np.delete(cut, np.s_[(number - 1) * quarter : number * quarter], axis=2)"},
            "your kernel has fewer channels in and no longer fits the network. Keep its shape; put zeros there.",
        ),
    ),
    hints=(
        "A branch has `kernel.shape[2] // 4` channels, and they stand side by side.",
        "Branch 1 is `kernel[:, :, :quarter]`. A channel whose kernel is 0 isn't heard.",
        "Work on `kernel.copy()`, or the network you were handed is changed.",
    ),
)  # fmt: skip


def stand_in(maps, reference):
    """A constant per channel in the place of a layer's maps: its mean on other frames.

    maps: float array (frames, height, width, channels), the maps to be replaced.
    reference: the same layer's maps of other frames, of any number. Returns a float
    array of the shape of `maps`: in a channel, one number everywhere.
    """
    ### BEGIN SOLUTION
    return np.zeros_like(maps) + reference.mean(axis=(0, 1, 2))
    ### END SOLUTION


def _stand_in(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    channels = [np.full(maps.shape[:3], np.average(reference[..., c])) for c in range(maps.shape[-1])]
    return np.stack(channels, axis=-1)


def _maps(random: np.random.Generator) -> Probes:
    level = random.normal(1, 1, 4)
    return {
        "random maps": (
            random.normal(level, 1, (3, 5, 6, 4)),
            random.exponential(1, (7, 5, 6, 4)) + level + random.normal(size=(7, 1, 1, 1)),
        )
    }


_MEAN = "reference.mean(axis=(0, 1, 2))"

MEAN = Exercise(
    "11.mean",
    "Replace a layer's maps by what they are on average: a fair stand-in, which keeps the level and nothing else.",
    stand_in,
    "your maps and each channel's mean over the reference frames",
    answer=_stand_in,
    probes=_maps,
    mistakes=(
        Mistake(
            "one mean for all channels",
            {_MEAN: "reference.mean()"},
            "you give every channel the same number. Each channel has a level of its own: average over frames, rows "
            "and columns only.",
        ),
        Mistake(
            "each pixel's mean",
            {_MEAN: "reference.mean(axis=0)"},
            "you average over the frames only. What is left is a mean picture, which still says where a heart mostly "
            "lies.",
        ),
        Mistake(
            "each frame's own mean",
            {_MEAN: "maps.mean(axis=(1, 2), keepdims=True)"},
            "you keep each frame's own level, so that something of the frame gets through. Take the reference frames.",
        ),
        Mistake(
            "mean of the maps themselves",
            {_MEAN: "maps.mean(axis=(0, 1, 2))"},
            "you average the maps that are to be replaced. The constant should come from other frames, or it knows "
            "those it is tested on.",
        ),
        Mistake(
            "zeros",
            {" + " + _MEAN: ""},
            "zeros are a level that the layers behind have perhaps never seen, so a bad score says little. Take the "
            "mean.",
        ),
        Mistake(
            "median instead of mean",
            {_MEAN: "np.median(reference, axis=(0, 1, 2))"},
            "that is the median. Maps behind LeakyReLU are far from symmetric, and their sum is what the next "
            "convolution weighs: take the mean.",
        ),
    ),
    hints=(
        "`reference.mean(axis=(0, 1, 2))` has one number per channel.",
        "Broadcast it: `np.zeros_like(maps) + ...` has the shape that is asked for.",
    ),
)


def cost(before, after, patients):
    """What a cut costs, and how surely: mean and standard error, in points of Dice.

    before, after: Dice (0..1) of the same frames, float arrays (frames,). patients:
    each frame's patient, array of text (frames,). A patient's cost is the mean over
    own frames of 100 * (before - after). Returns the mean over patients and its
    standard error: the patients' standard deviation (n - 1) over the root of n.
    """
    ### BEGIN SOLUTION
    lost = 100 * (before - after)
    own = np.array([lost[patients == each].mean() for each in np.unique(patients)])
    return own.mean(), own.std(ddof=1) / np.sqrt(len(own))
    ### END SOLUTION


def _cost(before: np.ndarray, after: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    names, patient = np.unique(patients, return_inverse=True)
    own = [np.average(before[patient == i] - after[patient == i]) * 100 for i in range(len(names))]
    return float(np.average(own)), float(stats.sem(own))


def _scores(random: np.random.Generator) -> Probes:
    frames = np.array([3, 5, 2, 4, 7])
    patients = np.repeat([f"p{number}" for number in range(5)], frames)
    heart = np.repeat(random.normal(0.88, 0.05, 5), frames)
    before = heart + random.normal(0, 0.01, frames.sum())
    after = before - np.repeat(random.normal(0.03, 0.04, 5), frames) - random.normal(0, 0.005, frames.sum())
    return {"21 frames of five patients": (before, after, patients)}


_OWN = "np.array([lost[patients == each].mean() for each in np.unique(patients)])"

COST = Exercise(
    "11.cost",
    "Say what a cut costs, with a standard error that doesn't take frames of one heart for independent.",
    cost,
    "your mean and standard error and SciPy's of the patients' means",
    answer=_cost,
    probes=_scores,
    mistakes=(
        Mistake(
            "frames taken for patients",
            {_OWN: "lost"},
            "you count frames. Frames of one heart resemble each other: average each patient's first, then count "
            "patients.",
        ),
        Mistake(
            "not paired",
            {
                "lost = 100 * (before - after)\n": "ids = np.unique(patients)\n"
                "    b = np.array([100 * before[patients == each].mean() for each in ids])\n"
                "    a = np.array([100 * after[patients == each].mean() for each in ids])\n",
                "own = " + _OWN: "error = np.sqrt((b.var(ddof=1) + a.var(ddof=1)) / len(ids))",
                "return own.mean(), own.std(ddof=1) / np.sqrt(len(own))": "return b.mean() - a.mean(), error",
            },
            "you treat before and after as two groups of hearts. They are the same hearts: take each one's difference "
            "first, then easy and difficult hearts cancel.",
        ),
        Mistake(
            "deviation instead of error",
            {" / np.sqrt(len(own))": ""},
            "that is how much patients differ. The mean of n patients is surer: divide by the root of n.",
        ),
        Mistake(
            "divided by n",
            {"np.sqrt(len(own))": "len(own)"},
            "you divide by n. A mean's standard error falls with the root of n.",
        ),
        Mistake(
            "n instead of n - 1",
            {"ddof=1": "ddof=0"},
            "your deviation divides by n. NumPy does unless it is told `ddof=1`; of few patients that is too small.",
        ),
        Mistake(
            "gain instead of cost",
            {"(before - after)": "(after - before)"},
            "your sign is turned: what a cut takes away is before minus after.",
        ),
        Mistake(
            "a share instead of points",
            {"100 * (before": "(before"},
            "yours is 100 times too small: points of Dice are percent.",
        ),
        Mistake(
            "sums instead of means",
            {"[patients == each].mean()": "[patients == each].sum()"},
            "you add up a patient's frames, so that one with many frames counts more. Take the patient's mean.",
        ),
    ),
    hints=(
        "The difference of each frame first; then each patient's mean; then mean and deviation of those.",
        "`np.unique(patients)` lists the patients, `lost[patients == each]` has one's frames.",
        "`own.std(ddof=1) / np.sqrt(len(own))` is the standard error.",
    ),
)

EXERCISES = (GATE, COST, MEAN, CUT)
