"""Detections of two runs matched to each other: which are lost, gained, moved, and which have another score.

Greedy, as in the benchmarks of detection: the best-scored of the candidate first, each takes the golden detection of
its class that it overlaps most and that is still free. Overlap is intersection over union, which is the same in pixels
and in shares of the image, and whichever of x and y comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assay_runner.tensors import Array, Floats

Form = Literal["xyxy", "xywh", "cxcywh"]


@dataclass(frozen=True)
class Detections:
    """What was detected in one sample.

    Attributes:
        corners: (n, 4), least x and y, greatest x and y, finite.
        scores: (n,), finite.
        classes: (n,).
        broken: rows that are none, for what decides about them is NaN or infinite.
    """

    corners: Floats
    scores: Floats
    classes: Floats
    broken: int = 0

    def chosen(self, rows: NDArray[np.intp]) -> Detections:
        """Some of them, in this order."""
        return Detections(self.corners[rows], self.scores[rows], self.classes[rows])


@dataclass(frozen=True)
class Terms:
    """What counts.

    Attributes:
        floor: score from which on a row is a detection.
        change: score change that counts as none; a partner may be that much below the floor.
        iou: overlap from which on two are the same detection.
        still: overlap from which on it has not moved.
        most: best-scored rows that are looked at.
    """

    floor: float
    change: float
    iou: float
    still: float
    most: int


class Outcome(NamedTuple):
    """Of one sample.

    Attributes:
        golden: golden's detections.
        candidate: the candidate's.
        found: pairs.
        lost: golden's without a partner.
        gained: the candidate's without one, and rows that are broken in it alone.
        moved: pairs that overlap less than they should.
        rescored: pairs whose scores differ by more than they should.
        least: smallest overlap of a pair; 1 where there is none.
        change: largest difference of the scores of a pair; 0 where there is none.
    """

    golden: int
    candidate: int
    found: int
    lost: int
    gained: int
    moved: int
    rescored: int
    least: float
    change: float


class Pair(NamedTuple):
    """Two that are the same: their indices, and how much they overlap."""

    golden: int
    candidate: int
    iou: float


def corners(boxes: Array, form: Form) -> Floats:
    """(n, 4) corners of least and of greatest x and y, of boxes that are given so.

    xyxy is any two corners that lie across, as NonMaxSuppression takes them; xywh one corner and the size; cxcywh the
    centre and the size.
    """
    wide = boxes.astype(np.float64)
    first, second = wide[:, :2], wide[:, 2:]
    if form != "xyxy":
        first = first - (second / 2 if form == "cxcywh" else 0)
        second = first + second
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def overlaps(first: Floats, second: Floats) -> Floats:
    """(n, m) intersection over union of corners (n, 4) and (m, 4); 1 of boxes without area that are the same."""
    one, two = first[:, None], second[None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        size = np.clip(np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2]), 0, None)
        common = size.prod(axis=2)
        areas = (np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=2) for boxes in (one, two))
        ratio = common / (sum(areas) - common)
    same = (one == two).all(axis=2)
    return np.asarray(np.where(same, 1.0, np.nan_to_num(ratio, nan=0.0, posinf=0.0)), np.float64)


def matched(golden: Detections, candidate: Detections, iou: float, change: float | None = None) -> list[Pair]:
    """The pairs, the candidate's best-scored first; of equal scores, and of equal overlaps, the first.

    Args:
        golden: of one sample.
        candidate: of the same.
        iou: the least that a pair overlaps.
        change: the most that its scores differ; None: any.
    """
    ratios = overlaps(golden.corners, candidate.corners)
    fits = (golden.classes[:, None] == candidate.classes) & (ratios >= iou)
    if change is not None:
        fits &= np.abs(golden.scores[:, None] - candidate.scores) <= change
    ratios = np.where(fits, ratios, -1.0)
    found: list[Pair] = []
    for index in np.argsort(-candidate.scores, kind="stable") if ratios.size else ():
        best = int(np.argmax(ratios[:, index]))
        if ratios[best, index] >= 0:
            found.append(Pair(best, int(index), float(ratios[best, index])))
            ratios[best] = -1.0
    return found


def outcome(golden: Detections, candidate: Detections, terms: Terms) -> Outcome:
    """What became of golden's detections in one sample.

    Those above the floor are matched first. What is left finds a partner also a little below the floor: a score that
    falls from just above it to just below is a small change, not a loss.
    """
    first, second = _best(golden, terms), _best(candidate, terms)
    above = [np.flatnonzero(each.scores >= terms.floor) for each in (first, second)]
    below = [np.flatnonzero(each.scores < terms.floor) for each in (first, second)]
    pairs = list(_among(first, second, above[0], above[1], terms.iou))
    left = [_without(rows, (pair[side] for pair in pairs)) for side, rows in enumerate(above)]
    near = list(_among(first, second, left[0], below[1], terms.iou, terms.change))
    near += _among(first, second, below[0], left[1], terms.iou, terms.change)
    lost, gained = (_without(rows, (int(pair[side]) for pair in near)).size for side, rows in enumerate(left))
    pairs += near
    changes = [abs(float(first.scores[pair.golden] - second.scores[pair.candidate])) for pair in pairs]
    return Outcome(
        golden=above[0].size,
        candidate=above[1].size,
        found=len(pairs),
        lost=lost,
        gained=gained + max(0, candidate.broken - golden.broken),
        moved=sum(pair.iou < terms.still for pair in pairs),
        rescored=sum(change > terms.change for change in changes),
        least=min((pair.iou for pair in pairs), default=1.0),
        change=max(changes, default=0.0),
    )


def _best(detections: Detections, terms: Terms) -> Detections:
    """The best-scored that may matter, in their order."""
    rows = np.flatnonzero(detections.scores >= terms.floor - terms.change)
    best = rows[np.argsort(-detections.scores[rows], kind="stable")[: terms.most]]
    return detections.chosen(np.sort(best))


def _among(
    golden: Detections,
    candidate: Detections,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    iou: float,
    change: float | None = None,
) -> Iterator[Pair]:
    """Pairs of some of golden's and some of the candidate's, by their indices in all of them."""
    for pair in matched(golden.chosen(rows), candidate.chosen(columns), iou, change):
        yield Pair(int(rows[pair.golden]), int(columns[pair.candidate]), pair.iou)


def _without(rows: NDArray[np.intp], taken: Iterator[int | float]) -> NDArray[np.intp]:
    return np.setdiff1d(rows, np.fromiter(taken, np.intp))
