"""Which audits of a sweep hold a place of `maxParallel`, and on which GPU products more of them may begin.

An audit that no node could take waits for as long as `pendingDeadlineSeconds`. Were it to hold a place meanwhile, a
product that the cluster lacks would keep the audits on every other one waiting. Yet one of them has to wait: an
autoscaler adds a node for a Pod that is there, and for nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from assay_api.cells import Ask, Cell, audit_spec
from assay_api.names import LABEL_GPU_PRODUCT, Reason
from assay_api.plan import tasks_of
from assay_api.resolved import ModelFound
from assay_api.sweep import SweepSpec
from assay_operator.audits.fitting import wish_of
from assay_operator.objects.fits import Fit, Wish, fit
from assay_operator.objects.nodes import Gpus
from assay_operator.settings import Settings
from assay_operator.sweeps.observed import SweepAudit

NAMED: Final = 3
"""Products of which a sentence says why."""


@dataclass(frozen=True)
class Shut:
    """A GPU product that no node could take an audit of now.

    Attributes:
        why: why not.
        waited: name of this run's audit that waited for such a node until it was given up, or nothing.
    """

    why: str
    waited: str = ""


@dataclass(frozen=True)
class Places:
    """Who may begin.

    Attributes:
        room: places of `maxParallel` that are free.
        most: how many audits a product may have that hold none: as many as it could have places.
        shut: products that no node could take an audit of.
        going: audits that have not ended, by product.
        idle: how many of them hold no place.
    """

    room: int
    most: int
    shut: Mapping[str, Shut] = field(default_factory=dict)
    going: Mapping[str, int] = field(default_factory=dict)
    idle: int = 0

    def in_order(self, wanted: Iterable[Ask]) -> tuple[Ask, ...]:
        """Those first that a node could take, else in their order."""
        return tuple(sorted(wanted, key=lambda ask: ask.product in self.shut))

    def free(self, ask: Ask) -> bool:
        """Whether an audit may begin: on a product that no node could take one at a time does, beside `maxParallel`."""
        if ask.product in self.shut:
            return not self.going.get(ask.product)
        return self.room > 0 and self.going.get(ask.product, 0) < self.most

    def with_one(self, ask: Ask) -> Places:
        """The same once an audit has begun."""
        going = {**self.going, ask.product: self.going.get(ask.product, 0) + 1}
        return replace(self, room=self.room - (ask.product not in self.shut), going=going)

    def given_up(self, ask: Ask) -> str | None:
        """Why no audit is made in this run, where one has waited for its product in vain."""
        found = self.shut.get(ask.product)
        if found is None or not found.waited:
            return None
        return (
            f"{ask.product}: {found.why}; audit {found.waited} waited for such a node until it was given up, so no "
            "other is made while there is none"
        )

    def words(self, wanted: Collection[str]) -> str:
        """What to say of audits that wait; nothing where none does.

        Args:
            wanted: products of which cells have no answer yet.
        """
        told = [(product, shut) for product, shut in self.shut.items() if product in wanted or shut.waited]
        said = [
            f" {product}: {shut.why}; "
            + (f"audit {shut.waited} waited in vain." if shut.waited else "one audit at a time waits for such a node.")
            for product, shut in told[:NAMED]
        ]
        if len(told) > NAMED:
            said.append(f" So it is with {len(told) - NAMED} more.")
        if self.idle:
            said.append(f" {self.idle} that no node can take {'holds' if self.idle == 1 else 'hold'} no place.")
        return "".join(said)


def places_of(
    spec: SweepSpec, run: str, absent: Iterable[str], fits: Mapping[str, Fit], audits: Sequence[SweepAudit]
) -> Places:
    """Who may begin.

    Args:
        spec: the sweep's spec.
        run: name of the run.
        absent: GPU products that no node had when the run began, where no more is known now.
        fits: whether a node could take an audit, by product; those of which it is known now.
        audits: the sweep's audits.
    """
    shut = {product: Shut(each.words, _waited(product, run, audits)) for product, each in fits.items() if each.hopeless}
    shut |= {product: Shut("was on no node when the run began") for product in absent}
    going = [audit for audit in audits if audit.active]
    idle = sum(_idle(audit, shut, fits) for audit in going)
    return Places(
        room=max(spec.max_parallel - (len(going) - idle), 0), most=spec.max_parallel, shut=shut,
        going=Counter(audit.product for audit in going), idle=idle,
    )  # fmt: skip


def fits_of(
    spec: SweepSpec, cells: Iterable[Cell], models: Iterable[ModelFound], gpus: Gpus | None, settings: Settings
) -> dict[str, Fit]:
    """Whether a node could take an audit, by GPU product; nothing where nothing is known of the cluster's GPUs.

    Args:
        spec: the sweep's spec.
        cells: its cells.
        models: what was found of its models.
        gpus: what is known of the nodes.
        settings: the operator's.
    """
    if gpus is None or gpus.refused or not gpus.products:
        # Where no node shows any, every pool may be at zero: then the Pods of one product keep those of none waiting.
        return {}
    first: dict[str, Cell] = {}
    for cell in cells:
        if cell.place.product:
            first.setdefault(cell.place.product, cell)
    by_name = {model.name: model for model in models} if first else {}
    wish = next(filter(None, (_wish(spec, cell, by_name[cell.place.model], settings) for cell in first.values())), None)
    if wish is None:
        return {}
    each = {p: replace(wish, selector={**wish.selector, LABEL_GPU_PRODUCT: p}) for p in first}
    return {product: found for product, wanted in each.items() if (found := fit(wanted, gpus))}


def _wish(spec: SweepSpec, cell: Cell, model: ModelFound, settings: Settings) -> Wish | None:
    """What the GPU tasks of an audit want of a node: the same on every product but its name."""
    try:
        audit = audit_spec(spec.template, Ask(model, cell.place.product, cell.place.image, (cell,)))
    except ValidationError:
        return None
    task = next((task for task in tasks_of(audit, audit="", run="", output="", cache="") if task.gpus), None)
    return wish_of(task, settings) if task else None


def _idle(audit: SweepAudit, shut: Mapping[str, Shut], fits: Mapping[str, Fit]) -> bool:
    """Whether an audit that goes on holds no place: no node could take it, and none has."""
    if audit.at_work:
        return False
    if audit.product in shut:
        return True
    known = fits.get(audit.product)
    # It says so until it is looked at again, and by then a node may have come.
    return audit.unplaced and not (known and known.now == "waits")


def _waited(product: str, run: str, audits: Iterable[SweepAudit]) -> str:
    """The run's audit that was given up for want of a node, or nothing."""
    ended = (a for a in audits if a.complete and a.made and a.made.run == run and a.product == product)
    return next((audit.name for audit in ended if audit.ready == Reason.UNSCHEDULABLE), "")
