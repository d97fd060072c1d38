"""Two metrics of a whole dataset: word error rate and mean intersection over union."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class WordAccuracy:
    """One minus the word error rate of the output `text`, scores (samples, words, vocabulary), against `transcript`.

    The error rate divides the errors of all samples by the words of all samples: no mean of the samples' own rates.
    """

    WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

    def score(
        self, golden: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> np.ndarray[Any, Any]:
        """Per sample: errors and words of the transcript, (samples, 2)."""
        best = candidate["text"].argmax(axis=-1)
        pairs = (
            (said.split(), [self.WORDS[word] for word in row])
            for said, row in zip(labels["transcript"], best, strict=True)
        )
        return np.array([(edits(said, heard), len(said)) for said, heard in pairs])

    def reduce(self, counts: np.ndarray[Any, Any]) -> float:
        """One minus errors over words."""
        errors, words = counts.sum(axis=0)
        return float(1 - errors / words)


class MeanIoU:
    """Mean over classes of intersection over union: output `classes`, (samples, classes, height, width), and `mask`."""

    def score(
        self, golden: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> np.ndarray[Any, Any]:
        """Per sample and class: pixels in both, and in either, (samples, classes, 2)."""
        scores, mask = candidate["classes"], labels["mask"]
        numbers = np.arange(scores.shape[1])[:, None, None]
        found, there = scores.argmax(axis=1)[:, None] == numbers, mask[:, None] == numbers
        return np.stack([(found & there).sum(axis=(2, 3)), (found | there).sum(axis=(2, 3))], axis=-1)

    def reduce(self, pixels: np.ndarray[Any, Any]) -> float:
        """The mean over the classes that occur."""
        both, either = pixels.sum(axis=0).T
        return float((both[either > 0] / either[either > 0]).mean())


def edits(said: list[str], heard: list[str]) -> int:
    """Words to replace, insert or remove (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        above, row[0] = row[0], place
        for column, other in enumerate(heard, 1):
            above, row[column] = row[column], min(above + (word != other), row[column] + 1, row[column - 1] + 1)
    return row[-1]
