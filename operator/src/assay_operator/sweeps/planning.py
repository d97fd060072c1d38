"""Which audits a run makes now: those that its cells want, as many as there is room for and the budget pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from assay_api.cells import Ask, Cell, asks, expand
from assay_api.prices import Prices
from assay_api.resolved import ModelFound
from assay_api.sweep import SweepSpec
from assay_api.sweep_status import SweepCounts, SweepTarget
from assay_operator.objects.raw import Manifest
from assay_operator.objects.resources import Ref
from assay_operator.objects.seen import Seen
from assay_operator.sweeps.answers import Answers, CellState, Wish, counts
from assay_operator.sweeps.costs import affordable, committed, measured, spent
from assay_operator.sweeps.manifests import Impossible, audit_manifest
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit
from assay_operator.sweeps.places import Places
from assay_operator.sweeps.run import Refused, parsed
from assay_operator.sweeps.upgrades import Olds, olds

HOUR: Final = 3_600.0


@dataclass(frozen=True)
class Plan:
    """What a pass over a run that has its models is to make.

    Attributes:
        states: where every cell stands.
        make: manifests of audits.
        making: the asks that they answer.
        short: asks that the budget does not pay for.
        refused: whether none is made, for all of them would exceed the budget.
        estimated: GPU seconds of all that is asked; None: nothing was measured.
    """

    states: Sequence[CellState]
    make: tuple[Manifest, ...] = ()
    making: tuple[Ask, ...] = ()
    short: tuple[Ask, ...] = ()
    refused: bool = False
    estimated: int | None = None

    def counts(self, run: str) -> SweepCounts:
        """How many cells stand where, those that are being made among them."""
        found = counts(self.states, run)
        making, short = ({cell.key for ask in part for cell in ask.cells} for part in (self.making, self.short))
        waiting = [state.cell.key for state in self.states if state.state == "waiting"]
        begun, unpaid = sum(key in making for key in waiting), sum(key in short for key in waiting)
        update = {
            "waiting": len(waiting) - begun - unpaid, "running": found.running + begun, "over_budget": unpaid,
        }  # fmt: skip
        return found.model_copy(update=update)


def cells_of(
    sweep: Sweep, models: tuple[ModelFound, ...], targets: tuple[SweepTarget, ...], images: tuple[str, ...]
) -> tuple[Cell, ...]:
    """Every cell of a sweep; see `cells.expand`."""
    return _cells_of(sweep.spec, models, targets, images)


def plan_of(
    sweep: Sweep, spec: SweepSpec, cells: Sequence[Cell], models: Sequence[ModelFound], wish: Wish, seen: Seen,
    audits: Sequence[SweepAudit], answers: Answers, places: Places,
) -> Plan:  # fmt: skip
    """What to make.

    Args:
        sweep: the sweep.
        spec: its spec.
        cells: its cells.
        models: what was found of its models.
        wish: what the run asks of every cell.
        seen: what is there, for audits that the API server has refused.
        audits: the sweep's audits, the newest first.
        answers: what they say.
        places: who may begin.
    """
    several = len(spec.runner_images) > 1
    states = answers.states(cells, wish, {}, several)
    waiting = (state.cell for state in states if state.state == "waiting")
    # Before the budget is dealt out: what no node could take is not to use up what others need.
    wanted = places.in_order(asks(waiting, models, spec.template))
    before = olds(spec.upgrade, states)
    price = measured(audits, spec.template)
    estimated = None if price.overall is None else round(sum(map(price.of, wanted)))
    payable, refused = _payable(spec, wanted, wish.run, audits, price)
    make, impossible = _make(sweep, spec, payable, places, wish, seen, before)
    if impossible:
        states = answers.states(cells, wish, impossible, several)
        if spec.upgrade:
            # What the old image can never answer, the new one need not wait for.
            before = olds(spec.upgrade, states)
            make, more = _make(sweep, spec, payable, places, wish, seen, before)
            states = answers.states(cells, wish, impossible | more, several)
    return Plan(
        states=states, make=tuple(manifest for _, manifest in make), making=tuple(ask for ask, _ in make),
        short=() if spec.suspend else wanted[len(payable) :], refused=refused, estimated=estimated,
    )  # fmt: skip


def begun(audits: Sequence[SweepAudit], run: str) -> bool:
    """Whether a run has made audits."""
    return any(audit.made is not None and audit.made.run == run for audit in audits)


def _payable(
    spec: SweepSpec, wanted: tuple[Ask, ...], run: str, audits: Sequence[SweepAudit], price: Prices
) -> tuple[tuple[Ask, ...], bool]:
    """What the budget pays for, and whether nothing is begun for all of it is too dear."""
    if spec.budget is None:
        return wanted, False
    left = spec.budget.gpu_hours * HOUR - spent(audits, run) - committed(audits, run, price)
    payable = affordable(wanted, price, left)
    if spec.budget.when_over == "Refuse" and len(payable) < len(wanted) and not begun(audits, run):
        return (), True
    return payable, False


def _make(
    sweep: Sweep, spec: SweepSpec, payable: Sequence[Ask], places: Places, wish: Wish, seen: Seen, before: Olds
) -> tuple[list[tuple[Ask, Manifest]], dict[str, str]]:
    """Audits to be made, and why cells can have none, by their keys."""
    make: list[tuple[Ask, Manifest]] = []
    impossible: dict[str, str] = {}
    for ask in () if spec.suspend else payable:
        if why := places.given_up(ask):
            impossible |= dict.fromkeys((cell.key for cell in ask.cells), why)
            continue
        if not (places.free(ask) and before.over(ask)):
            continue
        manifest = audit_manifest(sweep, spec, ask, wish, before.report(ask))
        if isinstance(manifest, Impossible):
            impossible |= dict.fromkeys((cell.key for cell in ask.cells), manifest.message)
            continue
        refusal = seen.refused.get(Ref(AUDITS, manifest["metadata"]["name"]))
        if refusal and refusal.for_good:
            why = f"its audit was refused: {refusal.message}"
            impossible |= dict.fromkeys((cell.key for cell in ask.cells), why)
            continue
        make.append((ask, manifest))
        places = places.with_one(ask)
    return make, impossible


@lru_cache(maxsize=32)
def _cells_of(
    spec_json: bytes, models: tuple[ModelFound, ...], targets: tuple[SweepTarget, ...], images: tuple[str, ...]
) -> tuple[Cell, ...]:
    spec = parsed(spec_json)
    assert not isinstance(spec, Refused), "the spec was refused"
    return expand(spec.template, models, targets, images, spec.upgrade.to_image if spec.upgrade else "")
