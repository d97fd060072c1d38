"""Rebuilds of a candidate: built, judged, their tactics and bits looked at, and kept as the report will tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, Literal

from assay_api.remedies import Remedies, TacticsRemedy
from assay_api.repair_tactics import RebuildEntry, TacticsRecord
from assay_api.report import Verdict
from assay_runner.backends.backend import Capability
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.tensorrt.timing import EDITABLE
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.judged import Judged, Kernels
from assay_runner.remedies.judging import OF_OUTPUTS
from assay_runner.remedies.tactics.blame import Seen
from assay_runner.remedies.workshop import Workshop
from assay_runner.stores import join

How = Literal["free", "shaken", "held", "without", "noChoice", "pinned", "route"]
REMEDY: Final = "tactics"
MOST_SESSIONS: Final = 10
"""Most sessions in which one engine must give the same bits."""
MOST_TOLD: Final = 64
"""Most layers of a build that the report tells; its file tells all."""


@dataclass(frozen=True)
class Rebuild:
    """One build.

    Attributes:
        trial: its number.
        how: see `RebuildEntry.how`.
        design: what was built.
        judged: what came of it.
        record: URI of its tactics; None where nothing tells them.
    """

    trial: int
    how: How
    design: Design
    judged: Judged
    record: str | None

    @property
    def kernels(self) -> Kernels:
        """What it chose; nothing where it could not be built."""
        return self.judged.kernels or Kernels()

    @property
    def verdict(self) -> Verdict:
        """The worst finding."""
        return self.judged.verdict


class Bench:
    """Builds one case again and again.

    Attributes:
        count: builds to begin with, and of each proof.
        holds: whether a build can be held to tactics.
        done: every build so far.
    """

    def __init__(self, case: Case, asked: Remedies, workshop: Workshop) -> None:
        """Nothing is built yet."""
        self.case, self.workshop = case, workshop
        self.count = (asked.tactics or TacticsRemedy()).rebuilds
        # At level 0 the builder takes the first kernel that works, and asks nobody.
        self.holds = case.backend.can(Capability.TACTICS) and case.design.order.options.optimization_level != 0
        self.done: list[Rebuild] = []
        self._names = OF_OUTPUTS | case.failing

    @property
    def order(self) -> BuildOrder:
        """The candidate's, every choice left to the builder, and told where it can be."""
        order = replace(self.case.design.order.choosing, tactics={} if self.holds else None)
        if self.holds or not self.case.backend.can(Capability.TIMINGS):
            return order
        flags = tuple(dict.fromkeys((*order.options.flags, EDITABLE)))
        return replace(order, options=order.options.model_copy(update={"flags": flags}))

    def design(self, words: str, order: BuildOrder | None = None) -> Design:
        """The candidate, ordered so."""
        return replace(self.case.design, order=order or self.order, words=words)

    def build(self, how: How, design: Design) -> Rebuild:
        """Build it once more, without any timing that another build has left.

        Raises:
            OutOfBudget: the budget is spent.
            Unavailable: the store, memory or the device gave out.
        """
        again = sum(each.design.order == design.order for each in self.done)
        judged = self.workshop.judged(
            design, REMEDY, attempt=again, names=frozenset(self._names), sessions=min(self.count, MOST_SESSIONS)
        )
        trial = self.workshop.entries[-1].number
        made = Rebuild(trial, how, design, judged, self._recorded(trial, design, judged.kernels))
        self.done.append(made)
        return made

    def several(self, how: How, design: Design, count: int, until: Verdict | None = None) -> list[Rebuild]:
        """Build it so often, or until one has this verdict."""
        found: list[Rebuild] = []
        while len(found) < count and not (found and found[-1].verdict is until):
            found.append(self.build(how, design))
        return found

    def affords(self, builds: int) -> bool:
        """Whether the budget still has these builds, and one to audit what was found."""
        spending = self.workshop.spending
        return spending.budget.builds - spending.builds > builds

    def of(self, *how: How) -> list[Rebuild]:
        """Builds of these kinds."""
        return [each for each in self.done if each.how in how]

    def seen(self) -> list[Seen]:
        """What statistics are made of: builds that chose freely or were shaken, as far as they are decided."""
        decided = [each for each in self.of("free", "shaken") if each.verdict is not Verdict.INCONCLUSIVE]
        return [Seen(each.kernels.tactics, each.verdict is Verdict.FAILED) for each in decided]

    def entries(self) -> tuple[RebuildEntry, ...]:
        """All builds, for the report."""
        first = differing(each.kernels.tactics for each in self.done)
        return tuple(_entry(each, first) for each in self.done)

    def _recorded(self, trial: int, design: Design, kernels: Kernels | None) -> str | None:
        if kernels is None or not kernels.source or not self.workshop.artifacts:
            return None
        uri = join(self.workshop.artifacts, REMEDY, f"{trial}.json")
        record = TacticsRecord(
            words=design.words, source=kernels.source, tactics=kernels.tactics, unseen=kernels.unseen
        )
        self.workshop.store.put(uri, record.file, "application/json")
        return uri


def differing(builds: Iterable[Mapping[str, str]]) -> list[str]:
    """All layers of these builds, those whose tactic differs among them first."""
    builds = list(builds)
    layers = Counter(layer for tactics in builds for layer in tactics)
    same = {layer: len({tactics.get(layer) for tactics in builds}) == 1 for layer in layers}
    return sorted(layers, key=lambda layer: (same[layer], layer))


def outputs(builds: Iterable[Rebuild]) -> int:
    """How many different outputs builds give; one engine that does not agree with itself counts as more than one."""
    return len({bits for build in builds for bits in build.kernels.bits})


def latency(builds: Sequence[Rebuild]) -> float | None:
    """Median latency of builds, ms; None where none was timed."""
    known = [build.kernels.latency_ms for build in builds if build.kernels.latency_ms is not None]
    return median(known) if known else None


def passing(builds: Iterable[Rebuild]) -> int:
    """How many builds pass."""
    return sum(build.verdict is Verdict.PASSED for build in builds)


def failing(builds: Iterable[Rebuild]) -> int:
    """How many builds fail."""
    return sum(build.verdict is Verdict.FAILED for build in builds)


def _entry(build: Rebuild, first: Sequence[str]) -> RebuildEntry:
    found = build.kernels
    told = [layer for layer in first if layer in found.tactics][:MOST_TOLD]
    return RebuildEntry(
        trial=build.trial,
        how=build.how,
        verdict=build.verdict,
        source=found.source,
        tactics={layer: found.tactics[layer] for layer in told},
        layers=len(found.tactics),
        bits=found.bits,
        latency_ms=found.latency_ms,
        record=build.record,
    )
