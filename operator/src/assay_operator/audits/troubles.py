"""Why a task does not start, or how its Pod ended: the scheduler's and the kubelet's own words, under one reason.

A Pod that nobody can schedule, an image that does not come and a Secret that is not there look alike from the Job.
They differ in the Pod's status, and some only in an event about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pydantic import ValidationError

from assay_api.names import LABEL_GPU_PRODUCT, Reason
from assay_api.plan import Task
from assay_api.result import TaskError, TaskResult, shorten
from assay_operator.audits.observed import Observed
from assay_operator.audits.pods import gpu_request
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.fits import Fit
from assay_operator.objects.refusals import Refusal

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
CONFIG_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
# The scheduler's words where a Pod would not fit into an empty node either, and where it would into one of them.
NEVER_FITS, FITS_ELSE = "Preemption is not helpful", "No preemption victims found"
START_REASONS = frozenset({"StartError", "ContainerCannotRun"})
# A Pod that has said nothing for so long may have an event that does.
SILENCE_SECONDS = 15.0
WORDS = 600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Trouble:
    """A reason for machines and a sentence for people."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    @staticmethod
    def read(text: str) -> Trouble:
        """The trouble behind its own text, as a status keeps it; an unknown reason is an Error."""
        head, _, tail = text.partition(": ")
        return Trouble(Reason(head), tail) if head in set(Reason) and tail else Trouble(Reason.ERROR, text)


def pod_trouble(pod: Pod, task: Task, hint: str | None, fits: Fit | None, *, ended: bool = False) -> Trouble | None:
    """What keeps a pending Pod from starting, as far as it is known.

    Args:
        pod: the Pod.
        task: what it does.
        hint: what an event says.
        fits: whether a node could take it, where that is known.
        ended: nothing is waited for any more.
    """
    if pod.unscheduled is not None:
        waits = fits is not None and fits.now == "waits" and not ended
        return Trouble(Reason.PENDING if waits else Reason.UNSCHEDULABLE, _unschedulable(pod.unscheduled, task, fits))
    if pod.waiting in IMAGE_REASONS:
        return Trouble(Reason.IMAGE_UNAVAILABLE, f"image {pod.image}: {_image_words(pod)}")
    if pod.waiting in CONFIG_REASONS:
        return Trouble(Reason.CONFIG_ERROR, clean(f"{pod.waiting}: {pod.waiting_message}"))
    return Trouble(Reason.CONFIG_ERROR, clean(hint)) if hint else None


def job_trouble(hint: str | None) -> Trouble | None:
    """What keeps a Job from having a Pod, as far as it is known."""
    return Trouble(Reason.CONFIG_ERROR, clean(hint)) if hint else None


def waits_for_room(pod: Pod) -> bool:
    """Whether a node might take the Pod once others have ended; not where the scheduler says that none ever will."""
    words = pod.unscheduled or ""
    return "Insufficient" in words and (NEVER_FITS not in words or FITS_ELSE in words)


def room_trouble(pod: Pod) -> Trouble:
    """What to say of a Pod that waits for tasks of ours to end: nothing is wrong."""
    return Trouble(Reason.PENDING, f"waits for room that other tasks have: {clean(pod.unscheduled or '')}")


def lost_trouble(pod: Pod) -> Trouble:
    """What it means that a Pod's node does not answer."""
    node = pod.node or "(unknown)"
    gone = "its Pod is to go, which only that node can do" if pod.deleting else "it may still run there"
    return Trouble(
        Reason.NODE_LOST,
        f"its node {node} does not answer: {gone}; mend the node, or have the task begun elsewhere with "
        f"`kubectl delete node {node}`",
    )


def newest(pods: Sequence[Pod]) -> Pod:
    """Of some Pods, of which there is one: that which ended last, or began last where none has ended."""
    return max(pods, key=lambda pod: (pod.ended or EPOCH, pod.created, pod.name))


def told_error(pod: Pod) -> TaskError | None:
    """What a Pod told of its failure, in its own words."""
    result = read_result(pod.message)
    return result.error if result else None


def refusal_trouble(refusal: Refusal, limit: int, now: datetime) -> tuple[Trouble, float]:
    """What a Job that was refused means, and the seconds until it is given up: 0 where that is now.

    Args:
        refusal: what the API server said.
        limit: seconds that a task may be kept from starting.
        now: the time.
    """
    words = clean(f"its Job was refused: {refusal.message}")
    if refusal.for_good:
        return Trouble(Reason.INVALID_INPUT, words), 0.0
    left = limit - _age(refusal.since, now)
    if left > 0:
        return Trouble(Reason.CONFIG_ERROR, words), left
    return Trouble(Reason.CONFIG_ERROR, f"{words} (waited {limit} s, spec.pendingDeadlineSeconds)"), 0.0


def silent(observed: Observed, now: datetime) -> tuple[str, ...]:
    """UIDs of Jobs and Pods that have not come up for a while and do not say why."""
    pods = [p for p in observed.pods if p.phase == "Pending" and p.unscheduled is None and _tells_nothing(p)]
    bare = [j for j in observed.jobs if not (j.finished or j.suspended or j.active or _has_pods(j, observed.pods))]
    old_pods = (p.uid for p in pods if _age(p.created, now) >= SILENCE_SECONDS)
    return (*old_pods, *(j.uid for j in bare if _age(j.started or j.created, now) >= SILENCE_SECONDS))


def how_it_ended(pod: Pod) -> str:
    """How a Pod failed, in a few words."""
    if error := told_error(pod):
        return error.message
    if pod.disrupted:
        return f"its Pod was disrupted ({pod.disrupted})"
    if pod.out_of_memory:
        return out_of_memory(pod)
    if pod.exit_reason in START_REASONS:
        return clean(f"the container could not start: {pod.message}")
    if pod.message.startswith("{"):
        return _unreadable(pod)
    if pod.exit_code is None:
        return f"its Pod ended ({pod.reason})" if pod.reason else "its Pod went away"
    detail = f" ({pod.exit_reason})" if pod.exit_reason not in ("", "Error") else ""
    return f"exit code {pod.exit_code}{detail}, see `kubectl logs {pod.name}`"


def answer_lost(job: Job, last: Pod | None) -> str:
    """Why a task that was asked a second time for its stored report has no result."""
    if last and not job.failure and last.message:
        return _unreadable(last)
    why = how_it_ended(last) if last and job.failure else "it ended without an answer"
    return f"its result went before it was read: {why}"


def out_of_memory(pod: Pod) -> str:
    """What a kill for memory means, and the way out."""
    if pod.exit_reason != "OOMKilled":
        limit = f" at its memory limit of {pod.memory}" if pod.memory else " because its node ran out of memory"
        return f"killed (exit code 137), most likely{limit}: raise spec.target.resources.memory"
    if pod.memory:
        return f"killed at its memory limit of {pod.memory}: raise spec.target.resources.memory"
    return "killed because its node ran out of memory: give spec.target.resources.memory"


@lru_cache(maxsize=512)
def read_result(message: str) -> TaskResult | None:
    """The TaskResult in a termination message; None for anything else, an empty message among it."""
    try:
        return TaskResult.model_validate_json(message) if message.startswith("{") else None
    except ValidationError:
        return None


def _unreadable(pod: Pod) -> str:
    return (
        f"the runner's result could not be read: image {pod.image} speaks another version: "
        "upgrade operator and runner image together"
    )


def unfit_trouble(task: Task, fits: Fit) -> Trouble:
    """What to say of a task that fits no node, before it has a Pod that a scheduler could speak of."""
    return Trouble(Reason.UNSCHEDULABLE, f"{_wants(task)} {fits.words}")


def _unschedulable(words: str, task: Task, fits: Fit | None) -> str:
    if fits is not None:
        waits = "waits for room: " if fits.now == "waits" else ""
        return f"{_wants(task)} {waits}{fits.words} (scheduler: {clean(words)})"
    if not task.gpus or not (task.gpu_product or "gpu" in words):
        return f"no node can take it{_how_long(words)}: {clean(words)}"
    return f"no node offers {_asked(task)}{_how_long(words)}: {clean(words)}"


def _how_long(words: str) -> str:
    """Whether it waits for others to end, or for another node, as far as the scheduler's words say."""
    if "Insufficient" not in words or not (NEVER_FITS in words or FITS_ELSE in words):
        return ""
    return " now, and one would once others end" if FITS_ELSE in words else ", not even while it is empty"


def _wants(task: Task) -> str:
    return f"wants {_asked(task)}:"


def _asked(task: Task) -> str:
    product = f" with {LABEL_GPU_PRODUCT}={task.gpu_product}" if task.gpu_product else ""
    return f"{gpu_request(task.spec)}{product}"


def _image_words(pod: Pod) -> str:
    """The cause without the back-off around it, so that the sentence stays the same from one try to the next."""
    words = pod.waiting_message
    for lead in (f'Back-off pulling image "{pod.image}": ', "ErrImagePull: "):
        words = words.removeprefix(lead)
    return clean(words) or str(pod.waiting)


def clean(words: str) -> str:
    """The words in one line, not too long."""
    return shorten(" ".join(words.split()), WORDS)


def _tells_nothing(pod: Pod) -> bool:
    return pod.waiting is None or pod.waiting not in IMAGE_REASONS | CONFIG_REASONS


def _has_pods(job: Job, pods: Iterable[Pod]) -> bool:
    return any(pod.job == job.uid for pod in pods)


def _age(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
