"""One training loop for both models.

A thousand images are few: every step shifts each image by up to one pixel at random, which is what keeps these
networks from learning the training set by heart. Everything random follows from one seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import optax

from examples.train.data import CLASSES, Digits

Params = dict[str, jax.Array]
Forward = Callable[[Params, jax.Array], jax.Array]
"""Weights and images `[n, 1, 8, 8]` to logits `[n, 10]`."""

State = tuple[Params, optax.OptState]
"""The weights, and what the optimizer remembers about them."""

Epoch = Callable[[State, jax.Array], State]
"""One pass over the data, its randomness from the key."""


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train."""

    epochs: int
    peak_learning_rate: float
    weight_decay: float
    batch: int = 50
    warmup_epochs: int = 5
    label_smoothing: float = 0.05
    seed: int = 7

    def continued(self) -> "Recipe":
        """For training on with quantisation: a tenth of the epochs, from a hundredth of the learning rate.

        H. Wu et al., "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation", 2020,
        arXiv:2004.09602.
        """
        return replace(
            self, epochs=self.epochs // 10, peak_learning_rate=self.peak_learning_rate / 100, warmup_epochs=0
        )


def shift(key: jax.Array, images: jax.Array) -> jax.Array:
    """Move each image `[1, 8, 8]` of a batch by -1, 0 or 1 pixel both ways, filling with black."""
    padded = jnp.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    corners = jax.random.randint(key, (images.shape[0], 2), 0, 3)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (0, corner[0], corner[1]), (1, 8, 8))

    return jax.vmap(crop)(padded, corners)


def train(forward: Forward, params: Params, digits: Digits, recipe: Recipe) -> Params:
    """Fit `params` to `digits` with AdamW under a warmed-up cosine schedule.

    Args:
        forward: the model in training form.
        params: where to start from.
        digits: the training side; its size must be a multiple of the recipe's batch.
        recipe: the hyper-parameters.

    Returns:
        The trained weights, bitwise the same for the same arguments on the same machine.
    """
    optimizer = _optimizer(recipe, len(digits.labels) // recipe.batch)
    epoch = _epoch(forward, optimizer, digits, recipe)
    state = (params, optimizer.init(params))
    for key in jax.random.split(jax.random.key(recipe.seed), recipe.epochs):
        state = epoch(state, key)
    return state[0]


def _epoch(forward: Forward, optimizer: optax.GradientTransformation, digits: Digits, recipe: Recipe) -> Epoch:
    """One pass over the shifted and shuffled digits, compiled."""
    images, targets = jnp.asarray(digits.images), _smoothed(digits, recipe.label_smoothing)

    def loss(weights: Params, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean(optax.softmax_cross_entropy(forward(weights, x), y))

    def epoch(state: State, key: jax.Array) -> State:
        order_key, shift_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images)).reshape(-1, recipe.batch)
        shifted = shift(shift_key, images)

        def step(state: State, rows: jax.Array) -> tuple[State, None]:
            weights, memory = state
            updates, memory = optimizer.update(jax.grad(loss)(weights, shifted[rows], targets[rows]), memory, weights)
            return (optax.apply_updates(weights, updates), memory), None

        after: State = jax.lax.scan(step, state, order)[0]
        return after

    # Called rather than used as a decorator: without the framework installed, a decorator hides the types below it.
    compiled: Epoch = jax.jit(epoch)
    return compiled


def _smoothed(digits: Digits, smoothing: float) -> jax.Array:
    targets: jax.Array = optax.smooth_labels(jax.nn.one_hot(jnp.asarray(digits.labels), CLASSES), smoothing)
    return targets


def _optimizer(recipe: Recipe, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, recipe.peak_learning_rate, recipe.warmup_epochs * steps, recipe.epochs * steps
    )
    # Biases and the parameters of norms are vectors, and must not decay.
    return optax.adamw(schedule, weight_decay=recipe.weight_decay, mask=lambda p: {k: v.ndim > 1 for k, v in p.items()})
