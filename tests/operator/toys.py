"""A kind of resource that the operator does not have: a Toy owns a ConfigMap that holds its words.

`python -m tests.operator.toys` is the operator as users start it, with one more entry in its table of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from assay_api.model import Model, to_wire
from assay_api.names import GROUP, LABEL_MANAGED
from assay_api.resources import Column, CustomResource
from assay_operator.kinds import KINDS
from assay_operator.objects.decision import Decision
from assay_operator.objects.events import NORMAL, Event
from assay_operator.objects.keys import Key, label_value
from assay_operator.objects.kind import ChildKind, Kind, Kinds
from assay_operator.objects.raw import Manifest, Raw, owner
from assay_operator.objects.resources import Ref, Resource
from assay_operator.objects.seen import Seen, owner_reference
from assay_operator.serving import main
from assay_operator.settings import Settings

LABEL = f"{GROUP}/toy"
MAPS = Resource("v1", "ConfigMap", "configmaps")


class ToySpec(Model):
    """What a Toy says."""

    words: str
    """Its words."""


class ToyStatus(Model):
    """What has become of it."""

    observed_generation: int = -1
    """Generation of the spec this status speaks of."""
    phase: Literal["Pending", "Complete"] | None = None
    """Whether its words are written down."""


class ToyFile(Model):
    """A Toy as a file holds it."""

    api_version: Literal["assay.dev/v1alpha1"]
    """assay.dev/v1alpha1"""
    kind: Literal["Toy"]
    """Toy"""
    metadata: dict[str, Any]
    """Kubernetes object metadata."""
    spec: ToySpec
    """What it says."""


TOY = CustomResource(
    kind="Toy", plural="toys", singular="toy", short_names=("toy",), description="A Toy has its words written down.",
    model=ToyFile, spec=ToySpec, status=ToyStatus, columns=(Column("Phase", "string", ".status.phase", "Where it is"),),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Toy:
    """What is kept of a Toy."""

    key: Key
    uid: str
    version: str
    generation: int
    words: str
    observed: int
    phase: str
    verdict: str = ""
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    managed: str = ""
    status: bytes = b"{}"
    trace: str = ""

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def complete(self) -> bool:
        """Never: its ConfigMap may be taken away at any time."""
        return False

    @staticmethod
    def of(raw: Raw) -> Toy:
        meta, status = raw["metadata"], raw.get("status") or {}
        return Toy(
            Key("Toy", meta["namespace"], meta["name"]), meta["uid"], meta["resourceVersion"], meta["generation"],
            raw["spec"]["words"], status.get("observedGeneration", -1), status.get("phase", ""),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Map:
    """What is kept of a ConfigMap."""

    name: str
    uid: str
    version: str
    owner: str
    words: str

    @staticmethod
    def of(raw: Raw) -> Map:
        meta = raw["metadata"]
        words = (raw.get("data") or {}).get("words", "")
        return Map(meta["name"], meta["uid"], meta["resourceVersion"], owner(meta, "uid"), words)


def reconcile(seen: Seen, now: datetime, settings: Settings) -> Decision[ToyStatus]:
    """Have the words written down as they are now, and say that they are."""
    toy = seen.parent
    assert isinstance(toy, Toy)
    maps = [each for each in seen.children[MAPS] if each.owner == toy.uid]
    done = bool(maps) and all(each.words == toy.words for each in maps)
    status = ToyStatus(observed_generation=toy.generation, phase="Complete" if done else "Pending")
    return Decision(
        create=() if maps else (_manifest(toy),),
        patch=tuple((Ref(MAPS, m.name), {"data": {"words": toy.words}}) for m in maps if m.words != toy.words),
        status=None if (toy.observed, toy.phase) == (toy.generation, status.phase) else status,
        events=(Event(NORMAL, "Written", f"Wrote down {toy.words}."),) if done and toy.phase != "Complete" else (),
    )


def _manifest(toy: Toy) -> Manifest:
    labels = {LABEL_MANAGED: "true", LABEL: label_value(toy.name)}
    meta = {"name": f"toy-{toy.name}", "labels": labels, "ownerReferences": [owner_reference(toy)]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"words": toy.words}}


MAP = ChildKind(MAPS, Map.of, verbs=("create", "patch"))
TOYS = Kind(custom=TOY, label=LABEL, children=(MAP,), read=Toy.of, reconcile=reconcile)
MORE = Kinds((*KINDS, TOYS))


def toy_manifest(name: str, namespace: str, words: str) -> Manifest:
    """A Toy as a user writes it."""
    meta = {"name": name, "namespace": namespace}
    return to_wire(ToyFile(api_version="assay.dev/v1alpha1", kind="Toy", metadata=meta, spec=ToySpec(words=words)))


if __name__ == "__main__":
    main(MORE)
