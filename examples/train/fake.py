"""Quantisation inside training: INT8's rounding in the forward pass, as if it were not there in the backward one.

A network trained on takes the rounding of its products' inputs into account (quantisation-aware training, QAT). The
gradient passes rounding straight through and stops at values that are clipped: Y. Bengio et al., "Estimating or
Propagating Gradients Through Stochastic Neurons", 2013, arXiv:1308.3432; B. Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2017, arXiv:1712.05877.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from examples.train.data import Digits
from examples.train.training import Params, Recipe, train

Quantise = Callable[[str, jax.Array, int | None], jax.Array]
"""Name of a tensor as in the ONNX file, the tensor, and its output channels' axis where it is a weight."""

Inference = Callable[[Params, jax.Array, Quantise], jax.Array]
"""Weights, images and what the inputs of every product go through, to logits."""

LARGEST = 127.0


def exact(name: str, x: jax.Array, axis: int | None) -> jax.Array:
    """No quantisation."""
    return x


def faked(ranges: Mapping[str, float]) -> Quantise:
    """Rounding to INT8: activations within their fixed range, weights within that of each output channel.

    Args:
        ranges: largest magnitude of each activation.
    """

    def quantise(name: str, x: jax.Array, axis: int | None) -> jax.Array:
        if axis is None:
            return _rounded(x, jnp.float32(ranges[name] / LARGEST))
        others = tuple(a for a in range(x.ndim) if a != axis)
        return _rounded(x, jax.lax.stop_gradient(jnp.abs(x).max(axis=others, keepdims=True)) / LARGEST)

    return quantise


def activation_ranges(forward: Callable[[Quantise], jax.Array]) -> dict[str, float]:
    """The largest magnitude of every activation that is shown while `forward` runs."""
    largest: dict[str, float] = {}

    def record(name: str, x: jax.Array, axis: int | None) -> jax.Array:
        if axis is None:
            largest[name] = float(jnp.abs(x).max())
        return x

    forward(record)
    return largest


def train_for_int8(
    infer: Inference, trained: Params, fixed: frozenset[str], digits: Digits, recipe: Recipe
) -> tuple[Params, dict[str, float]]:
    """Train on with INT8's rounding in every product; returns the weights and the ranges of the activations.

    Args:
        infer: the model in inference form.
        trained: where to start from; the ranges are the ones it has on the digits.
        fixed: names of weights that stay as they are.
        digits: the training side.
        recipe: how long and how hard.
    """
    images = jnp.asarray(digits.images)
    ranges = activation_ranges(lambda quantise: infer(trained, images, quantise))
    quantise = faked(ranges)
    still = {name: value for name, value in trained.items() if name in fixed}
    free = {name: value for name, value in trained.items() if name not in fixed}
    return train(lambda weights, x: infer(weights | still, x, quantise), free, digits, recipe) | still, ranges


def _rounded(x: jax.Array, scale: jax.Array) -> jax.Array:
    clipped = jnp.clip(x, -LARGEST * scale, LARGEST * scale)
    return clipped + jax.lax.stop_gradient(jnp.round(clipped / scale) * scale - clipped)
