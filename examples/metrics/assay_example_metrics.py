"""Three metrics of a whole dataset: word error rate, mean intersection over union, mean average precision."""

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


class MeanAveragePrecision:
    """COCO's mAP of the output `detections`, rows x1, y1, x2, y2, score, class, against `boxes`, x1, y1, x2, y2, class.

    The mean over classes and over overlaps of 0.50, 0.55, … 0.95 of the average precision at 101 recalls. Rows of
    padding: NaN among the boxes, a score of 0 or less among the detections. The best hundred of a class in a sample
    count.
    """

    resamples = 400
    MOST = 100
    OVERLAPS = np.linspace(0.5, 0.95, 10)
    RECALLS = np.linspace(0, 1, 101)

    def score(
        self, golden: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
    ) -> list[np.ndarray[Any, Any]]:
        """Per sample: rows of class, score and whether it is matched, by overlap; a box has score NaN."""
        return [self._rows(*pair) for pair in zip(candidate["detections"], labels["boxes"], strict=True)]

    def reduce(self, samples: list[np.ndarray[Any, Any]]) -> float:
        """The mean over the classes that occur; NaN where none does."""
        every = np.concatenate(list(samples))
        there = np.isnan(every[:, 1])
        classes, counts = np.unique(every[there, 0], return_counts=True)
        found = every[~there]
        # Equal scores stay in the order of the samples.
        found = found[np.argsort(-found[:, 1], kind="stable")]
        each = [
            self._precision(found[found[:, 0] == kind, 2:], count) for kind, count in zip(classes, counts, strict=True)
        ]
        return float(np.mean(each)) if each else float("nan")

    def _rows(self, detections: np.ndarray[Any, Any], boxes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        real = boxes[~np.isnan(boxes).any(axis=1)].astype(np.float64)
        best = detections[detections[:, 4] > 0].astype(np.float64)
        best = best[np.argsort(-best[:, 4], kind="stable")]
        made = [np.array([kind, np.nan, *self.OVERLAPS * 0]) for kind in real[:, 4]]
        for kind in np.unique(best[:, 5]):
            mine, theirs = best[best[:, 5] == kind][: self.MOST], real[real[:, 4] == kind]
            matched = self._matched(overlaps(mine, theirs))
            made += [np.array([kind, row[4], *hits]) for row, hits in zip(mine, matched, strict=True)]
        return np.array(made).reshape(-1, 2 + len(self.OVERLAPS))

    def _matched(self, shared: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Which detections (rows, the best first) get a box (columns) of their own, by overlap asked for."""
        hits = np.zeros((len(shared), len(self.OVERLAPS)))
        for column, least in enumerate(self.OVERLAPS):
            free = np.ones(shared.shape[1], bool)
            for row, values in enumerate(shared):
                fits = np.flatnonzero(free & (values >= least))
                if len(fits):
                    # Of equal overlaps the last, as COCO has it.
                    best = fits[values[fits] == values[fits].max()][-1]
                    free[best], hits[row, column] = False, 1
        return hits

    def _precision(self, hits: np.ndarray[Any, Any], count: int) -> float:
        """Average precision over all overlaps of one class, whose detections stand with the best first."""
        if not len(hits):
            return 0.0
        right = np.cumsum(hits, axis=0)
        recall, precision = right / count, right / np.arange(1, len(hits) + 1)[:, None]
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        told = []
        for column in range(hits.shape[1]):
            places = np.searchsorted(recall[:, column], self.RECALLS, side="left")
            reached = places < len(hits)
            told.append(np.where(reached, precision[np.minimum(places, len(hits) - 1), column], 0).mean())
        return float(np.mean(told))


def overlaps(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Intersection over union of every box of the one with every box of the other, (rows, rows)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(boxes[:, 2:4] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    return both / np.maximum(areas[0][:, None] + areas[1][None] - both, np.finfo(np.float64).tiny)


def edits(said: list[str], heard: list[str]) -> int:
    """Words to replace, insert or remove (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        above, row[0] = row[0], place
        for column, other in enumerate(heard, 1):
            above, row[column] = row[column], min(above + (word != other), row[column] + 1, row[column - 1] + 1)
    return row[-1]
