"""A small vision transformer: 16 patches of 2x2 pixels, two pre-norm blocks, mean pooling.

Weights carry the names they get in the ONNX file; matrices are `[in, out]`, as MatMul takes them.
"""

import math

import jax
import jax.numpy as jnp

from examples.train.fake import Quantise, exact
from examples.train.training import Params, Recipe
from examples.train.vit_graph import BLOCKS, DIM, EPSILON, HEADS, HIDDEN, PATCH, TOKENS

RECIPE = Recipe(epochs=120, peak_learning_rate=2e-3, weight_decay=0.05)

QAT_RECIPE = RECIPE.continued()


def init(seed: int) -> Params:
    """Random weights: normal matrices scaled by their fan-in, unit norms, small positions."""
    shapes = {"patch_embed.weight": (DIM, 1, PATCH, PATCH), "head.weight": (DIM, 10)}
    for block in BLOCKS:
        shapes |= {
            f"{block}.attn.qkv.weight": (DIM, 3 * DIM),
            f"{block}.attn.proj.weight": (DIM, DIM),
            f"{block}.mlp.fc1.weight": (DIM, HIDDEN),
            f"{block}.mlp.fc2.weight": (HIDDEN, DIM),
        }
    keys = jax.random.split(jax.random.key(seed), len(shapes) + 1)
    params: Params = {"pos_embed": 0.1 * jax.random.normal(keys[-1], (1, TOKENS, DIM))}
    for key, (name, shape) in zip(keys, shapes.items(), strict=False):
        kernel = name.startswith("patch_embed")
        fan_in, outputs = (PATCH * PATCH, shape[0]) if kernel else (shape[0], shape[-1])
        params[name] = jax.random.normal(key, shape) / math.sqrt(fan_in)
        params[name.replace(".weight", ".bias")] = jnp.zeros(outputs)
    for norm in [f"{block}.norm{n}" for block in BLOCKS for n in (1, 2)] + ["norm"]:
        params |= {f"{norm}.weight": jnp.ones(DIM), f"{norm}.bias": jnp.zeros(DIM)}
    return params


def forward(params: Params, images: jax.Array, quantise: Quantise = exact) -> jax.Array:
    """Images `[n, 1, 8, 8]` to logits `[n, 10]`; `quantise` is shown the inputs of every product."""
    kernel = quantise("patch_embed.weight", params["patch_embed.weight"], 0)
    x = jax.lax.conv(quantise("image", images, None), kernel, (PATCH, PATCH), "VALID")
    x = x.reshape(-1, DIM, TOKENS).transpose(0, 2, 1) + params["patch_embed.bias"] + params["pos_embed"]
    for block in BLOCKS:
        normed = quantise(f"{block}.norm1.out", _norm(params, f"{block}.norm1", x), None)
        x = x + _attention(params, f"{block}.attn", normed, quantise)
        normed = quantise(f"{block}.norm2.out", _norm(params, f"{block}.norm2", x), None)
        x = x + _mlp(params, f"{block}.mlp", normed, quantise)
    pooled = quantise("pool.out", _norm(params, "norm", x).mean(axis=1), None)
    return _linear(params, "head", pooled, quantise)


def _linear(params: Params, name: str, x: jax.Array, quantise: Quantise) -> jax.Array:
    return x @ quantise(f"{name}.weight", params[f"{name}.weight"], 1) + params[f"{name}.bias"]


def _norm(params: Params, name: str, x: jax.Array) -> jax.Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + EPSILON) * params[f"{name}.weight"] + params[f"{name}.bias"]


def _attention(params: Params, name: str, x: jax.Array, quantise: Quantise) -> jax.Array:
    qkv = _linear(params, f"{name}.qkv", x, quantise).reshape(-1, TOKENS, 3, HEADS, DIM // HEADS)
    query, key, value = qkv.transpose(2, 0, 3, 1, 4)
    query, key, value = (
        quantise(f"{name}.{part}.transpose.out", array, None)
        for part, array in (("q", query), ("k", key), ("v", value))
    )
    weights = jax.nn.softmax(query @ key.swapaxes(-1, -2) / math.sqrt(DIM // HEADS))
    mixed = quantise(f"{name}.softmax.out", weights, None) @ value
    merged = quantise(f"{name}.merge.out", mixed.transpose(0, 2, 1, 3).reshape(-1, TOKENS, DIM), None)
    return _linear(params, f"{name}.proj", merged, quantise)


def _mlp(params: Params, name: str, x: jax.Array, quantise: Quantise) -> jax.Array:
    raised = jax.nn.gelu(_linear(params, f"{name}.fc1", x, quantise), approximate=False)
    return _linear(params, f"{name}.fc2", quantise(f"{name}.gelu.halve.out", raised, None), quantise)
