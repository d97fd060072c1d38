"""A kind of resource of ours, a kind of child, and the table of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from assay_api.model import Model
from assay_api.names import API_VERSION, LABEL_MANAGED
from assay_api.resources import CustomResource
from assay_operator.objects.decision import Decision
from assay_operator.objects.keys import Group, Key
from assay_operator.objects.raw import Manifest, Raw
from assay_operator.objects.resources import EVENTS, NODES, SLICES, WORKLOADS, Resource
from assay_operator.objects.seen import Memory, Parent, Seen, Versioned
from assay_operator.settings import Settings

WATCH = ("get", "list", "watch")
Asks = Literal["", "known", "fresh", "now"]
"""What a decision wants to know of the cluster's nodes: nothing; what is known, if anything is, and to be looked at
again when that changes; what holds, as of a minute ago or of this moment, without which nothing can be decided."""


@dataclass(frozen=True)
class ChildKind:
    """A kind of object that ours own, directly or not. All of them bear the label `LABEL_MANAGED`.

    Attributes:
        resource: where the API has it.
        read: the values that are kept, from the raw form.
        verbs: what the operator does with it besides watching.
        note: keep what is told beyond its state, where there is something.
        room: what a node keeps for it, in one word, or nothing.
    """

    resource: Resource
    read: Callable[[Raw], Versioned]
    verbs: tuple[str, ...] = ()
    note: Callable[[Memory, Versioned], None] | None = None
    room: Callable[[Any], str] | None = None


def _never(seen: Seen, now: datetime) -> tuple[str, ...]:
    return ()


def _no(seen: Seen, now: datetime) -> Asks:
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of resource of ours.

    Attributes:
        custom: what Kubernetes is told of it.
        label: label of everything that belongs to it, directly or not, with its name as `label_value` has it.
        children: the kinds of what belongs to it.
        read: the values that are kept, from the raw form.
        reconcile: what is to be done about one, from what is seen of it.
        unwritable: what is to be done instead of a decision whose status the API server will not have, with its words;
            None: it is tried again.
        keep: one as a watch brings it, beside what is known of it: what is to be known from now on.
        silent: UIDs of children that do not come up and do not say why: events are asked for.
        genuine: its raw form, with no more in its status than the operator itself put there: what owns it goes by that.
        verbs: what the operator does with one besides watching it and writing its status.
        nodes: what the next decision wants to know of the GPUs of the cluster's nodes.
    """

    custom: CustomResource
    label: str
    children: tuple[ChildKind, ...]
    read: Callable[[Raw], Parent]
    reconcile: Callable[[Seen, datetime, Settings], Decision[Model]]
    unwritable: Callable[[Seen, Decision[Model], str, datetime], Decision[Model]] | None = None
    keep: Callable[[Any, Any], Any] | None = None
    silent: Callable[[Seen, datetime], tuple[str, ...]] = _never
    genuine: Callable[[Any, Raw], Raw] | None = None
    verbs: tuple[str, ...] = ()
    nodes: Callable[[Seen, datetime], Asks] = _no

    @property
    def resource(self) -> Resource:
        """Where the API has it."""
        return Resource(API_VERSION, self.custom.kind, self.custom.plural)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object belongs.

    Attributes:
        resource: what it is.
        group: all that belongs to the same object of ours.
        name: its name.
        key: its own key, where it is itself of a kind of ours.
    """

    resource: Resource
    group: Group
    name: str
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An object as it came, with what it belongs to.

    Attributes:
        resource: what it is.
        group: all that belongs to the same object of ours.
        value: what is kept of it.
        key: its own key, where it is itself of a kind of ours.
    """

    resource: Resource
    group: Group
    value: Versioned
    key: Key | None = None


class Kinds:
    """The kinds of resource that an operator knows.

    Raises:
        ValueError: two kinds have one name or one label, or read the same kind of child in two ways.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._by_name = {kind.custom.kind: kind for kind in self._kinds}
        self._own = {kind.resource: kind for kind in self._kinds}
        self._children: dict[Resource, ChildKind] = {}
        if len(self._by_name) < len(self._kinds) or len({kind.label for kind in self._kinds}) < len(self._kinds):
            raise ValueError("two kinds of resource have one name, or one label")
        self._owners: dict[Resource, list[Kind]] = {}
        for kind in self._kinds:
            for child in kind.children:
                if self._children.setdefault(child.resource, child) != child:
                    raise ValueError(f"{child.resource.plural} are read in two ways")
                self._owners.setdefault(child.resource, []).append(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds)

    def __getitem__(self, name: str) -> Kind:
        return self._by_name[name]

    @property
    def children(self) -> Mapping[Resource, ChildKind]:
        """Every kind of child, whosever it is."""
        return self._children

    @property
    def watched(self) -> dict[Resource, str]:
        """Every resource that is watched, with the label that is asked for; none for our own.

        Our own come first: a Job that is listed before what owns it would count as nobody's.
        """
        return dict.fromkeys(self._own, "") | {r: LABEL_MANAGED for r in self._children if r not in self._own}

    def places(self, resource: Resource, meta: Raw) -> tuple[Place, ...]:
        """Where an object belongs, by its metadata: it may be one of ours, a child of one of ours, both or nothing."""
        found = []
        if own := self._own.get(resource):
            key = Key(own.custom.kind, meta["namespace"], meta["name"])
            found.append(Place(resource, key.group, meta["name"], key))
        labels = meta.get("labels") or {}
        for kind in self._owners.get(resource, ()):
            if kind.label in labels:
                group = Group(kind.custom.kind, meta["namespace"], labels[kind.label])
                found.append(Place(resource, group, meta["name"]))
                break
        return tuple(found)

    def item(self, place: Place, raw: Raw) -> Item:
        """What is kept of an object in one of its places, from its raw form."""
        read = self._by_name[place.key.kind].read if place.key else self._children[place.resource].read
        return Item(place.resource, place.group, read(raw), place.key)

    def own(self, resource: Resource) -> Kind | None:
        """The kind of ours that a resource is, where it is one."""
        return self._own.get(resource)

    def items(self, resource: Resource, raw: Raw) -> tuple[Item, ...]:
        """The same of an object in all of its places."""
        return tuple(self.item(place, raw) for place in self.places(resource, raw["metadata"]))

    def resource_of(self, manifest: Manifest) -> Resource:
        """What a manifest of a child is.

        Raises:
            LookupError: no kind has such children.
        """
        said = manifest["apiVersion"], manifest["kind"]
        for resource in self._children:
            if (resource.api_version, resource.kind) == said:
                return resource
        raise LookupError(f"no kind of resource has children of kind {said[1]} ({said[0]})")

    def rights(self) -> dict[tuple[str, str], set[str]]:
        """The verbs that an operator of these kinds needs where it watches, by API group and resource."""
        needed: dict[tuple[str, str], set[str]] = {
            (EVENTS.group, EVENTS.plural): {"list", "create"},
            (WORKLOADS.group, WORKLOADS.plural): {"list"},
        }
        for kind in self._kinds:
            group, plural = kind.resource.group, kind.resource.plural
            needed |= {(group, plural): {*WATCH, *kind.verbs}, (group, f"{plural}/status"): {"patch"}}
        for child in self._children.values():
            needed.setdefault((child.resource.group, child.resource.plural), set()).update({*WATCH, *child.verbs})
        return needed

    def cluster_rights(self) -> dict[tuple[str, str], set[str]]:
        """The verbs that it may use beside those where the whole cluster is watched; it goes without them elsewhere."""
        asked = any(kind.nodes is not _no for kind in self._kinds)
        return {(each.group, each.plural): {"list"} for each in (NODES, SLICES)} if asked else {}
