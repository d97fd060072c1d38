"""What is to be done about an object of ours: a value that whoever decides hands to whoever acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from assay_api.model import Model
from assay_operator.objects.events import Event
from assay_operator.objects.raw import Manifest
from assay_operator.objects.resources import JOBS, Ref

Why = Literal["ttl", "history"]


@dataclass(frozen=True)
class Mark:
    """What is to be said of a node of the cluster, by a condition of ours among those of others.

    Attributes:
        node: its name.
        condition: type, status, reason and message.
    """

    node: str
    condition: Manifest


S = TypeVar("S", bound=Model, covariant=True)


@dataclass(frozen=True)
class Decision(Generic[S]):
    """What is to be done.

    Attributes:
        create: manifests of children of any kind.
        delete: children to delete, with what they own, in the background.
        patch: children with what is to be merged into them.
        status: the status to write; None where the one on record says the same.
        replace: what stands in the status now is none of ours, and goes before it is written.
        announce: write the status before anything else: until then, what is on record tells of an end that was.
        marks: what is to be said of nodes, before the status.
        events: events to post, once everything else is done.
        retire: why the object itself is deleted, once everything else is done, if it is as it was seen; None: it stays.
        waits: how many tasks would start besides, had there been room for them.
        priority: those with more go first where there is not room for all.
        requeue_after: seconds after which to look again even if nothing is seen to happen.
    """

    create: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    patch: tuple[tuple[Ref, Manifest], ...] = ()
    status: S | None = None
    replace: bool = False
    announce: bool = False
    marks: tuple[Mark, ...] = ()
    events: tuple[Event, ...] = ()
    retire: Why | None = None
    waits: int = 0
    priority: int = 0
    requeue_after: float | None = None

    @property
    def starts(self) -> int:
        """How many Jobs begin to run by it: those created, and those no longer suspended. No other child runs."""
        jobs = [change for ref, change in self.patch if ref.resource == JOBS]
        resumed = sum(change.get("spec", {}).get("suspend") is False for change in jobs)
        return sum(bool(manifest["kind"] == JOBS.kind) for manifest in self.create) + resumed
