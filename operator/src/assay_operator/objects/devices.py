"""The GPUs of a cluster, as ResourceSlices show them: NVIDIA's DRA driver publishes one device per GPU or MIG device.

Three versions of `resource.k8s.io` are about; of one device v1 and v1beta2 say the same, v1beta1 says it one level
deeper. What is only a possible MIG device of a GPU that is whole now (it consumes a counter that the GPU consumes too)
counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from assay_operator.objects.quantities import amount
from assay_operator.objects.raw import Raw

DRIVER: Final = "gpu.nvidia.com"
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a part of one.

    Attributes:
        node: where it is; empty where its slice does not name one node.
        product: as the node label nvidia.com/gpu.product would have it.
        driver: version of the driver, or nothing.
        memory: in MiB; 0 where it is not told.
        mig: MIG profile, or nothing.
    """

    node: str
    product: str
    driver: str = ""
    memory: int = 0
    mig: str = ""


def devices_of(slices: Iterable[Raw]) -> Iterator[Device]:
    """The GPUs that some ResourceSlices show, those of each pool's newest generation alone."""
    ours = [each for each in slices if (each.get("spec") or {}).get("driver") == DRIVER]
    newest: dict[str, int] = {}
    for each in ours:
        name, generation = _pool(each["spec"])
        newest[name] = max(newest.get(name, generation), generation)
    for each in ours:
        spec = each["spec"]
        name, generation = _pool(spec)
        if generation == newest[name]:
            for raw in spec.get("devices") or ():
                if device := _device(spec, raw):
                    yield device


def _pool(spec: Raw) -> tuple[str, int]:
    pool = spec.get("pool") or {}
    return str(pool.get("name", "")), int(pool.get("generation") or 0)


def _device(spec: Raw, raw: Raw) -> Device | None:
    said: Mapping[str, Any] = raw.get("basic") or raw
    attributes = {_bare(name): _value(value) for name, value in (said.get("attributes") or {}).items()}
    capacity = {_bare(name): value for name, value in (said.get("capacity") or {}).items()}
    kind, name = attributes.get("type", "gpu"), attributes.get("productName", "")
    if not name or kind not in ("gpu", "mig") or (kind == "mig" and said.get("consumesCounters")):
        return None
    mig = attributes.get("profile", "") if kind == "mig" else ""
    memory = capacity.get("memory")
    bytes_ = amount(memory.get("value") if isinstance(memory, Mapping) else memory)
    return Device(
        node=str(said.get("nodeName") or spec.get("nodeName") or ""),
        product="-".join([*name.split(), *(["MIG", mig.replace("+", ".")] if mig else [])]),
        driver=attributes.get("driverVersion", ""),
        memory=int(bytes_ / MIB) if bytes_ else 0,
        mig=mig,
    )


def _bare(name: str) -> str:
    """The name of an attribute without the driver's, which stands before it where another has said it."""
    return name.removeprefix(f"{DRIVER}/")


def _value(value: Raw) -> str:
    return str(value.get("string") or value.get("version") or "")
