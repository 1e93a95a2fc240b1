"""A step's arithmetic: loss by SciPy, rate, mean of epochs, accumulated and divided batches, short activations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from lvseg import files, networks
from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.training import fit as fitting
from lvseg.training.fit import _side_by_side, optimizer_of
from tests.support import eagerly


def fit(
    arrays: prepared.Arrays, folder: Path, look: Callable = lambda network: None, compiled: bool = False, **changes
) -> tuple[keras.Model, list[float]]:
    """A few epochs of a tiny network without augmentation; the network and each epoch's loss.

    look: at the network after each epoch. compiled: as trainings usually are, instead of step by step.
    """
    choices = {"model": "unet", "size": 16, "epochs": 2, "augment": "none", "schedule": "constant", **changes}
    seen: list[float] = []

    def each_epoch(network: keras.Model, history: list[dict]) -> None:
        seen.append(history[-1]["loss"])
        look(network)

    with contextlib.nullcontext() if compiled else eagerly():
        experiment = Experiment.of_profile("smoke", **choices)
        return fitting.fit(arrays, experiment, folder, lambda line: None, each_epoch), seen


def test_no_frames_and_no_lv_are_sentences(ramp, tmp_path):
    with pytest.raises(DataError, match="there are no frames to train on"):
        fit(prepared.Arrays(ramp.image[:0], ramp.mask[:0]), tmp_path)
    with pytest.raises(DataError, match="not one of the 8 frames to train on shows any LV"):
        fit(prepared.Arrays(ramp.image, ramp.mask * 0), tmp_path)


@pytest.mark.slow
def test_fewer_frames_than_a_batch_and_a_rate_of_zero(ramp, tmp_path):
    """One frame is one step an epoch; at rate 0 every epoch has the same loss and the weights stay."""
    one = prepared.Arrays(ramp.image[:1], ramp.mask[:1])
    network, seen = fit(one, tmp_path, rate=0, epochs=3)
    assert len(seen) == 3 and seen[0] == seen[1] == seen[2]
    keras.utils.set_random_seed(0)
    fresh = networks.build(Experiment.of_profile("smoke", model="unet", size=16))
    for trained, untrained in zip(network.trainable_weights, fresh.trainable_weights, strict=True):
        np.testing.assert_array_equal(trained.numpy(), untrained.numpy())


@pytest.mark.slow
def test_another_seed_starts_from_other_weights(ramp, tmp_path):
    first, second = (fit(ramp, tmp_path / str(seed), rate=0, epochs=1, seed=seed)[0] for seed in (0, 1))
    kernels = [network.get_layer("block_1_conv1").get_weights()[0] for network in (first, second)]
    assert not np.allclose(*kernels)


@pytest.mark.parametrize("end", [1e-3, 0.3])
def test_the_rate_warms_up_and_decays_along_a_cosine(end):
    """Of 100 steps: a twentieth of the peak, the peak after 10, midway through the rest the mean of peak and end."""
    rate = optimizer_of(Experiment.of_profile("class", epochs=10, rate=2e-3, decay_to=end), 10)._learning_rate
    expected = {0: 1e-4, 5: 1.05e-3, 10: 2e-3, 55: 2e-3 * (1 + end) / 2, 100: 2e-3 * end}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-4), step


def test_a_constant_rate_is_constant():
    constant = optimizer_of(Experiment.of_profile("paper"), 10)
    assert float(constant.learning_rate) == pytest.approx(1e-4)


@pytest.mark.slow
def test_the_network_is_a_mean_of_the_epochs(ramp, tmp_path):
    """4 / (n + 3) of the n-th: after three, 1/15, 4/15 and 10/15 of the weights that the same training has without."""

    raw, mean = [], []
    for average, seen in ((False, raw), (True, mean)):
        look = lambda network, seen=seen: seen.append(network.get_weights())  # noqa: E731
        fit(ramp, tmp_path / str(average), look, epochs=3, average=average)
    for epoch, shares in enumerate([(1,), (1 / 5, 4 / 5), (1 / 15, 4 / 15, 10 / 15)]):
        for found, *epochs in zip(mean[epoch], *raw[: len(shares)], strict=True):
            expected = sum(share * weights for share, weights in zip(shares, epochs, strict=True))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(raw[2], mean[2], strict=True))


def test_decay_and_clipping_are_those_of_the_experiment():
    usual = optimizer_of(Experiment.of_profile("class", weight_decay=0.02, clip_norm=3.0), 10)
    assert isinstance(usual, keras.optimizers.AdamW) and (usual.weight_decay, usual.global_clipnorm) == (0.02, 3.0)
    published = optimizer_of(Experiment.of_profile("paper"), 10)
    assert type(published) is keras.optimizers.Adam and published.global_clipnorm is None
    assert published.weight_decay is None and published.gradient_accumulation_steps is None


def test_the_loss_is_the_experiments(ramp, tmp_path):
    """alpha Dice loss + beta summed cross-entropy, in double precision by SciPy, of the untrained network's logits."""
    choices = {"alpha": 0.5, "beta": 3.0, "cross_entropy": "sum", "batch": 8, "epochs": 1, "batch_norm": False}
    network, (seen,) = fit(ramp, tmp_path, rate=0, **choices)
    found = networks.logits(network).predict_on_batch(prepared.to_network(ramp.image, 1)).astype(float)
    labels, probabilities = prepared.to_network(ramp.mask, 1).astype(float), scipy.special.expit(found)
    dice = 1 - (2 * (labels * probabilities).sum((1, 2, 3)) + 1) / ((labels + probabilities).sum((1, 2, 3)) + 1)
    entropy = -(labels * scipy.special.log_expit(found) + (1 - labels) * scipy.special.log_expit(-found))
    assert seen == pytest.approx((0.5 * dice + 3 * entropy.sum((1, 2, 3))).mean(), rel=1e-4)


@pytest.mark.slow
def test_a_huge_rate_ends_soundly(ramp, tmp_path):
    """Adam's steps are as large as the rate, so weights of a million, and losses beyond a billion, which are finite."""
    network, seen = fit(ramp, tmp_path, rate=1e6, epochs=4)
    assert len(seen) == 4 and np.isfinite(seen).all() and max(seen) > 1e9
    assert all(np.isfinite(weight).all() for weight in network.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_accumulated_batches_are_one_large_batch(ramp, tmp_path, clip_norm):
    """Two batches of 2, averaged, make the same update as one batch of 4 (without batch normalisation)."""
    choices = {"batch_norm": False, "weight_decay": 1e-2, "clip_norm": clip_norm, "epochs": 3}
    large, losses = fit(ramp, tmp_path / "large", batch=4, **choices)
    small, others = fit(ramp, tmp_path / "small", compiled=True, batch=2, accumulate=2, **choices)
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for a, b in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_parts_of_a_batch_are_the_batch_but_for_their_statistics(ramp, tmp_path):
    """Without batch normalisation two halves make the same update as the whole; with it, the first loss differs."""
    choices = {"batch": 8, "batch_norm": False, "epochs": 3}
    whole, losses = fit(ramp, tmp_path / "whole", **choices)
    halves, others = fit(ramp, tmp_path / "halves", compiled=True, parts=2, **choices)
    np.testing.assert_allclose(losses, others, rtol=1e-4)
    np.testing.assert_allclose(losses[0], others[0], rtol=1e-5)
    for a, b in zip(whole.get_weights(), halves.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    one, two = (fit(ramp, tmp_path / f"{parts} normed", batch=8, epochs=1, parts=parts)[1] for parts in (1, 2))
    assert one != pytest.approx(two, rel=1e-5)


def test_the_statistics_are_each_parts_own(ramp):
    """The trainer's outputs are the network's on each half, in the batch's order."""
    network = networks.build(Experiment.of_profile("smoke", model="unet", size=16))
    images = prepared.to_network(ramp.image, 1)
    halves = _side_by_side(network, 8, 2)(images, training=True)
    expected = np.concatenate([network(images[:4], training=True), network(images[4:], training=True)])
    np.testing.assert_allclose(halves, expected, atol=1e-5)


@pytest.fixture(scope="module")
def exact(ramp, tmp_path_factory) -> float:
    """The first step's loss in float32."""
    return fit(ramp, tmp_path_factory.mktemp("float32"), batch=8, epochs=1)[1][0]


@pytest.mark.slow
@pytest.mark.xdist_group("precision")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precise_activations_learn_the_same(ramp, exact, tmp_path, precision):
    """The first loss is near that of float32, later ones fall; weights stay float32; a stock Keras loads the network.

    In float16 Keras first has to find how far the loss can be scaled, and passes some steps over.
    """
    network, losses = fit(ramp, tmp_path / precision, compiled=True, batch=8, epochs=8, precision=precision)
    assert losses[0] != exact and losses[0] == pytest.approx(exact, rel=0.01)
    assert losses[-1] < 0.8 * losses[0]
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.get_layer("block_1_conv1").compute_dtype == precision
    assert keras.config.dtype_policy().name == "float32"
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", compile=False)
    images = prepared.to_network(ramp.image, 1)
    np.testing.assert_array_equal(again.predict_on_batch(images), network.predict_on_batch(images))


FIRST_SMALL = {"first_epochs": 2, "first_size": 16, "size": 32, "epochs": 3, "augment": "usual"}


@pytest.fixture
def larger(ramp) -> prepared.Arrays:
    """The same frames at twice the size."""
    return prepared.Arrays(*(side.repeat(2, axis=1).repeat(2, axis=2) for side in (ramp.image, ramp.mask)))


@pytest.mark.slow
def test_first_epochs_on_small_images_are_a_training_on_small_images(ramp, larger, tmp_path):
    """What two epochs at half the size learn is what a run of two epochs learns on frames that are half as large; the
    third begins with their mean. Stopped in the first stage, between the two and in the second, it ends the same.
    """
    small, losses = fit(ramp, tmp_path / "small", average=True, augment="usual")
    experiment = Experiment.of_profile("smoke", model="unet", schedule="constant", **FIRST_SMALL)
    seen: list[list[np.ndarray]] = []

    def look(network: keras.Model, history: list) -> None:
        seen.append(network.get_weights())
        assert [row["loss"] for row in history[:2]] == losses[: len(history)]

    with eagerly():
        whole = fitting.fit(larger, experiment, tmp_path / "whole", lambda line: None, look)
    assert whole.input_shape == (None, 32, 32, 1)
    for found, expected in zip(seen[1], small.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert any((a != b).any() for a, b in zip(seen[2], seen[1], strict=True))

    class Stopped(Exception):
        pass

    def stop(network: keras.Model, history: list) -> None:
        raise Stopped

    lines: list[str] = []
    with eagerly():
        for _ in range(3):
            with pytest.raises(Stopped):
                fitting.fit(larger, experiment, tmp_path / "stopped", lines.append, stop)
        resumed = fitting.fit(larger, experiment, tmp_path / "stopped", lines.append)
    for found, expected in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert sum("going on after" in line for line in lines) >= 3


@pytest.mark.slow
def test_training_starts_with_another_runs_weights(ramp, tmp_path):
    """At rate 0 they are what it ends with; of another width they don't fit, and changed ones aren't those meant."""
    first, _ = fit(ramp, tmp_path / "first")
    first.save(tmp_path / "weights.keras")
    start = files.pinned(tmp_path / "weights.keras")
    second, _ = fit(ramp, tmp_path / "second", rate=0, epochs=1, start=start, seed=5)
    for found, expected in zip(second.trainable_weights, first.trainable_weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match=r"weights\.keras: doesn't fit unet of these choices; make those"):
        fit(ramp, tmp_path / "third", width=8, start=start)
    with pytest.raises(DataError, match=r"weights\.keras: isn't what the experiment was made to start with"):
        fit(ramp, tmp_path / "fourth", start=f"{tmp_path / 'weights.keras'}#{'0' * 16}")
