"""From what a trial found to an answer that a search can weigh."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Final

from assay_api.report import Verdict
from assay_runner.remedies.judged import BUILD, HIGHER_IS_BETTER, OUTPUTS, RESERVE, Judged, Said, clear, margin
from assay_runner.search import FAILED, PASSED, UNCLEAR, Answer, Purpose, Stage, Trial
from assay_runner.search import Verdict as Told

WRONG: Final = 0.03
"""Chance that a build near its limit comes out on the wrong side."""
ALIKE: Final = 3
"""Builds that confirm a design with the same figures to the last bit, after which no others are waited for."""


def answer_of(found: Judged, spare: float = RESERVE) -> Answer:
    """What a search is told, where outputs must pass by this margin.

    Without noise an answer is certain, and what cannot be told once never can; nor can be built what was refused. With
    noise one far from every limit is certain, too; one near a limit may be wrong, and is repeated where something hangs
    on it.
    """
    if found.verdict is Verdict.INCONCLUSIVE:
        ever = found.noise == "some" and not any(said.check == BUILD for said in found.said)
        return UNCLEAR if ever else Answer(Told.FAILED, -math.inf)
    passed = found.verdict is Verdict.PASSED and not any(_scarce(said, spare) for said in found.said)
    if found.noise == "none" or clear(found):
        return Answer(Told.PASSED, math.inf) if passed else Answer(Told.FAILED, -math.inf)
    return PASSED if passed else FAILED


def _scarce(said: Said, spare: float) -> bool:
    """Whether an output passes by so little that other samples would not."""
    return said.check == OUTPUTS and margin(said) < spare


class Repeats:
    """Answers to questions that were asked before: what comes out the same each time, to the last bit, has no noise.

    The trial that made a set interesting does not count: of many sets that fail some pass by luck.
    """

    def __init__(self, spare: float = RESERVE) -> None:
        """Nothing was asked yet; outputs must pass by this margin."""
        self._spare = spare
        self._seen: dict[tuple[Stage, frozenset[str]], list[tuple[object, ...]]] = defaultdict(list)
        self._fresh: Counter[tuple[Stage, frozenset[str]]] = Counter()

    def answer(self, trial: Trial[str], found: Judged) -> Answer:
        """What a search is told of one more build."""
        key = trial.stage, trial.kept
        told, figures, seen = answer_of(found, self._spare), _exact(found), self._seen[key]
        seen.append(figures)
        self._fresh[key] += trial.purpose is not Purpose.NARROW
        if told in (PASSED, FAILED) and figures and self._fresh[key] >= ALIKE and len(set(seen)) == 1:
            return Answer(told.verdict, math.inf if told is PASSED else -math.inf)
        return told


def _exact(found: Judged) -> tuple[object, ...]:
    """Figures that only equal outputs have in common; nothing where there are none: counts may be equal by chance."""
    told = tuple((said.check, said.metric, said.value) for said in found.said if said.metric in HIGHER_IS_BETTER)
    return tuple(each for each in told if each[2] is not None and math.isfinite(each[2]))
