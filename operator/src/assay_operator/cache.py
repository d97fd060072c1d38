"""What the watches have told: every audit, Job and Pod of ours, so that a pass needs no request to look around.

An object is taken only where it is newer than the one known; what the operator itself writes is taken from the
answer, so that a pass sees its own deeds before the watch tells of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from assay_api.names import Phase
from assay_api.result import Progress
from assay_operator.jobs import label_value
from assay_operator.observed import Audit, Job, Key, Observed, Pod
from assay_operator.refusals import Refusal


class Versioned(Protocol):
    """An object that tells its newer from its older state."""

    @property
    def uid(self) -> str:
        """Its UID."""

    @property
    def version(self) -> str:
        """Its resource version."""


class Child(Versioned, Protocol):
    """An object that belongs to an audit by its label."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def audit(self) -> str:
        """The label that names its audit."""


T = TypeVar("T", bound=Child)
Group = tuple[str, str]
"""Namespace and audit label of a child."""


def newer(new: Versioned, known: Versioned | None) -> bool:
    """Whether `new` says more than what is known.

    Versions grow over the whole cluster, so they also tell an object from its successor of the same name.
    """
    if known is None:
        return True
    if new.version.isdigit() and known.version.isdigit():
        return int(new.version) > int(known.version)
    return new.version != known.version


class Children(Generic[T]):
    """The Jobs or the Pods, by the audit they belong to."""

    def __init__(self) -> None:
        self._groups: dict[Group, dict[str, T]] = defaultdict(dict)

    def put(self, namespace: str, child: T) -> bool:
        """Take an object; whether it says anything new."""
        group = self._groups[namespace, child.audit]
        if not newer(child, group.get(child.name)):
            return False
        group[child.name] = child
        return True

    def drop(self, namespace: str, child: T) -> bool:
        """Forget an object that is gone; whether it was known."""
        group = self._groups.get((namespace, child.audit), {})
        known = group.get(child.name)
        if known is None or known.uid != child.uid:
            return False
        del group[child.name]
        if not group:
            del self._groups[namespace, child.audit]
        return True

    def of(self, group: Group) -> tuple[T, ...]:
        """The objects of one audit."""
        return tuple(self._groups.get(group, {}).values())

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Every object with its namespace."""
        for (namespace, _), group in list(self._groups.items()):
            for child in list(group.values()):
                yield namespace, child


class Cache:
    """Everything known of all audits."""

    def __init__(self) -> None:
        self.audits: dict[Key, Audit] = {}
        self.jobs: Children[Job] = Children()
        self.pods: Children[Pod] = Children()
        self.hints: dict[Key, dict[str, str]] = {}
        self.refused: dict[Key, dict[str, Refusal]] = {}
        self.progress: dict[Group, dict[str, Progress]] = {}
        self._results: dict[Group, dict[str, str]] = {}
        self._names: dict[Group, str] = {}

    def put_audit(self, audit: Audit) -> bool:
        """Take an audit; whether it says anything new."""
        if not newer(audit, self.audits.get(audit.key)):
            return False
        self.audits[audit.key] = audit
        self._names[_group(audit)] = audit.name
        if audit.complete:
            self._forget(audit)
        if audit.phase == Phase.SUSPENDED:
            # Nothing is tried meanwhile, so the wait for what refused its Jobs begins anew.
            self.refused.pop(audit.key, None)
        return True

    def drop_audit(self, audit: Audit) -> bool:
        """Forget an audit that is gone; whether it was known."""
        known = self.audits.get(audit.key)
        if known is None or known.uid != audit.uid:
            return False
        del self.audits[audit.key]
        self._names.pop(_group(audit), None)
        self._forget(audit)
        return True

    def put_pod(self, namespace: str, pod: Pod) -> bool:
        """Take a Pod; whether it says anything new. The answer of one that succeeded is kept beyond its end.

        It is kept under the Job that the Pod says controls it, and read only where that Job is the task's own.
        """
        if pod.phase == "Succeeded" and pod.message and pod.job:
            self._results.setdefault((namespace, pod.audit), {})[pod.job] = pod.message
        if pod.over:
            self.progress.get((namespace, pod.audit), {}).pop(pod.job, None)
        return self.pods.put(namespace, pod)

    def job_of(self, namespace: str, pod: Pod) -> Job | None:
        """The Job of an audit that controls a Pod, where both are known."""
        key = self.key_of(namespace, pod)
        audit = self.audits.get(key) if key else None
        jobs = self.jobs.of((namespace, pod.audit)) if audit else ()
        return next((job for job in jobs if audit and job.owner == audit.uid and job.uid == pod.job), None)

    def key_of(self, namespace: str, child: Child) -> Key | None:
        """The audit that an object belongs to, where it is known."""
        name = self._names.get((namespace, child.audit))
        return (namespace, name) if name else None

    def observed(self, key: Key) -> Observed | None:
        """All that is known of one audit; None where it is gone."""
        audit = self.audits.get(key)
        if audit is None:
            return None
        group = _group(audit)
        return Observed(
            audit=audit,
            jobs=self.jobs.of(group),
            pods=self.pods.of(group),
            results=self._results.get(group, {}),
            progress=self.progress.get(group, {}),
            hints=self.hints.get(key, {}),
            refused=self.refused.get(key, {}),
        )

    def _forget(self, audit: Audit) -> None:
        for store in (self.progress, self._results):
            store.pop(_group(audit), None)
        self.hints.pop(audit.key, None)
        self.refused.pop(audit.key, None)


def _group(audit: Audit) -> Group:
    return audit.namespace, label_value(audit.name)
