"""The GPUs of a cluster, by the labels of its nodes and by ResourceSlices.

NVIDIA's GPU feature discovery writes the labels, NVIDIA's DRA driver the slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from assay_api.names import LABEL_GPU_PRODUCT
from assay_operator.objects.devices import Device
from assay_operator.objects.raw import Raw

_FULL: Final = "nvidia.com/cuda.driver-version.full"
_PARTS: Final = ("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev")
_MEMORY: Final = "nvidia.com/gpu.memory"
_MIG: Final = "-MIG-"


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as far as it matters whether a GPU task fits it.

    Attributes:
        capacity: of each resource, what it has.
        allocatable: of each resource, what Pods can have of it while it is empty.
        taints: key, value and effect of each.
        cordoned: whether it takes no new Pods.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()
    cordoned: bool = False

    @property
    def product(self) -> str:
        """Its GPU product, or nothing."""
        return self.labels.get(LABEL_GPU_PRODUCT, "")

    @staticmethod
    def of(raw: Raw) -> Node:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        taints = ((t.get("key", ""), t.get("value") or "", t.get("effect", "")) for t in spec.get("taints") or ())
        return Node(
            name=meta["name"],
            labels=meta.get("labels") or {},
            capacity=status.get("capacity") or {},
            allocatable=status.get("allocatable") or {},
            taints=tuple(taints),
            cordoned=bool(spec.get("unschedulable")),
        )


@dataclass(frozen=True, order=True)
class Gpu:
    """A GPU product that nodes have.

    Attributes:
        product: as in the label.
        driver: version of the driver; several, joined by commas, where nodes differ; nothing where none tells.
        nodes: how many nodes.
        memory: of one GPU, in MiB, the least where they differ; 0 where none tells.
        mig: MIG profile, or nothing.
        labelled: whether nodes are labelled with it; else only ResourceSlices show it.
    """

    product: str
    driver: str = ""
    nodes: int = 0
    memory: int = 0
    mig: str = ""
    labelled: bool = True


@dataclass(frozen=True)
class Gpus:
    """Every product of the cluster, by name.

    Attributes:
        products: what there is.
        refused: the API server's words, where the nodes may not be listed.
        nodes: the nodes that have GPUs.
        devices: what ResourceSlices show.
    """

    products: tuple[Gpu, ...] = ()
    refused: str = ""
    nodes: tuple[Node, ...] = ()
    devices: tuple[Device, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was told."""
        return bool(self.products or self.refused)

    @staticmethod
    def of(nodes: Iterable[Node], devices: Iterable[Device] = ()) -> Gpus:
        """What some nodes and devices come to."""
        nodes, devices = tuple(nodes), tuple(devices)
        return Gpus(gpus_of(nodes, devices), nodes=nodes, devices=devices)


def gpus_of(nodes: Iterable[Node], devices: Iterable[Device] = ()) -> tuple[Gpu, ...]:
    """The products of some nodes: by its labels where a node has them, else by what ResourceSlices show of it."""
    found: dict[str, dict[str, tuple[str, int, str]]] = {}
    labelled: set[str] = set()
    for node in nodes:
        if product := node.product:
            labelled.add(node.name)
            said = _driver(node.labels), _whole(node.labels.get(_MEMORY, "")), product.partition(_MIG)[2]
            found.setdefault(product, {})[node.name] = said
    by_labels = set(found)
    for device in devices:
        if device.node not in labelled:
            said = device.driver, device.memory, device.mig
            found.setdefault(device.product, {})[device.node] = said
    return tuple(_gpu(product, said, product in by_labels) for product, said in sorted(found.items()))


def _gpu(product: str, said: Mapping[str, tuple[str, int, str]], labelled: bool) -> Gpu:
    drivers, memories, parts = zip(*said.values(), strict=True)
    return Gpu(
        product,
        driver=",".join(sorted({driver for driver in drivers if driver})),
        nodes=len(said),
        memory=min((memory for memory in memories if memory), default=0),
        mig=next(filter(None, parts), ""),
        labelled=labelled,
    )


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _driver(labels: Mapping[str, str]) -> str:
    return labels.get(_FULL) or ".".join(filter(None, (labels.get(part, "") for part in _PARTS)))
