"""A small convolutional network: three convolutions, each with batch normalisation.

Weights carry the names they get in the ONNX file, in the layouts ONNX expects.
"""

import jax
import jax.numpy as jnp

from examples.train.cnn_graph import EPSILON
from examples.train.fake import Quantise, exact
from examples.train.training import Params, Recipe

CHANNELS = {"conv1": (1, 16), "conv2": (16, 32), "conv3": (32, 64)}
"""Input and output channels of each 3x3 convolution."""

RECIPE = Recipe(epochs=40, peak_learning_rate=4e-3, weight_decay=0.05)

QAT_RECIPE = RECIPE.continued()


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


def infer(params: Params, images: jax.Array, quantise: Quantise = exact) -> jax.Array:
    """The inference form, of frozen weights; `quantise` is shown the inputs of every product."""
    return _run(params, images, dict(params), training=False, quantise=quantise)


def _run(
    params: Params, images: jax.Array, statistics: Params, *, training: bool, quantise: Quantise = exact
) -> jax.Array:
    def block(number: str, source: str, x: jax.Array) -> jax.Array:
        kernel = quantise(f"conv{number}.weight", params[f"conv{number}.weight"], 0)
        x = jax.lax.conv(quantise(source, x, None), kernel, (1, 1), "SAME")
        if training:
            statistics[f"bn{number}.running_mean"] = x.mean(axis=(0, 2, 3))
            statistics[f"bn{number}.running_var"] = x.var(axis=(0, 2, 3))
        gain = params[f"bn{number}.weight"] / jnp.sqrt(statistics[f"bn{number}.running_var"] + EPSILON)
        shift = params[f"bn{number}.bias"] - statistics[f"bn{number}.running_mean"] * gain
        return jax.nn.relu(x * gain[:, None, None] + shift[:, None, None])

    x = block("2", "relu1.out", block("1", "image", images))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = quantise("flatten.out", block("3", "pool2.out", x).mean(axis=(2, 3)), None)
    return x @ quantise("fc.weight", params["fc.weight"], 1) + params["fc.bias"]
