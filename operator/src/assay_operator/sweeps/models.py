"""The Jobs that look at a sweep's models, one after another, each beginning where the one before left off.

They are tasks like an audit's, so whatever keeps one from starting or ends it is told in the same words
(`audits/rules.py`). What they answered stays with their Pods until the run ends; where one is gone, it is asked again.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from assay_api.audit import AuditSpec
from assay_api.candidate import ModelRef
from assay_api.names import LABEL_AUDIT, LABEL_SWEEP, trace_of
from assay_api.plan import Task, cache_folder
from assay_api.resolved import MOST_ASKED, ModelFound, ResolveOrder
from assay_api.sweep import SweepSpec
from assay_api.task_kinds import RESOLVE
from assay_operator.audits.jobs import job_manifest
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.rules import task_state
from assay_operator.audits.tasks import TaskState
from assay_operator.objects.keys import label_value
from assay_operator.objects.raw import Manifest
from assay_operator.objects.seen import Seen, owner_reference
from assay_operator.settings import Settings
from assay_operator.sweeps.observed import Sweep
from assay_operator.sweeps.run import meaning

MOST_PAGES: Final = 1_000
"""Jobs that look at the models of one run: they come one after another, and stay until the run ends."""
MOST_BYTES: Final = 32 * 1024


@dataclass(frozen=True)
class Looked:
    """How far the looking is.

    Attributes:
        models: what was found so far, in order of names.
        done: whether that is all.
        states: of the tasks that have a Job, or are to get one, in their order; the last one is the one at work.
        too_many: whether there are more, and no further Job looks at them.
    """

    models: tuple[ModelFound, ...]
    done: bool
    states: tuple[TaskState, ...]
    too_many: bool = False

    @property
    def wanted(self) -> TaskState | None:
        """The task that is to get a Job now."""
        last = self.states[-1] if self.states else None
        if self.done or last is None:
            return None
        return last if last.state == "Waiting" or last.recover else None


def look(sweep: Sweep, spec: SweepSpec, run: str, seen: Seen, now: datetime) -> Looked:
    """How far the looking at the models of a run is."""
    observed = observed_of(sweep, seen)
    models: list[ModelFound] = []
    states: list[TaskState] = []
    for page in range(MOST_PAGES):
        task = task_of(sweep, spec, run, page, models[-1].name if models else "")
        state = task_state(task, observed, None, now)
        states.append(state)
        found = state.result.resolved if state.state == "Finished" and state.result else None
        models += found.models if found else ()
        # Behind the last one told there may be none any more: the others were deleted since.
        if found and models and not found.more:
            return Looked(tuple(models), done=True, states=tuple(states))
        if found is None or not found.models:
            return Looked(tuple(models), done=False, states=tuple(states))
    return Looked(tuple(models), done=False, states=tuple(states), too_many=True)


def too_many(looked: Looked) -> str:
    """What is said of models that are too many to be looked at."""
    return (
        f"{len(looked.states):,} Jobs, the most there are for one run, have found {len(looked.models):,} models, "
        "and there are more; none is audited: split the sweep, by spec.modelPrefix.uri or spec.modelPrefix.match"
    )


def task_of(sweep: Sweep, spec: SweepSpec, run: str, page: int, after: str) -> Task:
    """The task that looks at the models behind one, the `page`th of its run."""
    named = sorted((model for model in spec.models if model.name > after), key=lambda model: model.name)
    sizes = itertools.accumulate(len(model.uri) + len(model.name) for model in named)
    few = tuple(model for model, size in zip(named[:MOST_ASKED], sizes, strict=False) if size <= MOST_BYTES)
    template = {name: getattr(spec.template, name) for name in spec.template.model_fields_set}
    artifacts = spec.template.artifacts.uri
    return Task(
        kind=RESOLVE,
        key="models" if page == 0 else f"models-{page + 1}",
        audit=f"{sweep.namespace}/{sweep.name}",
        # A Job that a deleted sweep of the same name has left is none of this one's.
        run=f"{run}-{meaning(spec, f'{sweep.uid}{after}')[:6]}",
        output=f"{artifacts.rstrip('/')}/{sweep.namespace}/{sweep.name}/{run}",
        cache=cache_folder(artifacts),
        spec=AuditSpec(model=ModelRef(uri=spec.model_prefix.uri if spec.model_prefix else few[0].uri), **template),
        resolve=ResolveOrder(models=few, prefix=spec.model_prefix, after=after, more=len(few) < len(named)),
    )


def look_manifest(sweep: Sweep, state: TaskState, settings: Settings) -> Manifest:
    """The Job of such a task: an audit's, but for whose it is, and that its answer is kept until the run ends."""
    # A task is of a run and of the models that it looks at.
    trace = sweep.trace or trace_of(sweep.uid, state.task.run.rpartition("-")[0])
    manifest: dict[str, Any] = job_manifest(
        _as_audit(sweep, trace), state.task, settings, recovery=state.recover, here=state.here
    )
    for labels in (manifest["metadata"]["labels"], manifest["spec"]["template"]["metadata"]["labels"]):
        del labels[LABEL_AUDIT]
        labels[LABEL_SWEEP] = label_value(sweep.name)
    manifest["metadata"]["ownerReferences"] = [owner_reference(sweep)]
    del manifest["spec"]["ttlSecondsAfterFinished"]
    return manifest


def observed_of(sweep: Sweep, seen: Seen) -> Observed:
    """The Jobs and Pods of a sweep, as an audit's are looked at."""
    return Observed.of(seen, _as_audit(sweep))


def _as_audit(sweep: Sweep, trace: str = "") -> Audit:
    return Audit.of_owner(sweep, sweep.queue, sweep.queue_priority, trace)
