"""What is known of one object of ours at one moment: itself, its children, and what was told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from assay_api.names import API_VERSION
from assay_api.result import Progress
from assay_operator.objects.keys import Key
from assay_operator.objects.line import Turn
from assay_operator.objects.nodes import Gpus
from assay_operator.objects.queued import Queued
from assay_operator.objects.raw import Manifest
from assay_operator.objects.refusals import Refusal
from assay_operator.objects.resources import Ref, Resource

OF_ALL: Final = ""
"""Among hints, in the place of a UID: what holds for every Job of the namespace that has no Pod."""


class Versioned(Protocol):
    """An object that tells its newer from its older state."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uid(self) -> str:
        """Its UID."""

    @property
    def version(self) -> str:
        """Its resource version."""


class Parent(Versioned, Protocol):
    """An object of a kind of ours, as far as every kind is treated alike."""

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""

    @property
    def generation(self) -> int:
        """Generation of its spec."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: nothing is remembered of it, and no resync has it looked at."""

    @property
    def phase(self) -> str:
        """Where it stands, in one word, or nothing."""

    @property
    def verdict(self) -> str:
        """What came of it, in one word, or nothing."""

    @property
    def reason(self) -> str:
        """Why it stands there, in one word, or nothing."""

    @property
    def status(self) -> bytes:
        """Its status as JSON, packed or not."""

    @property
    def since(self) -> float:
        """When its run began, or it was created, in seconds since 1970."""

    @property
    def until(self) -> float | None:
        """When its run ended, where it has."""

    @property
    def trace(self) -> str:
        """What its runs are to be found by, where somebody says so; else nothing."""

    @property
    def managed(self) -> str:
        """What would make it again where it was deleted, a tool or another object of ours, or nothing."""


@dataclass(slots=True)
class Memory:
    """What was told of an object's children beyond their own states.

    Attributes:
        results: termination messages of Pods that succeeded, by their Job's UID; they outlive the Pod.
        progress: what running tasks do, by their Job's UID.
        refused: what the API server answered to the creation of a child. Replaced, never changed.
        queued: what Kueue says of Jobs in its queues, by their UID. Replaced, never changed.
        asked: UIDs of closed Jobs whose Pods were asked for, because no watch had told of them.
    """

    results: dict[str, str] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    refused: Mapping[Ref, Refusal] = field(default_factory=dict)
    queued: Mapping[str, Queued] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Seen:
    """One object of ours and everything of it in the cluster.

    Attributes:
        parent: the object.
        children: what bears its label, by resource.
        results: as in `Memory`, like `progress`, `refused` and `queued`.
        hints: what events say of a Job or Pod that does not come up, by the object's UID.
        turn: how many of its tasks may start now; None: all that want to.
        surplus: it is done, and more like it are kept than there should be.
        crowded: what nodes keep for children of other objects of ours.
        nodes: the GPUs of the cluster's nodes, where they were asked for and are known.
    """

    parent: Parent
    children: Mapping[Resource, tuple[Any, ...]] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    progress: Mapping[str, Progress] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[Ref, Refusal] = field(default_factory=dict)
    queued: Mapping[str, Queued] = field(default_factory=dict)
    crowded: frozenset[str] = frozenset()
    turn: Turn | None = None
    surplus: bool = False
    nodes: Gpus | None = None

    def uid_of(self, ref: Ref) -> str | None:
        """UID of a child, where it is there."""
        return next((child.uid for child in self.children.get(ref.resource, ()) if child.name == ref.name), None)


def owner_reference(parent: Parent) -> Manifest:
    """What makes a child its parent's own."""
    return {
        "apiVersion": API_VERSION,
        "kind": parent.key.kind,
        "name": parent.key.name,
        "uid": parent.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
