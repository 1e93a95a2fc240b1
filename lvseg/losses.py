"""The losses of Eqs. 3 to 5, on probabilities as the paper writes them or, for training, on logits.

Tensors are (batch, height, width, 1): labels in 0..1, predictions in 0..1 or, `from_logits`, any real number. Each
loss is computed in float32 whatever the network's precision, per image, and returns a tensor (batch,).
"""

from __future__ import annotations

from lvseg.backend import KerasTensor, ops

PIXELS = (1, 2, 3)
SMOOTH = 1.0
"""Added to Eq. 4's numerator and denominator: an empty mask and an empty prediction have a loss of 0, not 0/0."""


def cross_entropy(labels, predictions, *, from_logits: bool = False, reduction: str = "mean") -> KerasTensor:
    """Eq. 3, -[y log(p) + (1 - y) log(1 - p)], as the `mean` or the `sum` over an image's pixels (U16)."""
    labels, predictions = _float32(labels), _float32(predictions)
    if from_logits:
        # y log(sigmoid(z)) + (1-y) log(1-sigmoid(z)) in a form that neither overflows nor loses small terms
        pixels = ops.relu(predictions) - predictions * labels + ops.softplus(-ops.abs(predictions))
    else:
        pixels = ops.binary_crossentropy(labels, predictions)
    return ops.mean(pixels, PIXELS) if reduction == "mean" else ops.sum(pixels, PIXELS)


def dice_loss(labels, predictions, *, from_logits: bool = False) -> KerasTensor:
    """Eq. 4, 1 - 2 sum(y p) / (sum(y) + sum(p)), over one image's pixels."""
    labels, predictions = _float32(labels), _float32(predictions)
    if from_logits:
        predictions = ops.sigmoid(predictions)
    overlap = ops.sum(labels * predictions, PIXELS)
    total = ops.sum(labels, PIXELS) + ops.sum(predictions, PIXELS)
    return 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)


def combined_loss(alpha: float = 1.0, beta: float = 1.0, *, from_logits: bool = True, reduction: str = "mean"):
    """Eq. 5, alpha Dice loss + beta cross-entropy, as a function of (labels, predictions) for `Model.compile`."""

    def combined(labels, predictions):
        dice = dice_loss(labels, predictions, from_logits=from_logits)
        return alpha * dice + beta * cross_entropy(labels, predictions, from_logits=from_logits, reduction=reduction)

    return combined


def _float32(tensor) -> KerasTensor:
    return ops.cast(ops.convert_to_tensor(tensor), "float32")
