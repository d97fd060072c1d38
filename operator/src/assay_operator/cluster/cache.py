"""What the watches have told: every object of ours and its children, so that a pass needs no request to look around.

An object is taken only where it is newer than the one known; what the operator itself writes is taken from the
answer, so that a pass sees its own deeds before the watch tells of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from assay_api.names import Phase
from assay_operator.objects.keys import Group, Key
from assay_operator.objects.kind import Item, Kinds, Place
from assay_operator.objects.raw import Raw
from assay_operator.objects.resources import JOBS, PODS, Resource
from assay_operator.objects.seen import Memory, Parent, Seen, Versioned

Witness = Callable[[Item, Versioned | None, Versioned | None], None]


def newer(version: str, known: Versioned | None) -> bool:
    """Whether an object in this version says more than what is known of it.

    Versions grow over the whole cluster, so they also tell an object from its successor of the same name.
    """
    if known is None:
        return True
    if version.isdigit() and known.version.isdigit():
        return int(version) > int(known.version)
    return version != known.version


class Cache:
    """Everything known of all objects of ours.

    Args:
        kinds: what there is.

    Attributes:
        witnesses: told of every object of ours, and of every child that one of ours owns, as it was known before (None:
            not at all) and as it is now (None: gone).
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self.witnesses: list[Witness] = []
        self._parents: dict[Key, Parent] = {}
        self._keys: dict[Group, Key] = {}
        self._children: dict[Resource, dict[Group, dict[str, Any]]] = {r: defaultdict(dict) for r in kinds.children}
        self._memory: dict[Group, Memory] = {}
        self._rooms: Counter[tuple[Group, str]] = Counter()
        self._all_rooms: Counter[str] = Counter()

    def put(self, item: Item, *, own: bool = False) -> bool:
        """Take an object; whether it says anything new.

        Args:
            item: the object.
            own: it is as the operator itself has just written it.
        """
        if item.key:
            return self._put_parent(item.key, item, own)
        if note := self._kinds.children[item.resource].note:
            note(self.memory(item.group), item.value)
        group = self._children[item.resource][item.group]
        known = group.get(item.value.name)
        again = own and known is not None and known.version == item.value.version and known != item.value
        if not (again or newer(item.value.version, known)):
            return False
        group[item.value.name] = item.value
        self._count(item, known, item.value)
        if self._owned(item):
            self._tell(item, known, item.value)
        return True

    def drop(self, item: Item) -> bool:
        """Forget an object that is gone; whether it was known."""
        known = self.known(item.resource, item.group, item.value.name, item.key)
        if known is None or known.uid != item.value.uid:
            return False
        if item.key:
            del self._parents[item.key]
            self._keys.pop(item.group, None)
            self._memory.pop(item.group, None)
        else:
            groups = self._children[item.resource]
            self._count(item, known, None)
            del groups[item.group][item.value.name]
            if not groups[item.group]:
                del groups[item.group]
        self._tell(item, known, None)
        return True

    def known(self, resource: Resource, group: Group, name: str, key: Key | None) -> Versioned | None:
        """What is known of an object."""
        if key:
            return self._parents.get(key)
        known: Versioned | None = self._children[resource].get(group, {}).get(name)
        return known

    def told(self, place: Place, version: str) -> bool:
        """Whether an object is known in this version, or in a newer one."""
        return not newer(version, self.known(place.resource, place.group, place.name, place.key))

    def read(self, place: Place, raw: Raw) -> Item:
        """An object in one of its places; as the child of another, with no more in its status than is our own."""
        kind = None if place.key else self._kinds.own(place.resource)
        if kind and kind.genuine:
            meta = raw["metadata"]
            parent = self._parents.get(Key(kind.custom.kind, meta["namespace"], meta["name"]))
            raw = kind.genuine(parent if parent and parent.uid == meta["uid"] else kind.read(raw), raw)
        return self._kinds.item(place, raw)

    def key_of(self, group: Group) -> Key | None:
        """The object of ours that a group belongs to, where it is known."""
        return self._keys.get(group)

    def parents(self, kind: str | None = None) -> Iterator[Parent]:
        """The objects of a kind of ours, or of all."""
        return (parent for key, parent in self._parents.items() if kind in (None, key.kind))

    def items(self) -> Iterator[Item]:
        """Everything there is."""
        for key, parent in list(self._parents.items()):
            yield Item(self._kinds[key.kind].resource, key.group, parent, key)
        for resource in self._children:
            for group, child in self.children(resource):
                yield Item(resource, group, child)

    def children(self, resource: Resource) -> Iterator[tuple[Group, Any]]:
        """All children of a kind, with what they belong to."""
        for group, children in list(self._children.get(resource, {}).items()):
            for child in list(children.values()):
                yield group, child

    def own_jobs(self) -> Iterator[tuple[Group, Any]]:
        """The Jobs that an object of ours owns, with what they belong to."""
        for group, job in self.children(JOBS):
            key = self._keys.get(group)
            if key and job.owner == self._parents[key].uid:
                yield group, job

    def pods_of_jobs(self) -> Iterator[tuple[Group, Any]]:
        """The Pods that a Job controls which an object of ours owns, with what they belong to."""
        jobs = {job.uid: job.owner for _, job in self.children(JOBS)}
        for group, pod in self.children(PODS):
            key = self._keys.get(group)
            if key and jobs.get(pod.job) == self._parents[key].uid:
                yield group, pod

    def _tell(self, item: Item, before: Versioned | None, now: Versioned | None) -> None:
        for witness in self.witnesses:
            witness(item, before, now)

    def _owned(self, item: Item) -> bool:
        """Whether an object of ours owns a child, or the Job that owns it: labels are anybody's to write."""
        key, jobs = self._keys.get(item.group), self._children.get(JOBS, {}).get(item.group, {})
        owner = getattr(item.value, "owner", None)
        if owner is None:
            owner = next((job.owner for job in jobs.values() if job.uid == getattr(item.value, "job", None)), None)
        return key is not None and owner == self._parents[key].uid

    def pods_at_work(self) -> Iterator[tuple[Any, bool]]:
        """The Pods of Jobs of ours that are not over, and whether each says that it waits for storage."""
        for group, pod in self.pods_of_jobs():
            if not pod.over:
                memory = self._memory.get(group)
                told = memory.progress.get(pod.job) if memory else None
                yield pod, bool(told and told.waiting)

    def memory(self, of: Group) -> Memory:
        """What is remembered beside the objects, to be added to."""
        return self._memory.setdefault(of, Memory())

    def seen(self, key: Key) -> Seen | None:
        """All that is known of one object of ours; None where it is gone."""
        parent = self._parents.get(key)
        if parent is None:
            return None
        group = key.group
        memory = self._memory.get(group) or Memory()
        own = (child.resource for child in self._kinds[key.kind].children)
        return Seen(
            parent=parent,
            children={resource: tuple(self._children[resource].get(group, {}).values()) for resource in own},
            results=memory.results,
            progress=memory.progress,
            refused=memory.refused,
            queued=memory.queued,
            crowded=frozenset(what for what, n in self._all_rooms.items() if n > self._rooms.get((group, what), 0)),
        )

    def _count(self, item: Item, before: Any, after: Any) -> None:
        """Keep count of what nodes keep for children, by what it is and for whom."""
        if room := self._kinds.children[item.resource].room:
            for child, change in ((before, -1), (after, 1)):
                if what := room(child) if child is not None else "":
                    self._all_rooms[what] += change
                    self._rooms[item.group, what] += change
                    if not self._rooms[item.group, what]:
                        del self._rooms[item.group, what]

    def _put_parent(self, key: Key, item: Item, own: bool) -> bool:
        parent: Any = item.value
        known: Any = self._parents.get(key)
        # The watch may tell of what was written before the answer to the writing comes.
        if not newer(parent.version, known) and not (own and known.version == parent.version):
            return False
        if known and not own and (keep := self._kinds[key.kind].keep):
            parent = keep(parent, known)
        self._parents[key] = parent
        self._keys[item.group] = key
        self._tell(item, known if known and known.uid == parent.uid else None, parent)
        if parent.complete:
            self._memory.pop(item.group, None)
        elif parent.phase == Phase.SUSPENDED and item.group in self._memory:
            # Nothing is tried meanwhile, so the wait for what refused its children begins anew.
            self._memory[item.group].refused = {}
        return True
