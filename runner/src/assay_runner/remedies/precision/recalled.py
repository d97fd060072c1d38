"""What searches for nodes that were before this one leave to it: engines that they built, and what failed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from assay_runner.remedies.judged import Judged
from assay_runner.remedies.precision.designs import WIDEST
from assay_runner.remedies.workshop import Heard, Memory
from assay_runner.search import Answer, Stage, Told, Verdict

SURE: Final = {Verdict.PASSED: Answer.of(True, math.inf), Verdict.FAILED: Answer.of(False, -math.inf)}


@dataclass(frozen=True)
class Recalled:
    """What is known before a search begins.

    Attributes:
        engines: of each set, in the formats that it was built in last.
        failed: sets that failed in the widest format on samples that they were not searched with.
        unfit: narrower formats in which sets failed there.
    """

    engines: Mapping[frozenset[str], list[Heard]]
    failed: tuple[frozenset[str], ...]
    unfit: frozenset[str]

    def told(self, answer: Callable[[Judged], Answer]) -> list[Told[str]]:
        """The same for a search.

        Engines that came out alike, more than once, leave no doubt. What failed elsewhere fails, and so does what is
        part of it.

        Args:
            answer: what is said of an engine with what must be to spare by now.
        """
        found: dict[frozenset[str], list[Answer]] = {kept: [SURE[Verdict.FAILED]] for kept in self.failed}
        for kept, engines in self.engines.items():
            answers = [answer(heard.found) for heard in engines]
            verdicts = {each.verdict for each in answers}
            if any(kept <= other for other in self.failed):
                answers = [SURE[Verdict.FAILED]]
            elif len(answers) > 1 and len(verdicts) == 1 and verdicts <= SURE.keys():
                answers = [SURE[verdict] for verdict in verdicts]
            found[kept] = answers
        return [(Stage.DECIDE, kept, each) for kept, answers in found.items() for each in answers]


def recalled(memory: Memory, formats: Collection[str], same: Callable[[Heard], bool]) -> Recalled:
    """What of a memory holds for a search.

    Args:
        memory: of searches before it.
        formats: that it may keep nodes in.
        same: whether an engine is what would be built of its nodes now.
    """
    narrow = [kinds for kinds in memory.failed if WIDEST in formats and {*kinds.values()} - {WIDEST}]
    failed = tuple(frozenset(kinds) for kinds in memory.failed if kinds and kinds not in narrow)
    engines: dict[frozenset[str], list[Heard]] = {}
    for heard in memory.engines:
        # What is part of something that failed in narrower formats is to be tried in the widest.
        half = {*heard.kinds.values()} - {WIDEST}
        if (half and any(heard.kinds.items() <= other.items() for other in narrow)) or not same(heard):
            continue
        before = engines.setdefault(frozenset(heard.kinds), [])
        if before and before[-1].kinds != heard.kinds:
            before.clear()
        before.append(heard)
    return Recalled(engines, failed, frozenset(kind for kinds in narrow for kind in kinds.values()) - {WIDEST})
