"""A small convolutional network: three convolutions, each with batch normalisation.

Weights carry the names they get in the ONNX file, in the layouts ONNX expects.
"""

import jax
import jax.numpy as jnp

from examples.train.cnn_graph import EPSILON
from examples.train.training import Params, Recipe

CHANNELS = {"conv1": (1, 16), "conv2": (16, 32), "conv3": (32, 64)}
"""Input and output channels of each 3x3 convolution."""

RECIPE = Recipe(epochs=40, peak_learning_rate=4e-3, weight_decay=0.05)


def init(seed: int) -> Params:
    """Random weights: He-normal kernels, unit norms."""
    params: Params = {}
    keys = jax.random.split(jax.random.key(seed), len(CHANNELS) + 1)
    for key, (name, (inputs, outputs)) in zip(keys, CHANNELS.items(), strict=False):
        norm = name.replace("conv", "bn")
        params[f"{name}.weight"] = jax.random.normal(key, (outputs, inputs, 3, 3)) * (2 / (9 * inputs)) ** 0.5
        params[f"{norm}.weight"] = jnp.ones(outputs)
        params[f"{norm}.bias"] = jnp.zeros(outputs)
    params["fc.weight"] = jax.random.normal(keys[-1], (64, 10)) * (1 / 64) ** 0.5
    params["fc.bias"] = jnp.zeros(10)
    return params


def forward(params: Params, images: jax.Array) -> jax.Array:
    """The training form: every normalisation uses the statistics of the batch itself."""
    return _run(params, images, {}, training=True)


def freeze(params: Params, images: jax.Array) -> Params:
    """Add the running statistics that inference needs, measured on all of `images` at once."""
    statistics: Params = {}
    _run(params, images, statistics, training=True)
    return params | statistics


def infer(params: Params, images: jax.Array) -> jax.Array:
    """The inference form, of frozen weights."""
    return _run(params, images, dict(params), training=False)


def _run(params: Params, images: jax.Array, statistics: Params, *, training: bool) -> jax.Array:
    def block(number: str, x: jax.Array) -> jax.Array:
        x = jax.lax.conv(x, params[f"conv{number}.weight"], (1, 1), "SAME")
        if training:
            statistics[f"bn{number}.running_mean"] = x.mean(axis=(0, 2, 3))
            statistics[f"bn{number}.running_var"] = x.var(axis=(0, 2, 3))
        gain = params[f"bn{number}.weight"] / jnp.sqrt(statistics[f"bn{number}.running_var"] + EPSILON)
        shift = params[f"bn{number}.bias"] - statistics[f"bn{number}.running_mean"] * gain
        return jax.nn.relu(x * gain[:, None, None] + shift[:, None, None])

    x = block("2", block("1", images))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return block("3", x).mean(axis=(2, 3)) @ params["fc.weight"] + params["fc.bias"]
