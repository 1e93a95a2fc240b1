"""What a competent user writes in plain Keras in an hour: a residual U-Net of width 16 at 128x128 (3.1 M parameters).

AdamW at 2e-3 with warm-up and cosine decay, batches of 16, Keras's own batch-norm momentum, usual augmentation, 18
epochs. `plain_keras SEED`.
"""

from __future__ import annotations

import sys

import cv2
import keras
import numpy as np
from keras import layers

from benchmarks.time_to_dice.clock import Clock, images, outline_of, read

SIZE, WIDTH, BATCH, EPOCHS, RATE = 128, 16, 16, 18, 2e-3


def block(x, filters: int, stride: int = 1):
    y = x
    for step in (stride, 1):
        y = layers.LeakyReLU(negative_slope=0.01)(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, strides=step, padding="same")(y)
    return layers.Add()([y, layers.Conv2D(filters, 1, strides=stride)(x)])


def network() -> keras.Model:
    x = image = layers.Input((SIZE, SIZE, 1))
    skips = []
    for level in range(5):
        x = block(x, WIDTH << level, 2 if level else 1)
        skips.append(x)
    for level in reversed(range(4)):
        x = layers.UpSampling2D(interpolation="bilinear")(x)
        x = block(layers.Concatenate()([x, skips[level]]), WIDTH << level)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


def loss(truth, probability):
    """Dice of the batch plus cross-entropy."""
    overlap = 2 * keras.ops.sum(truth * probability) + 1
    dice = overlap / (keras.ops.sum(truth) + keras.ops.sum(probability) + 1)
    return 1 - dice + keras.ops.mean(keras.losses.binary_crossentropy(truth, probability))


def augmented(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotation, scale, shift, mirror image, gamma and gain."""
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.uniform(-15, 15), rng.uniform(0.85, 1.15))
    matrix[:, 2] += rng.uniform(-0.06, 0.06, 2) * SIZE
    image = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(mask, matrix, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.clip((image / 255) ** rng.uniform(0.7, 1.4) * rng.uniform(0.85, 1.15), 0, 1), mask


def main(seed: str) -> None:
    clock, rng = Clock(), np.random.default_rng(int(seed))
    keras.utils.set_random_seed(int(seed))
    frames = [(small(read(path)), (small_mask(read(outline_of(path)) == 1))) for path in images("training")]
    model, steps = network(), len(frames) // BATCH * EPOCHS
    warmup = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 20, steps - warmup, alpha=1e-3, warmup_target=RATE, warmup_steps=warmup
    )
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-4), loss)

    def segment(natives: list[np.ndarray]) -> list[np.ndarray]:
        probability = model.predict(np.stack([small(image) for image in natives])[..., None] / 255, verbose=0)[..., 0]
        return [
            cv2.resize(one, image.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0.5
            for one, image in zip(probability, natives, strict=True)
        ]

    for _ in range(EPOCHS):
        order = rng.permutation(len(frames))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            pairs = [augmented(*frames[i], rng) for i in order[first : first + BATCH]]
            batch, truth = (np.stack(side)[..., None].astype(np.float32) for side in zip(*pairs, strict=True))
            model.train_on_batch(batch, truth)
        clock.score(segment)


def small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def small_mask(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(mask.astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)


main(*sys.argv[1:])
