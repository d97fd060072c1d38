"""What is known of one task: its Jobs, their Pods, what it answered, and what the status has on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from assay_api.plan import Task
from assay_api.result import TaskResult
from assay_api.status import Entry
from assay_api.together import answers_of
from assay_operator.audits.jobs import job_name
from assay_operator.audits.observed import Observed
from assay_operator.audits.troubles import newest, read_result, waits_for_room
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.fits import Fit
from assay_operator.objects.refusals import Refusal
from assay_operator.objects.seen import OF_ALL

# A Job may be seen as finished before its last Pod is: they come by different watches.
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Facts:
    """What a rule may look at.

    Attributes:
        task: the task.
        observed: everything there is of its audit.
        recorded: its entry of the status, where the status speaks of this run.
        now: the time.
        main: its Job.
        recovery: the Job that asks for its stored report.
        ahead: the task that went ahead of it, where one did.
    """

    task: Task
    observed: Observed
    recorded: Entry | None
    now: datetime
    main: Job | None
    recovery: Job | None
    ahead: Task | None = None

    @staticmethod
    def of(task: Task, observed: Observed, recorded: Entry | None, now: datetime, ahead: Task | None = None) -> Facts:
        """Look for them among what is observed."""
        audit = observed.audit
        jobs = {job.name: job for job in jobs_of(task, observed)}
        main, recovery = (jobs.get(job_name(audit.name, task, recovery=again)) for again in (False, True))
        return Facts(task, observed, recorded, now, main, recovery if _asked_for(main, recorded) else None, ahead)

    @property
    def made(self) -> bool:
        """Whether the task has a Job."""
        return bool(self.main or self.recovery)

    @property
    def job(self) -> Job:
        """The Job that tells, where the task has one: the recovery Job where there is one."""
        found = self.recovery or self.main
        assert found is not None, f"task {self.task.key} has no Job"
        return found

    @property
    def unfinished(self) -> Job | None:
        """A Job that has not finished."""
        return next((j for j in (self.recovery, self.main) if j and not (j.finished or j.deleting)), None)

    @cached_property
    def result(self) -> TaskResult | None:
        """What the task answered, through a Pod of one of its Jobs, or of what went ahead of it."""
        own = self._told(self.task, [job for job in (self.main, self.recovery) if job])
        if own or self.ahead is None:
            return own
        told = self._told(self.ahead, jobs_of(self.ahead, self.observed))
        answers = answers_of(told) if told else ()
        return next((each for each in answers if each.task == self.task.digest and not each.error), None)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The Pods of the Job that tells."""
        return self._pods(self.job)

    @cached_property
    def pod(self) -> Pod | None:
        """The newest Pod that may still come to something."""
        left = [pod for pod in self.pods if not pod.over]
        return newest(left) if left else None

    @cached_property
    def failed(self) -> tuple[Pod, ...]:
        """The Pods that failed."""
        return tuple(pod for pod in self.pods if pod.phase == "Failed")

    @property
    def killed(self) -> tuple[Pod, ...]:
        """The Pods that were killed for their memory."""
        return tuple(pod for pod in self.failed if pod.out_of_memory)

    @property
    def retries(self) -> int:
        """Pods of the Job that failed, of which some may have gone and some not be counted yet."""
        return max(self.job.failed, len(self.failed))

    @cached_property
    def grace_left(self) -> float:
        """Seconds to wait for the Pod that closed a finished Job; 0 where none is to be seen any more."""
        if self.job.elsewhere:
            return 0.0
        if self.pods and all(pod.over for pod in self.pods):
            return 0.0
        return max(GRACE_SECONDS - (self.now - (self.job.ended or self.job.created)).total_seconds(), 0.0)

    @property
    def hint(self) -> str | None:
        """What an event says of the Pod or the Job that does not come up."""
        hints = self.observed.hints
        if self.pod:
            return hints.get(self.pod.uid)
        return hints.get(self.job.uid) or hints.get(OF_ALL)

    @property
    def fits(self) -> Fit | None:
        """Whether a node could take it, where that is known."""
        return self.observed.fits.get(self.task.key)

    @property
    def crowded(self) -> bool:
        """Whether its Pod waits for room, and tasks of ours have some: nothing is wrong before they have ended."""
        pod = self.pod
        if pod is None or not waits_for_room(pod):
            return False
        # What an accelerator is wanted for waits for no task without one.
        wanted = {"gpu"} if self.task.gpus else {"gpu", "cpu"}
        siblings = {other.room for other in self.observed.pods if other.job != pod.job}
        return bool(wanted & (siblings | self.observed.crowded))

    @property
    def waited(self) -> float:
        """Seconds for which nothing that this audit does has explained that the task does not start.

        A Pod in want of room waits for its siblings first.
        """
        return (self.now - self._waits_since()).total_seconds()

    def refusal(self, *, recovery: bool) -> Refusal | None:
        """What the API server answered to the Job's creation."""
        return self.observed.refused.get(job_name(self.observed.audit.name, self.task, recovery=recovery))

    def _waits_since(self) -> datetime:
        pod = self.pod
        if pod is None:
            # What was suspended, by the spec or in a queue, has not waited for a Pod meanwhile.
            return self.now if self.job.held else self.job.started or self.job.resumed or self.job.created
        if "Insufficient" not in (pod.unscheduled or ""):
            return pod.created
        others = [p for p in self.observed.pods if p.job != self.job.uid and (p.gpu or not self.task.gpus)]
        freed = [self.now if other.phase == "Running" else other.ended or pod.created for other in others]
        return max([pod.created, *freed])

    def _told(self, task: Task, jobs: list[Job]) -> TaskResult | None:
        """What a Pod of these Jobs of a task told."""
        heard = (self.observed.results.get(job.uid, "") for job in jobs)
        succeeded = (pod.message for job in jobs for pod in self._pods(job) if pod.phase == "Succeeded")
        results = (read_result(message) for message in (*heard, *succeeded))
        return next((each for each in results if each and each.task == task.digest and not each.error), None)

    def _pods(self, job: Job) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.observed.pods if pod.job == job.uid)


def jobs_of(task: Task, observed: Observed) -> list[Job]:
    """The Jobs of a task, by its audit's UID."""
    return [job for job in observed.jobs if job.task == task.digest and job.owner == observed.audit.uid]


def _asked_for(main: Job | None, recorded: Entry | None) -> bool:
    """Whether a recovery Job has anything to recover: a Job of its name that was there before asks for nothing.

    Its own Job succeeded; or is gone, as a TTL has it, where the status says that the task had begun.
    """
    if main is None:
        return recorded is not None and recorded.state not in ("Waiting", "Pending")
    return main.succeeded
