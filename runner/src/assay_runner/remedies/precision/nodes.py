"""The search for the nodes that must run wider, and no others.

An emulation proposes, the engine decides: `search` says what to try. Where the case's backend emulates, there is one
oracle. What was found is then tried in narrower formats than FP32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from assay_runner.backends.conversion import listed
from assay_runner.graphs.blocks import blocks
from assay_runner.graphs.control_flow import control_flow
from assay_runner.remedies.baseline import fails_alike
from assay_runner.remedies.judged import Judged
from assay_runner.remedies.precision.items import cost_of, items_of
from assay_runner.remedies.precision.oracle import WRONG, Repeats
from assay_runner.remedies.precision.priors import FACT
from assay_runner.remedies.precision.tries import NAME, WIDEST, Tries, in_words
from assay_runner.remedies.precision.words import must_run_wider, needed, nothing
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.spending import Oracle, OutOfBudget
from assay_runner.search import Answer, Outcome, Search, Settings, Stage, Told, Trial, Why
from assay_runner.search import Verdict as Passing

BEYOND: Final = 2
"""Sets that are tried beside those that tell any two nodes apart, where all wide fails."""


class Nodes:
    """One search."""

    def __init__(self, tries: Tries, chosen: frozenset[str], suspicion: Mapping[str, float]) -> None:
        """Begin.

        Args:
            tries: where sets are tried.
            chosen: nodes that could run wider.
            suspicion: by node.
        """
        self.tries, self.chosen, self.suspicion = tries, chosen, suspicion
        self.emulates = tries.case.emulates
        self.told: list[Told[str]] = []
        self.repeats = Repeats(tries.case.spare)
        self.doubted = False
        self.hopeless: Cure | None = None

    def cure(self) -> Cure:
        """Nodes that must run wider, or why there are none.

        Raises:
            OutOfBudget: the budget is spent before anything passes.
        """
        outcome = self._opened()
        return self.hopeless or self._found(outcome)

    def _opened(self) -> Outcome[str]:
        """Search what cannot be right alone where that is enough, else all.

        Values and sums beyond the format are no suspicion but a fact; mostly there is nothing else to mend.
        """
        facts = facts_of(self.suspicion, self.chosen)
        for named in dict.fromkeys((facts, self._with_neighbours(facts))):
            if named and named < self.chosen and self._emulated(named).verdict is Passing.PASSED:
                found = self._searched(named)
                if found.best is not None or found.why is Why.BUDGET or self.hopeless:
                    return found
                break  # What is enough in an emulation is not in an engine.
        # A whole model in FP32 passes, but not everything in it can be held.
        self._emulated(self.chosen)
        return self._searched(self.chosen)

    def _with_neighbours(self, facts: frozenset[str]) -> frozenset[str]:
        """The pieces of the graph that hold them."""
        pieces = [piece for block in blocks(self.tries.outline, self.chosen) for piece in block]
        return frozenset(name for piece in pieces if not facts.isdisjoint(piece) for name in piece)

    def _emulated(self, kept: frozenset[str]) -> Answer:
        """What an emulation says of it."""
        answer = self.tries.answer(self.tries.again(self.tries.holding(dict.fromkeys(kept, WIDEST)), "emulation"))
        self.told.append((Stage.DECIDE if self.emulates else Stage.PROPOSE, kept, answer))
        return answer

    def _searched(self, among: frozenset[str]) -> Outcome[str]:
        machine = Search(
            items_of(self.tries.outline, self.suspicion, among),
            cost=cost_of(self.tries.outline, among),
            limits=self.tries.left(),
            settings=Settings(wrong=WRONG, beyond=BEYOND + math.ceil(math.log2(len(among) + 1))),
            known=[told for told in self.told if told[1] <= among],
            with_proposals=not self.emulates,
        )
        self._drive(machine)
        return machine.outcome()

    def _drive(self, machine: Search[str]) -> None:
        """Until it ends or the budget does; the best so far stands then."""
        while (trial := machine.trial) is not None:
            try:
                found = self._answered(trial)
            except OutOfBudget:
                if machine.outcome().best is None:
                    raise
                return
            answer = self.repeats.answer(trial, found)
            self.told.append((trial.stage, trial.kept, answer))
            machine.tell(answer)
            built = trial.stage is Stage.DECIDE and not self.emulates
            if built and answer.verdict is Passing.FAILED and not self.doubted:
                self.doubted = True
                self.hopeless = self._fails_as_an_engine()
            if self.hopeless:
                return

    def _answered(self, trial: Trial[str]) -> Judged:
        """A trial; where an engine fails in a format in which its emulation passes, that of the same set in FP32."""
        tries, wide = self.tries, dict.fromkeys(trial.kept, WIDEST)
        if trial.stage is Stage.PROPOSE or self.emulates:
            # Where there is no engine, sets are compared in FP32, and only the last is tried in others.
            return tries.again(tries.holding(wide), "emulation")
        oracle: Oracle = "build"
        found = tries.again(tries.holding(tries.kinds(trial.kept)), oracle)
        if tries.answer(found).verdict is Passing.FAILED and trial.kept and tries.widened(trial.kept):
            found = tries.again(tries.holding(wide), oracle)
        if found.latency_ms is not None:
            tries.latency[trial.kept] = found.latency_ms
        return found

    def _fails_as_an_engine(self) -> Cure | None:
        """Whether an engine fails in FP32 too, asked once one fails of which emulation says that it passes."""
        try:
            return fails_alike(self.tries.case, self.tries.workshop, NAME, "build")
        except OutOfBudget:
            return None

    def _found(self, outcome: Outcome[str]) -> Cure:
        """What the search came to, in words; narrower formats tried."""
        asked = self.tries.asked
        most = asked.most_nodes
        if not outcome.best or (most is not None and len(outcome.best) > most):
            return nothing(outcome, most, self._inside())
        kinds = self.tries.kinds(outcome.best)
        said = in_words(kinds.values())
        message = must_run_wider(outcome, self.tries.named, len(self.chosen), said, self.tries.precision)
        if ranged := self.tries.case.ranged:
            message = f"{message}; its ranges are those by {ranged.words}"
        if not {*kinds.values()} <= {*asked.to}:
            return Cure(None, f"{message}; remedies.precision.to leaves that format out", "NotCured")
        return Cure(self.tries.holding(kinds), message, "Found", dict(sorted(kinds.items())), needed(outcome))

    def _inside(self) -> str:
        """What cannot be kept wide, in words."""
        names = [site.node or site.tensor for site in control_flow(self.tries.outline)]
        if not names:
            return ""
        return f"; what is inside the control flow of {listed(names)} stays {self.tries.precision.upper()}"


def facts_of(suspicion: Mapping[str, float], chosen: frozenset[str]) -> frozenset[str]:
    """Nodes of which it is no suspicion that their format cannot hold what they make or read."""
    return frozenset(name for name in chosen if suspicion.get(name, 0.0) >= FACT)
