"""The search for the nodes that must run wider, and no others.

An emulation proposes, the engine decides: `search` says what to try. Where the case's backend emulates, there is one
oracle. What was found is then tried in narrower formats than FP32.

An engine rounds where its emulation does not, so its outputs may lack a little where the emulation's do not. Then the
emulation is asked for a set that has that much more to spare, which costs seconds, before engines tell sets apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from assay_runner.backends.conversion import listed
from assay_runner.graphs.blocks import blocks
from assay_runner.graphs.control_flow import control_flow
from assay_runner.remedies.baseline import fails_alike
from assay_runner.remedies.figures import to_spare
from assay_runner.remedies.judged import RESERVE, Judged, margin
from assay_runner.remedies.precision.designs import WIDEST
from assay_runner.remedies.precision.items import cost_of, items_of
from assay_runner.remedies.precision.oracle import WRONG, Repeats
from assay_runner.remedies.precision.priors import FACT
from assay_runner.remedies.precision.tries import NAME, Tries, in_words
from assay_runner.remedies.precision.words import must_run_wider, needed, nothing
from assay_runner.remedies.remedy import Cure
from assay_runner.remedies.scarce import MOST
from assay_runner.remedies.spending import OutOfBudget
from assay_runner.search import Answer, Outcome, Search, Settings, Stage, Told, Trial
from assay_runner.search import Verdict as Passing

AIMS: Final = 3
"""Times that emulations are asked for more, as an engine had less to spare than its emulation."""
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
        self.proposed: dict[frozenset[str], Judged] = {}
        """What an emulation comes to by set, where it proposes."""
        self.decided: list[Told[str]] = tries.recalled()
        self.repeats = Repeats(tries.case.spare)
        self.aims = AIMS
        self.lead = ""
        """What an engine had less to spare than its emulation, in words."""
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
            if not named or named == self.chosen or any(named <= failed for failed in self.tries.failed):
                continue
            with suppress(OutOfBudget):
                if self._emulated(named).verdict is Passing.PASSED:
                    found = self._searched(named)
                    if found.best is not None or self.hopeless:
                        return found
                    break  # What is enough in an emulation is not in an engine.
        # A whole model in FP32 passes, but not everything in it can be held.
        with suppress(OutOfBudget):
            self._emulated(self.chosen)
        return self._searched(self.chosen)

    def _with_neighbours(self, facts: frozenset[str]) -> frozenset[str]:
        """The pieces of the graph that hold them."""
        pieces = [piece for block in blocks(self.tries.outline, self.chosen) for piece in block]
        return frozenset(name for piece in pieces if not facts.isdisjoint(piece) for name in piece)

    def _emulated(self, kept: frozenset[str]) -> Answer:
        """What an emulation says of it."""
        found = self.tries.again(self.tries.holding(dict.fromkeys(kept, WIDEST)), "emulation")
        answer = self.tries.answer(found, "emulation")
        if not self.emulates:
            self.proposed[kept] = found
        elif all(kept != known for _, known, _ in self.decided):
            self.decided.append((Stage.DECIDE, kept, answer))
        return answer

    def _known(self) -> Iterator[Told[str]]:
        """All answers so far, as they are with what must be to spare by now."""
        for kept, found in self.proposed.items():
            yield Stage.PROPOSE, kept, self.tries.answer(found, "emulation")
        yield from self.decided

    def _searched(self, among: frozenset[str]) -> Outcome[str]:
        while True:
            machine = Search(
                items_of(self.tries.outline, self.suspicion, among),
                cost=cost_of(self.tries.outline, among),
                limits=self.tries.left(),
                settings=Settings(wrong=WRONG, beyond=BEYOND + math.ceil(math.log2(len(among) + 1))),
                known=[told for told in self._known() if told[1] <= among],
                with_proposals=not self.emulates,
            )
            if not self._aimed_anew(machine) or self._too_few(among):
                return machine.outcome()

    def _too_few(self, among: frozenset[str]) -> bool:
        """Whether not even all of these nodes pass with what an emulation must have to spare by now."""
        found = self.proposed.get(among)
        return among < self.chosen and found is not None and not self.tries.passed(found, "emulation")

    def _aimed_anew(self, machine: Search[str]) -> bool:
        """Go on until it ends or the budget does; the best so far stands then.

        Returns:
            Whether another search is to begin, in which emulations must have more to spare.
        """
        while (trial := machine.trial) is not None:
            try:
                found = self._answered(trial)
            except OutOfBudget:
                if machine.outcome().best is None:
                    raise
                return False
            machine.tell(self._told(trial, found))
            if trial.stage is Stage.PROPOSE or self.emulates or not self._fails(found):
                continue
            if not self.doubted:
                self.doubted = True
                self.hopeless = self._fails_as_an_engine()
            if self.hopeless:
                return False
            if self._behind(trial.kept, found):
                return True
        return False

    def _told(self, trial: Trial[str], found: Judged) -> Answer:
        """What the search is told of a trial, which is kept for others."""
        if trial.stage is Stage.PROPOSE:
            self.proposed[trial.kept] = found
            return self.tries.answer(found, "emulation")
        answer = self.repeats.answer(trial, found)
        self.decided.append((trial.stage, trial.kept, answer))
        return answer

    def _fails(self, found: Judged) -> bool:
        return self.tries.answer(found, self.tries.workshop.oracle).verdict is Passing.FAILED

    def _behind(self, kept: frozenset[str], found: Judged) -> bool:
        """Whether an engine has less to spare than its emulation, by so little that emulations are asked for it."""
        emulated = self.proposed.get(kept)
        of, mine = emulated.scarcest if emulated else None, found.scarcest
        if not self.aims or emulated is None or of is None or mine is None:
            return False
        if not self.tries.passed(emulated, "emulation"):
            return False  # It fails as its emulation does.
        less, before = margin(of) - margin(mine), self.tries.workshop.memory.ahead
        if not 0 < less <= MOST:
            return False
        self.aims -= 1
        self.lead = to_spare(mine.metric, less)
        # The more an emulation has to spare, the more an engine takes of it: a step is twice the last.
        self.tries.aim(max(less + RESERVE, 2 * before))
        return True

    def _answered(self, trial: Trial[str]) -> Judged:
        if trial.stage is Stage.PROPOSE or self.emulates:
            # Where there is no engine, sets are compared in FP32, and only the last is tried in others.
            return self.tries.again(self.tries.holding(dict.fromkeys(trial.kept, WIDEST)), "emulation")
        return self.tries.built(trial.kept)

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
        if self.lead:
            why = f"an engine had {self.lead} less to spare than its emulation"
            message = f"{message}; {why}, so emulations were asked for more"
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
