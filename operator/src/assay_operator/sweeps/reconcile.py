"""The one decision about a sweep: from what is there to the audits that are to be made and one status.

Everything follows from what is there now: the run from the clock or the spec, the cells from what Jobs found of the
models, the answers from the audits. Run it twice and the second time there is nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from assay_api.cells import Cell
from assay_api.names import Reason
from assay_api.sweep import SweepSpec
from assay_api.sweep_status import TARGETS, SweepStatus, SweepTarget
from assay_operator.audits.outcome import Outcome
from assay_operator.objects.decision import Decision
from assay_operator.objects.kind import Asks
from assay_operator.objects.nodes import Gpu, Gpus
from assay_operator.objects.raw import Manifest
from assay_operator.objects.recorded import recorded
from assay_operator.objects.resources import JOBS, Ref
from assay_operator.objects.seen import Seen
from assay_operator.settings import Settings
from assay_operator.sweeps import status as words
from assay_operator.sweeps.acceptance import Accepting, accepting
from assay_operator.sweeps.answers import Answers, Wish, beside_baselines, counts, left_over, place_of, worst
from assay_operator.sweeps.costs import spent
from assay_operator.sweeps.manifests import suspended
from assay_operator.sweeps.models import Looked, look, look_manifest, too_many
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit, own_audits
from assay_operator.sweeps.outcome import outcome, said
from assay_operator.sweeps.places import Places, fits_of, places_of
from assay_operator.sweeps.planning import Plan, begun, cells_of, plan_of
from assay_operator.sweeps.resting import at_rest, marks
from assay_operator.sweeps.run import Now, Refused, now_of, spec_of
from assay_operator.sweeps.upgrades import gate_status
from assay_operator.sweeps.writing import written


def reconcile(seen: Seen, now: datetime, settings: Settings) -> Decision[SweepStatus]:
    """Decide what is to be done about a sweep."""
    sweep = seen.parent
    assert isinstance(sweep, Sweep), f"{sweep.key.kind} is no sweep"
    if sweep.deleting or sweep.foreign:
        return Decision()
    old, spec = read_status(sweep), spec_of(sweep)
    if isinstance(spec, Refused):
        return written(sweep, old, words.invalid_status(sweep, spec.sentences, old, now), now)
    at = now_of(sweep, spec, old, now)
    if at.ended or not at.run:
        return _resting(sweep, spec, at, old, seen, now)
    return _Pass(sweep, spec, at, old, seen, now, settings).decide()


def _resting(
    sweep: Sweep, spec: SweepSpec, at: Now, old: SweepStatus, seen: Seen, now: datetime
) -> Decision[SweepStatus]:
    """The pass between runs: answers may be accepted meanwhile."""
    audits, several = own_audits(seen), len(spec.runner_images) > 1
    states = at_rest(Answers(audits))
    told = accepting(sweep, old.accepted, states, audits, now)
    found = words.Told(
        counts=counts(states, at.run), worst=worst(states, several), baselines=beside_baselines(states),
        accepted=told.status,
    )  # fmt: skip
    rest = words.resting_status(sweep, at, old, now, spec.template.on_breach)
    new = words.with_baselines(rest, found, now)
    decision = written(sweep, old, new, now, due=at, delete=_jobs(seen), wait=told.wait)
    return replace(decision, patch=told.patch)


def wants_nodes(seen: Seen, now: datetime) -> Asks:
    """A run that is audited on GPUs notes which there are when it begins, and goes by those there are meanwhile."""
    sweep = seen.parent
    assert isinstance(sweep, Sweep), f"{sweep.key.kind} is no sweep"
    spec = spec_of(sweep)
    if sweep.deleting or sweep.foreign or isinstance(spec, Refused):
        return ""
    at = now_of(sweep, spec, read_status(sweep), now)
    if at.ended or not at.run or not _on_gpus(spec):
        return ""
    return "fresh" if at.begins else "known"


def read_status(sweep: Sweep) -> SweepStatus:
    """The status on record; an empty one where it is none of ours."""
    try:
        return SweepStatus.model_validate_json(recorded(sweep))
    except ValidationError:
        return SweepStatus()


def targets_of(spec: SweepSpec, gpus: Gpus | None, before: Iterable[SweepTarget] = ()) -> tuple[SweepTarget, ...]:
    """GPU products of a run that begins, with what is known of them.

    Args:
        spec: the sweep's spec.
        gpus: what the nodes show.
        before: the products of the run before: where no node tells of a driver now, it is held to be the one of then.
    """
    if not _on_gpus(spec):
        return ()
    known = {gpu.product: gpu for gpu in (gpus.products if gpus else ())}
    drivers = {target.gpu_product: target.driver for target in before}
    names = list(known) if spec.fleet else list(spec.template.target.gpu_products)
    absent = None if gpus is None or gpus.refused else 0
    return tuple(
        _target(known[name], drivers.get(name))
        if name in known
        else SweepTarget(gpu_product=name, driver=drivers.get(name), nodes=absent)
        for name in names
    )


def shown_since(targets: tuple[SweepTarget, ...], gpus: Gpus | None) -> tuple[SweepTarget, ...]:
    """GPU products of a run that goes on; of those that no node had, what nodes have told since.

    A pool that scales to zero has nodes only while something waits for them: at no other time is their driver seen.
    """
    known = {gpu.product: gpu for gpu in (gpus.products if gpus else ())}
    return tuple(
        _target(known[each.gpu_product], each.driver) if each.nodes == 0 and each.gpu_product in known else each
        for each in targets
    )


def _target(gpu: Gpu, before: str | None) -> SweepTarget:
    return SweepTarget(
        gpu_product=gpu.product, driver=gpu.driver or before, nodes=gpu.nodes, memory_mib=gpu.memory or None,
        mig_profile=gpu.mig or None, source=None if gpu.labelled else "ResourceSlices",
    )  # fmt: skip


def _on_gpus(spec: SweepSpec) -> bool:
    return any(candidate.backend == "tensorrt" for candidate in spec.template.candidates)


@dataclass(frozen=True)
class _Pass:
    """One pass over a run that goes on."""

    sweep: Sweep
    spec: SweepSpec
    at: Now
    old: SweepStatus
    seen: Seen
    now: datetime
    settings: Settings

    @property
    def several(self) -> bool:
        return len(self.spec.runner_images) > 1

    def decide(self) -> Decision[SweepStatus]:
        nodes, old = self.seen.nodes, self.old.targets
        targets = targets_of(self.spec, nodes, old) if self.at.begins else shown_since(old, nodes)
        if trouble := self._no_targets(targets):
            return self._end(words.Told(), Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, trouble, None))
        looked = look(self.sweep, self.spec, self.at.run, self.seen, self.now)
        told = words.Told(targets=targets)
        if not looked.done:
            return self._looking(looked, told)
        audits = own_audits(self.seen)
        answers = Answers(audits)
        cells = cells_of(self.sweep, looked.models, targets, self._images())
        wish = Wish(self.at.run, self.sweep.rerun, self.sweep.rerun_failed)
        places = self._places(cells, looked, targets, audits)
        plan = plan_of(self.sweep, self.spec, cells, looked.models, wish, self.seen, audits, answers, places)
        going = [audit for audit in audits if audit.active]
        asked = accepting(self.sweep, self.old.accepted, plan.states, audits, self.now)
        told = replace(
            told, counts=plan.counts(self.at.run), worst=worst(plan.states, self.several), models=len(looked.models),
            gpu_seconds=spent(audits, self.at.run),
            estimated=self.old.estimated_gpu_seconds if begun(audits, self.at.run) else plan.estimated,
            baselines=beside_baselines(plan.states), accepted=asked.status,
            gate=gate_status(self.spec, plan.states),
        )  # fmt: skip
        useless = left_over(audits, plan.states, answers, self.spec.history_limit, self.several)
        useless = self._without_resting_pools(useless, targets, cells)
        if plan.refused or not (plan.make or going or told.counts.waiting):
            end = self._end(told, outcome(self.spec, plan, told.counts), delete=_refs(useless))
            end = replace(end, patch=(*end.patch, *marks(plan.states, answers, useless, self.several)))
            return _with_accepting(end, asked)
        delete = _refs(audit for audit in useless if audit.active or audit.made is None)
        return _with_accepting(self._going(told, plan, going, delete, places), asked)

    def _no_targets(self, targets: Sequence[SweepTarget]) -> str | None:
        gpus = self.seen.nodes
        if self.spec.fleet and _on_gpus(self.spec) and not targets:
            if gpus and gpus.refused:
                return (
                    "fleet needs the right to list nodes, which an operator of single namespaces does not have "
                    f"({gpus.refused}): name products in spec.template.target.gpuProducts"
                )
            return (
                "no node has the label nvidia.com/gpu.product, which GPU feature discovery sets, and no ResourceSlice "
                "of gpu.nvidia.com shows a GPU: install one of them, or name products in "
                "spec.template.target.gpuProducts"
            )
        if len(targets) > TARGETS:
            return f"the nodes show {len(targets)} GPU products, more than {TARGETS}: name them in gpuProducts"
        return None

    def _places(
        self, cells: Sequence[Cell], looked: Looked, targets: Sequence[SweepTarget], audits: Sequence[SweepAudit]
    ) -> Places:
        """Which audits may begin."""
        run, gpus = self.at.run, self.seen.nodes
        if self.sweep.queue:
            # Its Jobs may run in another cluster, of whose nodes nothing is known here.
            return places_of(self.spec, run, (), {}, audits)
        # When the operator has just started, the nodes are not known yet: what the run began with is all there is.
        absent = () if gpus is not None else _absent(targets)
        return places_of(
            self.spec, run, absent, fits_of(self.spec, cells, looked.models, gpus, self.settings), audits
        )  # fmt: skip

    def _images(self) -> tuple[str, ...]:
        return self.spec.runner_images or (self.spec.template.target.image or self.settings.runner_image,)

    def _looking(self, looked: Looked, told: words.Told) -> Decision[SweepStatus]:
        """The pass while models are looked at."""
        state = looked.states[-1]
        if state.state == "Failed" and state.trouble:
            why = state.trouble
            reason = Reason.INVALID_INPUT if why.reason == Reason.INVALID_INPUT else Reason.ERROR
            return self._end(told, Outcome(reason, why.reason, f"{state.task.key}: {why.message}", None))
        if looked.too_many:
            # To audit the first ones would say of all what holds of some.
            return self._end(told, Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, too_many(looked), None))
        wanted, turn = None if self.spec.suspend else looked.wanted, None if self.sweep.queue else self.seen.turn
        waits = wanted is not None and turn is not None and not turn.free
        create = (look_manifest(self.sweep, wanted, self.settings),) if wanted and not waits else ()
        looking = f"Looking at the models: {len(looked.models)} so far."
        reason, message = Reason.PENDING, f"{looking}{self._missing(told.targets)}"
        if self.spec.suspend:
            reason, message = Reason.SUSPENDED, "Suspended by spec.suspend: nothing starts."
        elif waits and turn:
            message = f"{state.task.key}: waits for its turn: {turn.why} (a limit of the operator's)"
        elif state.trouble:
            reason, message = state.trouble.reason, f"{state.task.key}: {state.trouble.message}"
        new = words.going_status(self.sweep, self.at, told, self.old, self.now, reason, message, begun=False)
        decision = self._decision(new, create=create, wait=state.check_after)
        return replace(decision, waits=int(waits), priority=self.spec.template.priority)

    def _going(
        self, told: words.Told, plan: Plan, going: Sequence[SweepAudit], delete: tuple[Ref, ...], places: Places
    ) -> Decision[SweepStatus]:
        held = suspended(self.spec.suspend, self.spec)
        patch = tuple((Ref(AUDITS, a.name), {"spec": {"suspend": held}}) for a in going if a.suspended != held)
        found = told.counts
        counted = f"{said(found)}, {found.running} running of {found.cells} cells."
        wanted = {state.cell.place.product for state in plan.states if state.state in ("waiting", "running")}
        targets = [target for target in told.targets if target.gpu_product in wanted]
        reason, message = Reason.RUNNING, f"{counted}{places.words(wanted) or self._missing(targets)}"
        if self.spec.suspend:
            reason, message = Reason.SUSPENDED, f"Suspended by spec.suspend: {said(found)} of {found.cells} cells."
        elif refusals := [r.message for ref, r in self.seen.refused.items() if ref.resource == AUDITS]:
            reason, message = Reason.CONFIG_ERROR, f"an audit was refused: {refusals[0]}"
        new = words.going_status(self.sweep, self.at, told, self.old, self.now, reason, message, begun=True)
        return self._decision(new, create=plan.make, delete=delete, patch=patch)

    def _without_resting_pools(
        self, useless: list[SweepAudit], targets: Sequence[SweepTarget], cells: Sequence[Cell]
    ) -> list[SweepAudit]:
        """Some audits but those of a fleet on a product that no node shows now, of a model that is there.

        Its pool may be at zero: once it has nodes again, what has not changed is not to be audited again.
        """
        if not self.spec.fleet:
            return useless
        shown = {"", *(target.gpu_product for target in targets)}
        places = {place_of(cell, self.several) for cell in cells}
        return [
            audit
            for audit in useless
            if not (audit.complete and audit.made and audit.product not in shown and audit.made.place in places)
        ]

    def _missing(self, targets: Sequence[SweepTarget]) -> str:
        """What to say of products that no node had when the run began and none is known to have; nothing of others."""
        known = {gpu.product for gpu in (self.seen.nodes.products if self.seen.nodes else ())}
        names = [name for name in _absent(targets) if name not in known]
        return (
            f" No node has {', '.join(names)}: audits on {'it' if len(names) == 1 else 'them'} wait." if names else ""
        )

    def _end(self, told: words.Told, end: Outcome, delete: tuple[Ref, ...] = ()) -> Decision[SweepStatus]:
        on_breach = self.spec.template.on_breach
        new = words.ended_status(self.sweep, self.at, told, self.old, self.now, end, on_breach)
        return self._decision(new, delete=(*delete, *_jobs(self.seen)))

    def _decision(
        self,
        new: SweepStatus,
        create: tuple[Manifest, ...] = (),
        delete: tuple[Ref, ...] = (),
        patch: tuple[tuple[Ref, Manifest], ...] = (),
        wait: float | None = None,
    ) -> Decision[SweepStatus]:
        decision = written(self.sweep, self.old, new, self.now, due=self.at, delete=delete, wait=wait)
        return replace(decision, create=create, patch=patch)


def _absent(targets: Iterable[SweepTarget]) -> tuple[str, ...]:
    """GPU products that no node had when the run began."""
    return tuple(target.gpu_product for target in targets if target.nodes == 0)


def _with_accepting(decision: Decision[SweepStatus], asked: Accepting) -> Decision[SweepStatus]:
    waits = [wait for wait in (decision.requeue_after, asked.wait) if wait is not None]
    return replace(decision, patch=(*decision.patch, *asked.patch), requeue_after=min(waits, default=None))


def _jobs(seen: Seen) -> tuple[Ref, ...]:
    """The Jobs that looked at models: what they told is used up."""
    return tuple(Ref(JOBS, j.name) for j in seen.children[JOBS] if j.owner == seen.parent.uid and not j.deleting)


def _refs(audits: Iterable[SweepAudit]) -> tuple[Ref, ...]:
    return tuple(Ref(AUDITS, audit.name) for audit in audits)
