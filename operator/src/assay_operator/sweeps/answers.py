"""What the audits of a sweep say of its cells: which have an answer, which want an audit, how they count.

A cell's answer is that of the newest audit that was made for its key. Another audit is wanted where there is none;
where an annotation asks for it; and, once a run, where the last one ended without a verdict, for that is no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from assay_api.baseline import MATTERS, joined
from assay_api.cells import Cell
from assay_api.made_for import MadeFor
from assay_api.result import shorten
from assay_api.sweep_status import WORST, BaselineCounts, CellStatus, SweepCounts
from assay_operator.sweeps.observed import Answer, SweepAudit

State = Literal["waiting", "running", "passed", "failed", "inconclusive", "errors", "over_budget"]
JUDGED: Final[Mapping[str, State]] = {"Passed": "passed", "Failed": "failed", "Inconclusive": "inconclusive"}
_WORST_FIRST: Final = {"failed": 1, "inconclusive": 2, "errors": 3}
_WORDS: Final[Mapping[State, Literal["Passed", "Failed", "Inconclusive"]]] = {
    "passed": "Passed", "failed": "Failed", "inconclusive": "Inconclusive",
}  # fmt: skip
CAUSE: Final = 200


class Wish(NamedTuple):
    """What a run asks of every cell.

    Attributes:
        run: name of the run.
        rerun: annotation that asks for everything to be audited again; nothing: none does.
        rerun_failed: the same of what did not pass.
    """

    run: str
    rerun: str = ""
    rerun_failed: str = ""


class Said(NamedTuple):
    """An audit that was made for a cell, and what it says of it, by the key of one of its candidates."""

    audit: SweepAudit
    made: MadeFor
    candidate: str
    answer: Answer | None

    @property
    def verdict(self) -> str:
        """Its verdict, or nothing."""
        return self.answer.verdict if self.answer else ""


@dataclass(frozen=True, slots=True)
class CellState:
    """Where a cell stands.

    Attributes:
        cell: the cell.
        state: where.
        said: the audit that says so, if there is one.
        message: its worst figure, or why there is none.
        before: verdict when the same place was audited before, with other content or once more; nothing: never.
    """

    cell: Cell
    state: State
    said: Said | None = None
    message: str = ""
    before: str = ""

    @property
    def baseline(self) -> str:
        """What its answer is beside its baseline, or nothing."""
        return self.said.answer.baseline if self.said and self.said.answer else ""

    @property
    def causes(self) -> tuple[str, ...]:
        """What has changed, or what failed."""
        return self.said.answer.causes if self.said and self.said.answer else ()

    @property
    def regressed(self) -> bool:
        """Whether it is worse than what was accepted; where that does not tell, it failed and passed before."""
        if self.baseline in _TELLING:
            return self.baseline == "Regressed"
        return self.state == "failed" and self.before == "Passed"

    @property
    def answer(self) -> tuple[str, str]:
        """What tells its answer from others: cells with one key share one."""
        return (self.said.audit.uid, self.said.candidate) if self.said else ("", self.cell.key)


_TELLING: Final = frozenset({"Unchanged", "Changed", "Improved", "Regressed"})


Where = tuple[str, str]
"""A place, and the key of a candidate there."""


class Answers:
    """What some audits say, by the key of the cell and by its place.

    Args:
        audits: a sweep's audits, the newest first.
    """

    def __init__(self, audits: Sequence[SweepAudit]) -> None:
        self._by_key: dict[str, list[Said]] = {}
        self._by_place: dict[Where, list[Said]] = {}
        for audit in audits:
            if (made := audit.made) is None or audit.deleting:
                continue
            for candidate, key in made.cells.items():
                said = Said(audit, made, candidate, audit.answers.get(candidate))
                self._by_key.setdefault(key, []).append(said)
                self._by_place.setdefault((made.place, candidate), []).append(said)

    def states(self, cells: Iterable[Cell], wish: Wish, refused: Mapping[str, str], several: bool) -> list[CellState]:
        """Where every cell stands.

        Args:
            cells: the cells.
            wish: what the run asks.
            refused: why no audit can be made for a cell, by its key.
            several: whether the sweep has several images.
        """
        return [self._state(cell, wish, refused, several) for cell in cells]

    def places(self) -> list[tuple[Where, Sequence[Said]]]:
        """Every place and candidate, in order, with what is said of it, the newest first."""
        return sorted(self._by_place.items())

    def others(self) -> Iterator[tuple[Where, Said]]:
        """Cells of other places that audits say they answer for, the newest audit first."""
        for said in self.all():
            for text in said.made.also.get(said.candidate, ()):
                place, _, key = text.rpartition("\n")
                yield (place, key), said

    def all(self) -> Iterator[Said]:
        """Everything that is said, of each key the newest first."""
        for found in self._by_key.values():
            yield from found

    def at(self, place: str, candidate: str) -> Sequence[Said]:
        """What is said of a place, the newest first."""
        return self._by_place.get((place, candidate), ())

    def _of(self, cell: Cell) -> Sequence[Said]:
        """What answers a cell, the newest first."""
        found = self._by_key.get(cell.key, [])
        also = [said for key in cell.also for said in self._by_key.get(key, ())]
        if not also:
            return found
        return sorted((*found, *also), key=lambda said: (said.audit.created, said.audit.name), reverse=True)

    def _state(self, cell: Cell, wish: Wish, refused: Mapping[str, str], several: bool) -> CellState:
        found = self._of(cell)
        if not found or _wanted(found, wish):
            why = refused.get(cell.key)
            return CellState(cell, "waiting") if why is None else CellState(cell, "errors", message=why)
        said = found[0]
        earlier = (s for s in self.at(place_of(cell, several), cell.place.key) if s.audit is not said.audit)
        before = next((s.verdict for s in earlier if s.verdict and s.audit.created <= said.audit.created), "")
        words = said.answer.message if said.answer else ""
        if said.verdict in JUDGED:
            return CellState(cell, JUDGED[said.verdict], said, words, before)
        if said.audit.active:
            return CellState(cell, "running", said, words, before)
        return CellState(cell, "errors", said, words or said.audit.reason, before)


def place_of(cell: Cell, several: bool) -> str:
    """What a cell is held to be the successor of: the same model, with the same image where there are several."""
    return f"{cell.place.model}\n{cell.place.image}" if several else cell.place.model


def counts(states: Iterable[CellState], run: str) -> SweepCounts:
    """How many stand where."""
    found = list(states)
    tally: Counter[str] = Counter(state.state for state in found)
    old = sum(s.state in _FINAL and s.said is not None and s.said.made.run != run for s in found)
    regressed = len({state.answer for state in found if state.regressed})
    return SweepCounts(cells=len(found), unchanged=old, regressed=regressed, **tally)


def beside_baselines(states: Iterable[CellState]) -> BaselineCounts | None:
    """Answers by what they are beside their baselines; None where none tells."""
    found = Counter({state.answer: state.baseline for state in states if state.baseline}.values())
    return BaselineCounts(**{state.lower(): found[state] for state in MATTERS}) if found else None


_FINAL: Final = frozenset(JUDGED.values())


def worst(states: Iterable[CellState], several: bool, limit: int = WORST) -> tuple[CellStatus, ...]:
    """The worst few: regressed ones first, then by verdict, then in their own order."""
    bad = [state for state in states if state.state in _WORST_FIRST or state.regressed]
    bad.sort(key=lambda state: 0 if state.regressed else _WORST_FIRST[state.state])
    return tuple(_told(state, several) for state in bad[:limit])


def left_over(
    audits: Iterable[SweepAudit], states: Iterable[CellState], answers: Answers, limit: int, several: bool
) -> list[SweepAudit]:
    """Audits that nobody needs: beyond the earlier ones kept of each cell's place, or of no cell that there is.

    Args:
        audits: the sweep's audits.
        states: where its cells stand.
        answers: what the audits say.
        limit: how many earlier audits are kept of each place.
        several: whether the sweep has several images.
    """
    needed: set[str] = set()
    for state in states:
        current = state.said.audit if state.said else None
        needed |= {current.uid} if current else set()
        said = answers.at(place_of(state.cell, several), state.cell.place.key)
        earlier = [s.audit.uid for s in said if s.audit is not current and not s.audit.active]
        # Where the new answer is still to come, the one before is all there is.
        needed |= set(earlier[: limit if current else limit + 1])
    return [audit for audit in audits if audit.uid not in needed and not audit.deleting]


def _wanted(found: Sequence[Said], wish: Wish) -> bool:
    """Whether a cell that has audits wants another one."""
    newest = found[0]
    if wish.rerun and all(said.made.rerun != wish.rerun for said in found):
        return True
    if newest.audit.active:
        return False
    if wish.rerun_failed and newest.verdict != "Passed":
        return all(said.made.rerun_failed != wish.rerun_failed for said in found)
    return newest.verdict not in JUDGED and newest.made.run != wish.run


def _told(state: CellState, several: bool) -> CellStatus:
    place = state.cell.place
    return CellStatus(
        model=place.model,
        candidate=place.candidate,
        gpu_product=place.product or None,
        image=place.image if several else None,
        verdict=_WORDS.get(state.state),
        regressed=state.regressed,
        baseline=next((each for each in MATTERS if each == state.baseline), None),
        cause=shorten(joined(state.causes), CAUSE) or None,
        message=state.message or None,
        audit=state.said.audit.name if state.said else "",
    )
