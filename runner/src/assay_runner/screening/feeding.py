"""The inputs of a screening: files of the user's, or made up by a rule that gives every machine the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from assay_runner.errors import InvalidInput
from assay_runner.tensors import Array, Arrays, TensorSpec

SEED: Final = 20261126
KINDS: Final = 4


def made_up(specs: Sequence[TensorSpec], count: int, batch: int) -> tuple[Arrays, ...]:
    """Inputs of four kinds in turns: a normal distribution, 0 to 1, both signs of one magnitude, mostly zeros.

    Whole numbers are 0 or 1, which any table has; booleans are either.

    Args:
        specs: inputs of the subject.
        count: how many.
        batch: length of free axes.
    """
    return tuple({spec.name: _values(spec, index, batch) for spec in specs} for index in range(count))


def read(folder: Path, count: int) -> tuple[Arrays, ...]:
    """The first `count` files of a folder, by their names, each one feed.

    Raises:
        InvalidInput: there is none, or one cannot be read.
    """
    files = sorted(folder.glob("*.npz"))[:count] if folder.is_dir() else []
    if not files:
        raise InvalidInput(f"{folder} has no .npz file: name a folder with one file per input, an array per input name")
    return tuple(_read(file) for file in files)


def _read(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # numpy, zipfile and zlib each have their own.
        raise InvalidInput(f"{file} is no .npz file that can be read: {' '.join(str(error).split())[:200]}") from error


def _values(spec: TensorSpec, index: int, batch: int) -> Array:
    shape = tuple(length if isinstance(length, int) else batch for length in spec.shape)
    # PCG64 and its normal deviates are part of numpy's compatibility promise for a fixed generator.
    random = np.random.Generator(np.random.PCG64([SEED, index]))
    if spec.dtype.kind == "b":
        return random.random(shape) < 0.5
    if spec.dtype.kind in "iu":
        return random.integers(0, 2, shape).astype(spec.dtype)
    kind = index % KINDS
    if kind == 0:
        return random.standard_normal(shape).astype(spec.dtype)
    if kind == 1:
        return random.random(shape).astype(spec.dtype)
    if kind == 2:
        return np.where(random.random(shape) < 0.5, -1.0, 1.0).astype(spec.dtype)
    return np.where(random.random(shape) < 0.9, 0.0, random.standard_normal(shape)).astype(spec.dtype)
