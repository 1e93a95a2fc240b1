"""Pooling and bilinear upsampling as shifted copies, which XLA fuses into one pass each way.

XLA's own gradient of max pooling compares windows and then scatters; `jax.image.resize` multiplies by dense matrices.
The results are the same: values and, also where a window holds its maximum twice, gradients.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lvseg.backend import keras, layers


def quick(network: keras.Model) -> keras.Model:
    """The network itself, whose layers without weights now compute as here."""
    for layer in network.layers:
        if isinstance(layer, layers.MaxPooling2D):
            layer.call = partial(_pool, layer.pool_size[0], layer.strides[0])
        elif isinstance(layer, layers.UpSampling2D) and layer.interpolation == "bilinear":
            layer.call = double
    return network


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _pool(window: int, stride: int, x: Any) -> Any:
    """Max pooling with the network's two kinds of window: 3 at stride 1 with padding, 2 at stride 2 without."""
    return _pool_forward(window, stride, x)[0]


def _pool_forward(window: int, stride: int, x: Any) -> tuple[Any, Any]:
    """The maxima (batch, height, width, channels), and the first place in its window that has each, uint8."""
    edge = (window - stride) // 2
    padded = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=-jnp.inf)
    height, width = (side - side % stride for side in x.shape[1:3])
    best, place = None, None
    for number in range(window**2):
        row, column = divmod(number, window)
        value = padded[:, row : row + height : stride, column : column + width : stride]
        if best is None:
            best, place = value, jnp.zeros(value.shape, jnp.uint8)
        else:
            place = jnp.where(value > best, jnp.uint8(number), place)
            best = jnp.maximum(best, value)
    return best, place


def _pool_backward(window: int, stride: int, place: Any, gradient: Any) -> tuple[Any]:
    batch, height, width, channels = gradient.shape
    parts = [jnp.where(place == number, gradient, 0) for number in range(window**2)]
    if stride == window:
        rows = [jnp.stack(parts[i : i + window], 3) for i in range(0, window**2, window)]
        return (jnp.stack(rows, 2).reshape(batch, height * stride, width * stride, channels),)
    edge = window // 2
    total = jnp.zeros(gradient.shape, jnp.float32)
    for number, part in enumerate(parts):
        down, right = (offset - edge for offset in divmod(number, window))
        shifts = [(0, 0, 0), (down, -down, 0), (right, -right, 0), (0, 0, 0)]
        total += jax.lax.pad(part.astype(jnp.float32), jnp.float32(0), shifts)
    return (total.astype(gradient.dtype),)


_pool.defvjp(_pool_forward, _pool_backward)


def double(x: Any) -> Any:
    """Twice the height and width by bilinear interpolation between pixels' centres, in float32 within."""
    batch, height, width, channels = x.shape
    padded = jnp.pad(x.astype(jnp.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = [0.75 * padded[:, 1:-1] + 0.25 * padded[:, n : n + height] for n in (0, 2)]
    pixels = [jnp.stack([0.75 * row[:, :, 1:-1] + 0.25 * row[:, :, n : n + width] for n in (0, 2)], 3) for row in rows]
    return jnp.stack(pixels, 2).reshape(batch, 2 * height, 2 * width, channels).astype(x.dtype)
