"""An upgrade's two legs: the new engine waits for the old one's answer and is held against it; a gate tells of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from assay_api.audit import CompareWith
from assay_api.cells import Ask
from assay_api.gate import Gate, Shown, gate_of
from assay_api.legs import NOTHING, Leg
from assay_api.result import shorten
from assay_api.sweep import SweepSpec, Upgrade
from assay_api.sweep_status import GATED, GateRow, GateStatus
from assay_operator.sweeps.answers import CellState

Of = tuple[str, str]
WORDS = 240


@dataclass(frozen=True)
class Olds:
    """What the old image has answered, by model and GPU product.

    Attributes:
        upgrade: the upgrade; None: there is none, and nothing waits.
        waiting: models and products of which an answer is still to come.
        reports: the report of the old engine, where there is one.
    """

    upgrade: Upgrade | None = None
    waiting: frozenset[Of] = field(default=frozenset())
    reports: Mapping[Of, tuple[str, str]] = field(default_factory=dict)

    def over(self, ask: Ask) -> bool:
        """Whether an audit may be made: one of the new image waits for the old one's."""
        return not self._new(ask) or (ask.model.name, ask.product) not in self.waiting

    def report(self, ask: Ask) -> CompareWith | None:
        """What an audit is to be held against beside golden."""
        found = self.reports.get((ask.model.name, ask.product)) if self._new(ask) else None
        return CompareWith(uri=found[0], sha256=found[1]) if found else None

    def _new(self, ask: Ask) -> bool:
        return self.upgrade is not None and ask.image == self.upgrade.to_image


def olds(upgrade: Upgrade | None, states: Iterable[CellState]) -> Olds:
    """What the old image has answered so far."""
    if upgrade is None:
        return Olds()
    waiting: set[Of] = set()
    reports: dict[Of, tuple[str, str]] = {}
    for state in states:
        place = state.cell.place
        if place.image != upgrade.from_image:
            continue
        of = (place.model, place.product)
        if state.state == "waiting" or (state.said and state.said.audit.active):
            waiting.add(of)
        elif state.said and state.said.audit.report:
            reports.setdefault(of, state.said.audit.report)
    return Olds(upgrade, frozenset(waiting), reports)


def gate_status(spec: SweepSpec, states: Iterable[CellState]) -> GateStatus | None:
    """Whether the upgrade may go ahead, in few bytes; None where there is none."""
    if spec.upgrade is None:
        return None
    found = gate(spec, states)
    worst = tuple(
        GateRow(
            model=row.model, gpu_product=row.product or None, decision=row.decision, message=shorten(row.why, WORDS)
        )
        for row in found.rows[:GATED]
        if row.decision != "Go"
    )
    return GateStatus(
        decision=found.decision, go=found.count("Go"), go_with_remedy=found.count("GoWithRemedy"),
        no_go=found.count("NoGo"), inconclusive=found.count("Inconclusive"), cured=found.cured,
        plans_failed=found.plans_failed, emulated=found.emulated, worst=worst,
    )  # fmt: skip


def _leg(state: CellState) -> Leg:
    """What an answer says; of an audit that ended without one, why."""
    leg = state.said.answer.leg if state.said and state.said.answer else NOTHING
    return replace(leg, message=state.message) if state.state == "errors" and not leg.verdict else leg


def gate(spec: SweepSpec, states: Iterable[CellState]) -> Gate:
    """All that the answers of a sweep with an upgrade come to."""
    assert spec.upgrade is not None, "the sweep has no upgrade"
    plans = {candidate.name for candidate in spec.template.candidates if candidate.engine}
    new = spec.upgrade.to_image
    return gate_of(
        Shown(
            state.cell.place.model, state.cell.place.key, state.cell.place.image == new,
            state.cell.place.candidate in plans,
            _leg(state),
        )
        for state in states
    )  # fmt: skip
