"""Where the nodes of a screening stand: read off their Jobs in every pass, for there is no other record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from assay_api.gpu_screening import ScreenSpec
from assay_api.gpu_screening_status import NodeCounts
from assay_api.names import Reason
from assay_api.result import shorten
from assay_api.screen_orders import WORDS, CompareOrder, NodeTold
from assay_api.task_kinds import SCREEN
from assay_operator.audits.rules import task_state
from assay_operator.audits.tasks import TaskState
from assay_operator.audits.troubles import newest, read_result, told_error
from assay_operator.objects.children import Job, Pod
from assay_operator.screenings.places import Place
from assay_operator.screenings.screening import Screening
from assay_operator.screenings.work import AGAIN, FIRST, Parts, folder_of, run_label, screen_task

DEADLINE: Final = "DeadlineExceeded"
ELSEWHERE: Final = "its queue gives Jobs to other clusters, which do not have this node"
State = Literal["Waiting", "Pending", "Running", "Scanned", "Skipped", "Hung", "Invalid"]


@dataclass(frozen=True)
class NodeState:
    """Where one screening of a node stands.

    Attributes:
        place: the node.
        state: Waiting: it has no Job yet. Pending: its GPUs are not all free. Running. Scanned: there is a report.
            Skipped: it cannot be screened, as `message` says. Hung: it did not come to an end. Invalid: the plan or the
            record cannot be used, it says.
        message: why it stands there, where there is something to say.
        reason: the same for machines, while it waits.
        task: what its Job says; None: it is to get none.
        late: it has waited for its GPUs for too long: its Job is to end.
        check_after: seconds after which this may change without anything being seen to happen.
    """

    place: Place
    state: State
    message: str = ""
    reason: Reason = Reason.PENDING
    task: TaskState | None = None
    late: bool = False
    check_after: float | None = None

    @property
    def over(self) -> bool:
        """Whether it will change no more."""
        return self.state in ("Scanned", "Skipped", "Hung", "Invalid")

    @property
    def wanted(self) -> bool:
        """Whether it is to get a Job."""
        return self.task is not None and (self.state == "Waiting" or self.task.recover)


def with_vanished(screening: Screening, run: str, places: Sequence[Place], parts: Parts) -> tuple[Place, ...]:
    """The nodes, and those that were screened in this run and are gone now: what was found there counts."""
    known, label = {place.node for place in places}, run_label(screening, run)
    gone: dict[str, Place] = {}
    for job in parts.whole.jobs:
        told = _told(job, parts) if job.run == label and job.kind == SCREEN else None
        if told and told.node not in known:
            gone[told.node] = Place(told.node, max(told.devices, 1))
    return tuple(sorted((*places, *gone.values()), key=lambda place: place.node))


def node_state(
    screening: Screening, spec: ScreenSpec, run: str, place: Place, which: str, parts: Parts, now: datetime
) -> NodeState:
    """Where a screening of a node stands."""
    task = screen_task(screening, spec, run, place, which)
    state = task_state(task, parts.of(task), None, now)
    if state.state == "Waiting" and place.skipped:
        return NodeState(place, "Skipped", place.skipped)
    if state.state == "Finished":
        told = state.result.screened if state.result else None
        return NodeState(place, "Hung" if told and told.hung else "Scanned", task=state)
    if state.state == "Failed":
        return _failed(place, spec, state, parts)
    if state.job and state.job.elsewhere:
        return NodeState(place, "Skipped", f"{ELSEWHERE} ({state.job.elsewhere}): take another queue", task=state)
    if state.job and state.job.queue and state.job.suspended:
        return _queued(place, spec, state, parts, now)
    words = state.trouble.message if state.trouble else ""
    reason = state.trouble.reason if state.trouble else Reason.PENDING
    if state.state == "Running":
        return NodeState(place, "Running", words, reason, state, check_after=state.check_after)
    if state.state == "Waiting":
        return NodeState(place, "Waiting", words, reason, state, check_after=state.check_after)
    if reason in (Reason.UNSCHEDULABLE, Reason.PENDING):
        many = f"all of its {place.gpus} GPUs are" if place.gpus > 1 else "its GPU is"
        words = f"waits until {many} free"
    left = _left(spec, state, now)
    waits = [each for each in (state.check_after, left) if each is not None]
    return NodeState(
        place, "Pending", words, reason, state, late=left <= 0, check_after=max(min(waits), 1.0) if left > 0 else None
    )


def _queued(place: Place, spec: ScreenSpec, state: TaskState, parts: Parts, now: datetime) -> NodeState:
    """A node whose Job is in a queue of Kueue's: it waits for room as it must, for what is missing a limited time."""
    assert state.job is not None, "there is no Job"
    known, trouble = parts.whole.queued.get(state.job.uid), state.trouble
    words = f"is {trouble.message}" if trouble else f"is queued in {state.job.queue}"
    reason = trouble.reason if trouble else Reason.PENDING
    if known is None or not known.stuck:
        return NodeState(place, "Pending", words, reason, state)
    left = spec.pending_deadline_seconds - (now - known.since).total_seconds()
    if left > 0:
        return NodeState(place, "Pending", words, reason, state, check_after=left)
    limit = f"(waited {spec.pending_deadline_seconds} s, spec.pendingDeadlineSeconds)"
    return NodeState(place, "Skipped", f"{shorten(words, WORDS - len(limit) - 1)} {limit}", task=state)


def order_of(firsts: Iterable[NodeState], seconds: Iterable[NodeState], spec: ScreenSpec) -> CompareOrder:
    """What is to be held together, once all nodes are over."""
    firsts, again = tuple(firsts), tuple(seconds)
    scans: dict[str, list[str]] = {}
    hung: dict[str, int] = {}
    skipped: dict[str, list[str]] = {}
    for states, which in ((firsts, FIRST), (again, AGAIN)):
        for state in states:
            node = state.place.node
            if state.state == "Scanned":
                scans.setdefault(node, []).append(folder_of(which, node))
            elif state.state == "Hung":
                hung[node] = hung.get(node, 0) + 1
    for state in firsts:
        if state.state in ("Skipped", "Invalid"):
            skipped.setdefault(shorten(state.message, WORDS), []).append(state.place.node)
    # A node that hung once, and was screened the other time, is told of by its report.
    return CompareOrder(
        scans={node: tuple(found) for node, found in sorted(scans.items())},
        hung={node: times for node, times in sorted(hung.items()) if node not in scans},
        skipped={why: tuple(sorted(nodes)) for why, nodes in sorted(skipped.items())},
        record=spec.record.uri if spec.record else None,
    )


def counts(states: Iterable[NodeState]) -> NodeCounts:
    """Nodes by where they stand."""
    found = [state.state for state in states]
    return NodeCounts(
        nodes=len(found),
        waiting=found.count("Waiting") + found.count("Pending"),
        running=found.count("Running"),
        scanned=found.count("Scanned"),
        skipped=found.count("Skipped") + found.count("Invalid"),
        hung=found.count("Hung"),
    )


def _failed(place: Place, spec: ScreenSpec, state: TaskState, parts: Parts) -> NodeState:
    """A node whose Job failed: it hangs, the plan is wrong, or it was skipped, with why."""
    job = next((job for job in parts.of(state.task).jobs if job.finished), None)
    pods = list(parts.pods(job)) if job else []
    words = state.trouble.message if state.trouble else "its Job failed"
    if any(pod.reason == DEADLINE for pod in pods):
        return NodeState(place, "Hung", task=state)
    if state.trouble and state.trouble.reason == Reason.INVALID_INPUT:
        return NodeState(place, "Invalid", words, Reason.INVALID_INPUT, state)
    # A try that told why it failed says more than that no other came to anything.
    told = told_error(newest(pods)) if pods else None
    if job and job.failure == DEADLINE and told is None:
        return NodeState(place, "Skipped", _never_free(place, spec, pods), task=state)
    return NodeState(place, "Skipped", shorten(words, WORDS), task=state)


def _never_free(place: Place, spec: ScreenSpec, pods: list[Pod]) -> str:
    last = newest(pods) if pods else None
    if last and last.lost:
        return f"it did not answer for {spec.pending_deadline_seconds} s"
    many = f"all of its {place.gpus} GPUs were free together" if place.gpus > 1 else "its GPU was free"
    limit = f"within {spec.pending_deadline_seconds} s (spec.pendingDeadlineSeconds)"
    return f"not begun {limit}: {many} at no time, or its Pod could not start"


def _left(spec: ScreenSpec, state: TaskState, now: datetime) -> float:
    """Seconds for which a node may still wait for its GPUs."""
    if state.job is None:
        return float(spec.pending_deadline_seconds)
    # A queue may have held it before.
    until = (state.job.started or state.job.created) + timedelta(seconds=spec.pending_deadline_seconds)
    return (until - now).total_seconds()


def _told(job: Job, parts: Parts) -> NodeTold | None:
    if job.owner != parts.whole.audit.uid:
        return None
    for message in _messages(job, parts):
        result = read_result(message)
        if result and result.screened:
            return result.screened
    return None


def _messages(job: Job, parts: Parts) -> Iterator[str]:
    yield parts.whole.results.get(job.uid, "")
    yield from (pod.message for pod in parts.pods(job) if pod.phase == "Succeeded")
