"""Designs of a candidate in which nodes run wider, and what trials say of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from assay_api.remedies import PrecisionRemedy
from assay_runner.backends.conversion import listed
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import name_of
from assay_runner.remedies.case import Case, Design
from assay_runner.remedies.judged import Judged, clear
from assay_runner.remedies.judging import OF_PRECISION
from assay_runner.remedies.precision.designs import WIDEST, formats
from assay_runner.remedies.precision.oracle import answer_of
from assay_runner.remedies.precision.recalled import recalled
from assay_runner.remedies.spending import Oracle, OutOfBudget
from assay_runner.remedies.workshop import Heard, Workshop
from assay_runner.search import Answer, Item, Limits, Stage, Told, Verdict, search

NAME: Final = "precision"
RESERVED: Final = 2
"""Trials of what decides that are kept back for a narrower format and for the audit of what was found."""
COSTLY: Final = frozenset({"finite", "layerDrift"})
"""Checks that take engines of their own, which show tensors: an audit asks them, and a trial by an engine where the
candidate fails them."""
APART: Final = 16
"""Emulations that are spent on telling which nodes of a set need the widest format, where not all can do without it."""


class Tries:
    """What is tried of one candidate."""

    def __init__(
        self, case: Case, base: Design, asked: PrecisionRemedy, workshop: Workshop, ignored: frozenset[str]
    ) -> None:
        """Begin.

        Args:
            case: the candidate.
            base: what is built of it where nothing runs wider, its types explicit.
            asked: which formats may be kept.
            workshop: where it is tried.
            ignored: checks that tell nothing.
        """
        self.case, self.base, self.asked, self.workshop = case, base, asked, workshop
        self.precision = str(base.order.precision)
        self.outline = load_outline(base.model.path)
        self.ignored = ignored
        self.eight_bit: frozenset[str] = frozenset()
        """Nodes that would run in 8 bits."""
        self.latency: dict[frozenset[str], float] = {}
        """Milliseconds of a batch by set of nodes, where an engine was timed."""
        self.unfit: set[str] = set()
        """Formats that an engine did not pass in although its emulation did."""
        self._built: set[frozenset[str]] = set()
        self.failed: tuple[frozenset[str], ...] = ()
        """Sets that failed in the widest format on samples that they were not searched with."""
        self._order = [name_of(node) for node in self.outline.graph.node]
        self._kinds: dict[frozenset[str], Mapping[str, str]] = {}
        self._asked: Counter[tuple[Oracle, frozenset[str]]] = Counter()

    def tried(self, design: Design, oracle: Oracle, attempt: int = 0) -> Judged:
        """A trial, judged by checks that can tell something: one that cannot must not end it before those are asked.

        Raises:
            OutOfBudget: the budget is spent.
        """
        names = OF_PRECISION - self.ignored
        if oracle == "build":
            names -= COSTLY - self.case.failing
        found = self.workshop.judged(design, NAME, oracle, attempt=attempt, names=names)
        if oracle == self.workshop.oracle:
            self.workshop.heard(design, found)
        return found

    def again(self, design: Design, oracle: Oracle) -> Judged:
        """A trial that is one more of the same where there was one.

        Raises:
            OutOfBudget: the budget is spent.
        """
        key = oracle, _held(design)
        self._asked[key] += 1
        return self.tried(design, oracle, self._asked[key] - 1)

    def built(self, kept: frozenset[str]) -> Judged:
        """What an engine with this set wider comes to; one that fails in narrower formats is built in the widest too.

        Raises:
            OutOfBudget: the budget is spent.
        """
        found = self._engine(kept)
        if kept and self.answer(found, "build").verdict is Verdict.FAILED and self.widened(kept):
            found = self._engine(kept)
        return found

    def _engine(self, kept: frozenset[str]) -> Judged:
        kinds = self.kinds(kept)
        design = self.holding(kinds)
        found = self.again(design, "build")
        self.workshop.memory.engines.append(Heard(kinds, self.workshop.key(design), found))
        self._remember(kept, found)
        return found

    def _remember(self, kept: frozenset[str], found: Judged) -> None:
        self._built.add(kept)
        if found.latency_ms is not None:
            self.latency[kept] = found.latency_ms

    def recalled(self) -> list[Told[str]]:
        """What is known from searches before this one, with what must be to spare by now."""
        found = recalled(
            self.workshop.memory, self.asked.to, lambda heard: self.workshop.key(self.holding(heard.kinds)) == heard.key
        )
        self.unfit |= found.unfit
        self.failed = found.failed
        for kept, engines in found.engines.items():
            self._kinds[kept] = engines[-1].kinds
            self._asked["build", _held(self.holding(self._kinds[kept]))] += len(engines)
            for heard in engines:
                self._remember(kept, heard.found)
        return found.told(lambda judged: self.answer(judged, "build"))

    def passing(self, design: Design) -> Judged | None:
        """What the case's own backend says of what passes; by emulation first, where that is not all there is.

        Raises:
            OutOfBudget: the budget is spent.
        """
        found = self.tried(design, "emulation")
        if not self.passed(found, "emulation"):
            return None
        if self.workshop.oracle == "build":
            found = self.tried(design, "build")
        return found if self.passed(found, self.workshop.oracle) else None

    def spare(self, oracle: Oracle) -> float:
        """Margin by which outputs must pass; emulations also by what an engine had less than the emulation of it."""
        return self.case.spare + (self.workshop.memory.ahead if oracle != self.workshop.oracle else 0.0)

    def aim(self, ahead: float) -> None:
        """Ask emulations for so much more than engines."""
        self.workshop.memory.ahead = ahead
        self._choose_anew()

    def _choose_anew(self) -> None:
        """Forget in which formats emulations of sets passed, but for those that are built: they are what was judged."""
        self._kinds = {kept: kinds for kept, kinds in self._kinds.items() if kept in self._built}

    def answer(self, found: Judged, oracle: Oracle) -> Answer:
        """What a search is told of a trial."""
        return answer_of(found, self.spare(oracle))

    def passed(self, found: Judged, oracle: Oracle) -> bool:
        """Whether a trial passes with what must be to spare."""
        return self.answer(found, oracle).verdict is Verdict.PASSED

    def left(self) -> Limits:
        """Trials that a search may make."""
        spent = self.workshop.spending
        builds, proposals = spent.budget.builds - spent.builds, spent.budget.proposals - spent.proposals
        return Limits(max(1, (proposals if self.case.emulates else builds) - RESERVED), max(1, proposals))

    def named(self, kept: Collection[str]) -> str:
        """The nodes in the order of the graph, the first few."""
        return listed([name for name in self._order if name in kept])

    def holding(self, kinds: Mapping[str, str]) -> Design:
        """The candidate with these nodes in wider formats, by node."""
        if not kinds:
            return replace(self.base, words=f"every node in {self.precision.upper()}")
        nodes = "1 node" if len(kinds) == 1 else f"{len(kinds)} nodes"
        words = f"{nodes} in {in_words(kinds.values())}: {self.named(kinds)}"
        if self.eight_bit and self.eight_bit <= kinds.keys():
            # Nothing is left to quantise.
            narrow = set(kinds.values()) == {"fp16"}
            return self.base.in_fp16(words) if narrow else self.base.in_fp32(words)
        return self.base.holding(dict(sorted(kinds.items())), words)

    def kinds(self, kept: frozenset[str]) -> Mapping[str, str]:
        """What an engine is built with: the narrowest formats in which an emulation of the set passes, by node."""
        if kept not in self._kinds:
            self._kinds[kept] = self.narrowest(kept)
        return self._kinds[kept]

    def widened(self, kept: frozenset[str]) -> bool:
        """Let a set have the widest format from here on, as its engine fails in others; False where it has it."""
        narrow = set(self.kinds(kept).values()) - {WIDEST}
        if not narrow or WIDEST not in self.asked.to:
            return False
        self.unfit |= narrow
        self._choose_anew()
        self._kinds[kept] = dict.fromkeys(kept, WIDEST)
        return True

    def narrowest(self, kept: frozenset[str]) -> Mapping[str, str]:
        """The narrowest formats asked for in which the set passes too, by node; at last the widest, it was found with.

        Of products that are kept out of 8 bits a half may be beyond the range of a few, which then fail by far: those
        alone are wider. Elsewhere two formats in one set would take more casts than they spare.
        """
        others = [kind for kind in formats(self.precision)[:-1] if kind in self.asked.to and kind not in self.unfit]
        widest = dict.fromkeys(kept, WIDEST)
        try:
            for kind in others if kept else ():
                found = self.tried(self.holding(dict.fromkeys(kept, kind)), "emulation")
                if self.passed(found, "emulation"):
                    return dict.fromkeys(kept, kind)
                if self.eight_bit and len(kept) > 1 and clear(found) and WIDEST in self.asked.to:
                    return self._apart(kept, kind)
        except OutOfBudget:
            pass
        return widest

    def _apart(self, kept: frozenset[str], kind: str) -> Mapping[str, str]:
        """The widest format for as few of the nodes as can be told in a few trials, another one for all others."""

        def kinds(wide: frozenset[str]) -> dict[str, str]:
            return {name: WIDEST if name in wide else kind for name in kept}

        def passes(wide: frozenset[str]) -> Answer:
            return self.answer(self.tried(self.holding(kinds(wide)), "emulation"), "emulation")

        items = [Item(name) for name in self._order if name in kept]
        limits = Limits(decisions=min(APART, self.left().proposals or 1))
        ends = (kept, Answer.of(True, math.inf)), (frozenset[str](), Answer.of(False, -math.inf))
        known = [(Stage.DECIDE, wide, answer) for wide, answer in ends]
        found = search(items, passes, limits=limits, known=known)
        return kinds(kept if found.best is None else found.best)


def _held(design: Design) -> frozenset[str]:
    held = (f"{kind} {name}" for name, kind in design.order.held.items())
    return frozenset((f"all else {design.order.precision}", *held))


def in_words(kinds: Collection[str]) -> str:
    """Formats, for people: "FP16", "BF16 and 2 of them in FP32"."""
    counts = Counter(kinds)
    wide = counts.pop(WIDEST, 0)
    if not counts:
        return WIDEST.upper()
    others = " or ".join(sorted(kind.upper() for kind in counts))
    return f"{others}, {wide} of them in {WIDEST.upper()}" if wide else others
