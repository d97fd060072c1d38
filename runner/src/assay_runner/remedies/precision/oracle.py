"""From what a trial found to an answer that a search can weigh."""

from __future__ import annotations

import math
from typing import Final

from assay_api.report import Verdict
from assay_runner.remedies.judged import BUILD, Judged, Said, clear, margin
from assay_runner.search import FAILED, PASSED, UNCLEAR, Answer
from assay_runner.search import Verdict as Told

WRONG: Final = 0.03
"""Chance that a build near its limit comes out on the wrong side."""


RESERVE: Final = 1 / 30
"""Margin, 1 dB, by which outputs must pass while they are searched with: samples that were not seen have a worst one of
their own."""


def answer_of(found: Judged) -> Answer:
    """What a search is told.

    Without noise an answer is certain, and what cannot be told once never can; nor can be built what was refused. With
    noise one far from every limit is certain, too; one near a limit may be wrong, and is repeated where something hangs
    on it.
    """
    if found.verdict is Verdict.INCONCLUSIVE:
        ever = found.noise == "some" and not any(said.check == BUILD for said in found.said)
        return UNCLEAR if ever else Answer(Told.FAILED, -math.inf)
    passed = found.verdict is Verdict.PASSED and not any(_scarce(said) for said in found.said)
    if found.noise == "none" or clear(found):
        return Answer(Told.PASSED, math.inf) if passed else Answer(Told.FAILED, -math.inf)
    return PASSED if passed else FAILED


def _scarce(said: Said) -> bool:
    """Whether an output passes by so little that other samples would not."""
    return said.check == "outputDrift" and margin(said) < RESERVE
