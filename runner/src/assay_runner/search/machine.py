"""A search as its caller drives it: trial by trial, which may be journalled, replayed, and stopped at any moment.

    search = Search(items, limits=Limits(decisions=40))
    search.replay(journal.read())                 # what was answered before the process died
    while (trial := search.trial) is not None:
        answer = oracle(trial.kept)
        journal.write(trial.stage, trial.kept, answer)
        search.tell(answer)
    outcome = search.outcome()                    # at any moment: the best so far

The trials follow from the items, the settings and the answers alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Generic

from assay_runner.search.answers import Answer
from assay_runner.search.asking import Asking, Spent
from assay_runner.search.cheaper import Cost, summed
from assay_runner.search.confirming import confirmed_cure, steady
from assay_runner.search.curing import Cure, cure
from assay_runner.search.items import Item, T, checked, leaves_of
from assay_runner.search.outcome import Minimal, Outcome, Why, minimality, violation
from assay_runner.search.trials import DEFAULT, NO_LIMITS, Limits, Settings, Stage, Steps, Told, Trial

__all__ = ["Oracle", "Search", "search", "search_with_confirmation"]

Oracle = Callable[[frozenset[T]], Answer]
"""Says whether a model passes in which this set is wide and all else is narrow."""


class Search(Generic[T]):
    """A search for what to keep wide; see the module.

    Attributes:
        trial: what is to be tried next; None: the search has ended.
    """

    def __init__(
        self,
        items: Iterable[Item[T]],
        *,
        cost: Cost[T] | None = None,
        limits: Limits = NO_LIMITS,
        settings: Settings = DEFAULT,
        known: Iterable[Told[T]] = (),
        with_proposals: bool = False,
    ) -> None:
        """Begin.

        Args:
            items: in the order of the graph.
            cost: of sets; None: the sum of what the items cost.
            limits: where to end.
            settings: how sure, how thorough.
            known: answers from before; usually that all narrow fails, and that all wide passes.
            with_proposals: whether there is a cheap oracle.

        Raises:
            ValueError: of the items, or a known set that holds others.
        """
        self._items = checked(items)
        self._leaves = leaves_of(self._items)
        self._cost = cost or summed(self._items)
        # What only proposes need not be sure, and other cures are looked for where that costs little.
        cheap = replace(settings, confirmations=1)
        dear = replace(settings, alternatives=0) if with_proposals else settings
        self._asking = {
            Stage.PROPOSE: Asking[T](Stage.PROPOSE, cheap, limits.proposals),
            Stage.DECIDE: Asking[T](Stage.DECIDE, dear, limits.decisions),
        }
        self._proposals = with_proposals
        for stage, kept, answer in known:
            if not kept <= set(self._leaves):
                raise ValueError("what is known is of items that are not searched")
            self._asking[stage].note(kept, answer)
        self._ending: Cure[T] | None = None
        self._steps = self._all_steps()
        self.trial: Trial[T] | None = None
        self._advance(None)

    def _all_steps(self) -> Steps[T, Cure[T]]:
        deciding = self._asking[Stage.DECIDE]
        if self._proposals:
            return confirmed_cure(self._asking[Stage.PROPOSE], deciding, self._items, self._cost)
        return steady(lambda: cure(deciding, self._items, self._cost))

    def _advance(self, answer: Answer | None) -> None:
        try:
            self.trial = next(self._steps) if answer is None else self._steps.send(answer)
        except StopIteration as stop:
            self.trial, self._ending = None, stop.value
        except Spent:
            self.trial = None

    def tell(self, answer: Answer) -> None:
        """Take the answer to the trial.

        Raises:
            ValueError: the search has ended.
        """
        if self.trial is None:
            raise ValueError("the search has ended")
        self._advance(answer)

    def replay(self, recorded: Iterable[Told[T]]) -> None:
        """Take answers that were recorded, in their order.

        Raises:
            ValueError: they are not those of this search.
        """
        for number, (stage, kept, answer) in enumerate(recorded, start=1):
            if self.trial is None or (self.trial.stage, self.trial.kept) != (stage, kept):
                raise ValueError(f"trial {number} of the record is not one of this search")
            self.tell(answer)

    def outcome(self) -> Outcome[T]:
        """What the search came to, or would if it ended here."""
        deciding, proposing = self._asking[Stage.DECIDE], self._asking[Stage.PROPOSE]
        ending = self._ending or Cure[T](Why.BUDGET)
        passing = deciding.passing()
        # Where answers led astray, sets that passed by luck are among those that seem to pass.
        usable = [kept for kept in passing if ending.why is Why.BUDGET or deciding.confirmed(kept)]
        best = ending.best if ending.best is not None else min(usable, key=self._cost, default=None)
        core = ending.core if ending.core is not None or best is None else self._ordered(best)
        minimal, proof = self._minimality(core)
        return Outcome(
            best=best,
            cost=math.nan if best is None else self._cost(best),
            why=ending.why,
            confirmed=best is not None and deciding.confirmed(best),
            core=None if core is None else frozenset(core),
            proposed=min(proposing.passing(), key=self._cost, default=None),
            passing=tuple(passing),
            minimal=minimal,
            proof=proof,
            violation=violation(deciding),
            evaluations={stage: asking.asked for stage, asking in self._asking.items()},
        )

    def _ordered(self, kept: frozenset[T]) -> tuple[T, ...]:
        return tuple(leaf for leaf in self._leaves if leaf in kept)

    def _minimality(self, core: Sequence[T] | None) -> tuple[Minimal, tuple[frozenset[T], ...]]:
        if core is None:
            return Minimal.NOT_PROVED, ()
        for stage in (Stage.DECIDE, Stage.PROPOSE):
            asking = self._asking[stage]
            minimal, proof = minimality(asking, core, monotone=violation(asking) is None)
            if minimal is not Minimal.NOT_PROVED:
                return (minimal if stage is Stage.DECIDE else Minimal.PROPOSED), proof
        return Minimal.NOT_PROVED, ()


def search(
    items: Iterable[Item[T]],
    oracle: Oracle[T],
    *,
    cost: Cost[T] | None = None,
    limits: Limits = NO_LIMITS,
    settings: Settings = DEFAULT,
    known: Iterable[Told[T]] = (),
) -> Outcome[T]:
    """The cheapest set of items that makes an oracle pass; arguments as of `Search`."""
    machine = Search(items, cost=cost, limits=limits, settings=settings, known=known)
    return _driven(machine, {Stage.DECIDE: oracle})


def search_with_confirmation(
    items: Iterable[Item[T]],
    proposing: Oracle[T],
    deciding: Oracle[T],
    *,
    cost: Cost[T] | None = None,
    limits: Limits = NO_LIMITS,
    settings: Settings = DEFAULT,
    known: Iterable[Told[T]] = (),
) -> Outcome[T]:
    """The same with a cheap oracle that proposes, and a dear one that decides and is asked as little as possible."""
    machine = Search(items, cost=cost, limits=limits, settings=settings, known=known, with_proposals=True)
    return _driven(machine, {Stage.PROPOSE: proposing, Stage.DECIDE: deciding})


def _driven(machine: Search[T], oracles: dict[Stage, Oracle[T]]) -> Outcome[T]:
    while machine.trial is not None:
        machine.tell(oracles[machine.trial.stage](machine.trial.kept))
    return machine.outcome()
