"""The one decision about a screening: from its nodes and what their Jobs told to Jobs to be made and one status.

A node gets a Job; once all are over another holds their reports together. What it would name after one screening is
screened once more, and all is held together again. There is no record of how far that is: it is read off the Jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from assay_api.finding import Verdict
from assay_api.gpu_screening import MOST_NODES, ScreenSpec
from assay_api.gpu_screening_status import ScreenStatus
from assay_api.names import LABEL_GPU_PRODUCT, Reason
from assay_api.screen_orders import CompareOrder
from assay_api.task_kinds import SCREEN
from assay_operator.audits.jobs import TASK_BYTES
from assay_operator.audits.outcome import Outcome
from assay_operator.audits.pods import task_json
from assay_operator.audits.rules import task_state
from assay_operator.audits.tasks import TaskState
from assay_operator.objects.decision import Decision
from assay_operator.objects.kind import Asks
from assay_operator.objects.raw import Manifest
from assay_operator.objects.resources import JOBS, Ref
from assay_operator.objects.seen import Seen
from assay_operator.screenings.marks import marks_of
from assay_operator.screenings.places import Place, places_of
from assay_operator.screenings.run import Now, now_of, parsed, read_status
from assay_operator.screenings.screening import Screening
from assay_operator.screenings.standing import NodeState, node_state, order_of, with_vanished
from assay_operator.screenings.status import Writer, invalid
from assay_operator.screenings.words import ended, going, none_screened
from assay_operator.screenings.work import AGAIN, FIRST, Parts, compare_task, manifest, observed_of, run_label
from assay_operator.settings import Settings


def reconcile(seen: Seen, now: datetime, settings: Settings) -> Decision[ScreenStatus]:
    """Decide what is to be done about a screening."""
    screening = seen.parent
    assert isinstance(screening, Screening), f"{screening.key.kind} is no screening"
    if screening.deleting or screening.foreign:
        return Decision()
    old, spec = read_status(screening), parsed(screening.spec)
    if isinstance(spec, tuple):
        writer = Writer(screening, Now(""), old, now, "Fail")
        return writer.written(invalid(screening, spec, old, now))
    at = now_of(screening, spec, old, now)
    writer = Writer(screening, at, old, now, spec.on_breach)
    if at.ended or not at.run:
        return writer.written(writer.resting(), delete=_jobs(seen))
    return _Pass(screening, spec, at, seen, now, settings, writer).decide()


def wants_nodes(seen: Seen, now: datetime) -> Asks:
    """While a run goes on it has to know the nodes that there are; when it begins, how many GPUs each has now."""
    screening = seen.parent
    assert isinstance(screening, Screening), f"{screening.key.kind} is no screening"
    spec = parsed(screening.spec)
    if screening.deleting or screening.foreign or isinstance(spec, tuple):
        return ""
    old = read_status(screening)
    at = now_of(screening, spec, old, now)
    if not at.run or at.ended:
        return ""
    return "fresh" if old.run == at.run else "now"


@dataclass(frozen=True)
class _Pass:
    """One pass over a run that goes on."""

    screening: Screening
    spec: ScreenSpec
    at: Now
    seen: Seen
    now: datetime
    settings: Settings
    writer: Writer

    @cached_property
    def parts(self) -> Parts:
        return Parts(observed_of(self.screening, self.seen))

    def decide(self) -> Decision[ScreenStatus]:
        gpus = self.seen.nodes
        if gpus is None or gpus.refused:
            said = f" ({gpus.refused})" if gpus else ""
            why = f"it needs the right to list nodes, which an operator of single namespaces does not have{said}"
            return self._end((), Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, why, None))
        places = with_vanished(self.screening, self.at.run, places_of(self.spec, gpus, self.settings.pods), self.parts)
        if trouble := self._unfit([place.node for place in places], sorted({gpu.product for gpu in gpus.products})):
            return self._end((), trouble)
        states = [self._state(place, FIRST) for place in places]
        if not all(state.over for state in states):
            return self._going(states, states)
        if not any(state.state == "Scanned" for state in states):
            return self._end(states, none_screened(states))
        return self._compared(states)

    def _state(self, place: Place, which: str) -> NodeState:
        return node_state(self.screening, self.spec, self.at.run, place, which, self.parts, self.now)

    def _unfit(self, nodes: Sequence[str], products: Sequence[str]) -> Outcome | None:
        """Why there is nothing to screen, or too much."""
        product = self.spec.target.gpu_products[0]
        if not nodes:
            there = f"; there is {', '.join(products[:6])}" if products else ""
            chosen = " and the labels of target.nodeSelector" if self.spec.target.node_selector else ""
            why = f"no node has {LABEL_GPU_PRODUCT}={product}{chosen}{there}"
            return Outcome(Reason.INCONCLUSIVE, Reason.UNSCHEDULABLE, why, Verdict.INCONCLUSIVE)
        if len(nodes) > MOST_NODES:
            split = "split them by target.nodeSelector"
            why = f"{len(nodes)} nodes have {product}, and a screening takes {MOST_NODES}: {split}"
            return Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, why, None)
        return None

    def _compared(self, states: Sequence[NodeState]) -> Decision[ScreenStatus]:
        """The pass once all nodes are over."""
        first = order_of(states, (), self.spec)
        state = self._comparison(first)
        result = state.result if state.state == "Finished" else None
        if result is None or result.fleet is None:
            return self._comparing(states, state)
        wanted = set(result.fleet.again)
        seconds = [self._state(each.place, AGAIN) for each in states if each.place.node in wanted]
        if not all(each.over for each in seconds):
            return self._going(states, seconds, again=True)
        order = order_of(states, seconds, self.spec)
        if order != first:
            state = self._comparison(order)
            result = state.result if state.state == "Finished" else None
            if result is None or result.fleet is None:
                return self._comparing(states, state)
        return self._end(states, ended(states, result), state)

    def _comparison(self, order: CompareOrder) -> TaskState:
        task = compare_task(self.screening, self.spec, self.at.run, order)
        return task_state(task, self.parts.of(task), None, self.now)

    def _comparing(self, states: Sequence[NodeState], state: TaskState) -> Decision[ScreenStatus]:
        if state.state == "Failed":
            trouble = state.trouble
            detail = trouble.reason if trouble else Reason.ERROR
            reason = Reason.INVALID_INPUT if detail is Reason.INVALID_INPUT else Reason.ERROR
            return self._end(
                states, Outcome(reason, detail, f"compare: {trouble.message if trouble else 'failed'}", None)
            )
        if len(task_json(state.task)) > TASK_BYTES:
            why = "the names of its nodes are too long for one comparison: split them by target.nodeSelector"
            return self._end(states, Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, why, None))
        wanted = (state,) if state.state == "Waiting" or state.recover else ()
        reason = state.trouble.reason if state.trouble else Reason.RUNNING
        said = f": {state.trouble.message}" if state.trouble else ""
        new = self.writer.going(states, reason, f"All nodes are done; comparing their answers{said}.")
        return self._made(new, states, wanted, state.check_after)

    def _going(
        self, states: Sequence[NodeState], of: Sequence[NodeState], *, again: bool = False
    ) -> Decision[ScreenStatus]:
        """The pass while nodes are screened, for the first time or once more."""
        hopeless = any(each.state == "Invalid" for each in of) and not any(each.state == "Scanned" for each in of)
        under_way = sum(each.state in ("Pending", "Running") and not each.wanted for each in of)
        room = 0 if self.spec.suspend or hopeless else max(self.spec.max_parallel - under_way, 0)
        wanted = [each.task for each in of if each.wanted and each.task][:room]
        if hopeless and not under_way:
            return self._end(states, ended(states, None))
        waits = [each.check_after for each in of if each.check_after is not None]
        new = self.writer.going(states, *going(self.spec, of, again=again))
        decision = self._made(new, [*states, *of], wanted, min(waits, default=None))
        late = tuple(
            (Ref(JOBS, each.task.job.name), {"spec": {"activeDeadlineSeconds": self.spec.pending_deadline_seconds}})
            for each in of
            if each.late and each.task and each.task.job
        )
        return replace(decision, patch=late)

    def _made(
        self, new: ScreenStatus, of: Sequence[NodeState], wanted: Sequence[TaskState], wait: float | None
    ) -> Decision[ScreenStatus]:
        free = len(wanted) if self.seen.turn is None else min(self.seen.turn.free, len(wanted))
        decision = self.writer.written(new, delete=self._useless(of), wait=wait)
        return replace(decision, create=tuple(map(self._manifest, wanted[:free])), waits=len(wanted) - free)

    def _useless(self, states: Sequence[NodeState]) -> tuple[Ref, ...]:
        """Jobs of an earlier run, and those that wait for a node that is gone."""
        label, known = run_label(self.screening, self.at.run), {s.task.task.digest for s in states if s.task}
        return tuple(
            Ref(JOBS, job.name)
            for job in self.parts.whole.jobs
            if job.owner == self.screening.uid and not job.deleting and (
                not job.run.startswith(label) or (job.kind == SCREEN and not job.finished and job.task not in known)
            )
        )  # fmt: skip

    def _manifest(self, state: TaskState) -> Manifest:
        return manifest(self.screening, self.spec, state.task, self.settings, recovery=state.recover)

    def _end(
        self, states: Sequence[NodeState], end: Outcome, compared: TaskState | None = None
    ) -> Decision[ScreenStatus]:
        result = compared.result if compared else None
        decision = self.writer.written(self.writer.done(states, end, result), delete=_jobs(self.seen))
        marks = marks_of(self.screening, states, result) if self.settings.node_conditions else ()
        return replace(decision, marks=marks)


def _jobs(seen: Seen) -> tuple[Ref, ...]:
    """The Jobs of a run that ended: what they told is in the status and in the store."""
    return tuple(Ref(JOBS, j.name) for j in seen.children[JOBS] if j.owner == seen.parent.uid and not j.deleting)
