"""The digits, split once and for all.

The models learn from 1,000 of scikit-learn's 1,797 digits; the other 797 are the evaluation set. Calibration images
come from the training side only, so that no evaluated image was ever seen by training or by a calibrator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

CLASSES = 10
EVALUATION_SAMPLES = 797
CALIBRATION_SAMPLES = 256
SHARD_SAMPLES = 200
SPLIT_SEED = 20
WHITE = np.float32(16)
"""The brightest value of the raw data; the models take 0 (black) to 1 (white)."""

DIM = np.float32(1 / 16)
"""Brightness of the poor calibration set: a power of two, so dimming rounds nothing."""


@dataclass(frozen=True)
class Digits:
    """Images `[n, 1, 8, 8]` float32 in 0..1, and their labels `[n]` int64 in 0..9."""

    images: Images
    labels: Labels


@dataclass(frozen=True)
class Split:
    """The two sides of the data, sharing no row."""

    train: Digits
    evaluation: Digits


def load_split() -> Split:
    """Read the digits and split them, class by class in equal shares, the same way every time.

    Returns:
        1,000 digits to train on and 797 to evaluate on, each side in a fixed shuffled order.
    """
    raw = load_digits()
    images = (raw.images.astype(np.float32) / WHITE).reshape(-1, 1, 8, 8)
    labels = raw.target.astype(np.int64)
    # RandomState, not default_rng: numpy promises that its stream never changes.
    random = np.random.RandomState(SPLIT_SEED)
    evaluation = random.permutation(_stratified(labels, EVALUATION_SAMPLES, random))
    train = random.permutation(np.setdiff1d(np.arange(len(labels)), evaluation))
    return Split(Digits(images[train], labels[train]), Digits(images[evaluation], labels[evaluation]))


def _stratified(labels: Labels, count: int, random: np.random.RandomState) -> npt.NDArray[np.int64]:
    """Indices of `count` samples in which every class has its share of the whole, by largest remainder."""
    shares = np.bincount(labels, minlength=CLASSES) * (count / len(labels))
    taken = np.floor(shares).astype(np.int64)
    largest = np.argsort(taken - shares, kind="stable")[: count - int(taken.sum())]
    taken[largest] += 1
    chosen = [random.permutation(np.flatnonzero(labels == c))[: taken[c]] for c in range(CLASSES)]
    return np.concatenate(chosen)


def calibration_images(split: Split) -> Images:
    """The calibration set: 256 training images as they are."""
    return split.train.images[:CALIBRATION_SAMPLES]


def poor_calibration_images(split: Split) -> Images:
    """The calibration set of a camera with its lamp off: the same images at a sixteenth of their brightness."""
    return calibration_images(split) * DIM


def shards(split: Split) -> Iterator[tuple[str, dict[str, npt.NDArray[np.generic]]]]:
    """Every shard shipped with the examples, as its path below the examples' folder and its arrays."""
    whole = split.evaluation
    for number, start in enumerate(range(0, len(whole.labels), SHARD_SAMPLES)):
        rows = slice(start, start + SHARD_SAMPLES)
        yield f"data/part-{number:03}.npz", {"image": whole.images[rows], "label": whole.labels[rows]}
    half = CALIBRATION_SAMPLES // 2
    for folder, images in (("calib", calibration_images(split)), ("calib-poor", poor_calibration_images(split))):
        for number in range(2):
            yield f"{folder}/part-{number:03}.npz", {"image": images[number * half : (number + 1) * half]}


def write_shards(split: Split, folder: Path) -> None:
    """Write every shard below `folder`."""
    for name, arrays in shards(split):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, allow_pickle=False, **arrays)
