"""What an oracle says of a set that was kept wide, and how much its word weighs.

Answers are noisy near a limit: engines are not built alike twice, and a figure on few samples has an interval. So an
answer counts as evidence, in log odds: `ln((1 - p) / p)` for one that is wrong with probability `p`. Answers to the
same question add up, and a decision is made where they have added up to enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["FAILED", "PASSED", "UNCLEAR", "Answer", "Verdict", "belief", "odds"]


class Verdict(Enum):
    """One verdict of an oracle."""

    PASSED = "passed"
    FAILED = "failed"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Answer:
    """What one trial came to.

    Attributes:
        verdict: unclear where the limit lies inside the noise; with a margin, only that counts.
        margin: distance from the limit in standard deviations of the noise, positive on the passing side; infinite
            where there is no noise. None: not known, and the answer is as good as `Settings.wrong` says.
    """

    verdict: Verdict
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.margin is None:
            return
        if math.isnan(self.margin):
            raise ValueError("a margin must be a number; leave it out where it is not known")
        if (self.verdict is Verdict.PASSED and self.margin < 0) or (self.verdict is Verdict.FAILED and self.margin > 0):
            raise ValueError(f"what {self.verdict.value} cannot have a margin of {self.margin}")

    @classmethod
    def of(cls, passed: bool, margin: float | None = None) -> Answer:
        """The answer of an oracle that knows only yes and no."""
        return cls(Verdict.PASSED if passed else Verdict.FAILED, margin)


PASSED = Answer(Verdict.PASSED)
FAILED = Answer(Verdict.FAILED)
UNCLEAR = Answer(Verdict.UNCLEAR)


def odds(wrong: float) -> float:
    """Evidence of an answer that is wrong with that probability, from 0 to 1/2: natural log odds, at most infinite."""
    return math.log((1 - wrong) / wrong) if wrong > 0 else math.inf


def belief(answers: Sequence[Answer], wrong: float, floor: float = 0.0) -> float:
    """Log odds that a set passes after independent answers of it; infinite if one is certain, NaN if two such differ.

    Margins are of the same distance, so they are averaged, which shrinks their noise; answers without one add up.

    Args:
        answers: of the oracle.
        wrong: the chance that an answer without a margin is wrong.
        floor: the least chance that any answer is wrong, whatever its margin; it then counts like one without.
    """
    margins = [answer.margin for answer in answers if answer.margin is not None]
    if floor or not margins:
        total = 0.0
        # Not sum(): infinities of both signs are to come out as NaN in every version of Python.
        for answer in answers:
            total += _alone(answer, wrong, floor)
        return total
    others = [answer for answer in answers if answer.margin is None]
    mean = sum(margins) / math.sqrt(len(margins))
    return _of_margin(mean, floor) + belief(others, wrong)


def _alone(answer: Answer, wrong: float, floor: float) -> float:
    if answer.margin is not None:
        return _of_margin(answer.margin, floor)
    if answer.verdict is Verdict.UNCLEAR:
        return 0.0
    evidence = odds(max(wrong, floor))
    return evidence if answer.verdict is Verdict.PASSED else -evidence


def _of_margin(margin: float, floor: float) -> float:
    if math.isnan(margin):
        return math.nan
    evidence = odds(max(math.erfc(abs(margin) / math.sqrt(2)) / 2, floor))
    return math.copysign(evidence, margin)
