"""What an oracle says of a set that was kept wide, and how much its word weighs.

Answers are noisy near a limit: engines are not built alike twice, and a figure on few samples has an interval. So an
answer counts as evidence, in log odds: `ln((1 - p) / p)` for one that is wrong with probability `p`. Answers to the
same question add up, and a decision is made where they have added up to enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["FAILED", "PASSED", "UNCLEAR", "Answer", "Verdict", "odds", "weight"]


class Verdict(Enum):
    """One verdict of an oracle."""

    PASSED = "passed"
    FAILED = "failed"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Answer:
    """What one trial came to.

    Attributes:
        verdict: unclear where the limit lies inside the noise.
        margin: distance from the limit in standard deviations of the noise, positive on the passing side; infinite
            where there is no noise. None: not known, and the answer is as good as `Settings.wrong` says.
    """

    verdict: Verdict
    margin: float | None = None

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


def weight(answer: Answer, wrong: float, floor: float = 0.0) -> float:
    """What an answer adds to the belief that a set passes; negative where it speaks against it.

    Args:
        answer: of the oracle.
        wrong: the chance that an answer without a margin is wrong.
        floor: the least chance that any answer is wrong, whatever its margin.
    """
    if answer.margin is not None and not math.isnan(answer.margin):
        wrong = math.erfc(abs(answer.margin) / math.sqrt(2)) / 2
        passes = answer.margin > 0 if answer.verdict is Verdict.UNCLEAR else answer.verdict is Verdict.PASSED
    elif answer.verdict is Verdict.UNCLEAR:
        return 0.0
    else:
        passes = answer.verdict is Verdict.PASSED
    evidence = odds(min(0.5, max(wrong, floor)))
    return evidence if passes else -evidence
