"""Whether a GPU task fits the nodes there are, and what ResourceSlices show of GPUs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from assay_operator.objects.devices import Device, devices_of
from assay_operator.objects.fits import Wish, fit
from assay_operator.objects.nodes import Gpu, Gpus, Node
from assay_operator.objects.quantities import amount

PRODUCT = "nvidia.com/gpu.product"
FULL = {"nvidia.com/gpu": "8", "cpu": "64", "memory": "1Ti"}
ONE = {"nvidia.com/gpu": "1", "memory": "4Gi"}
POOL = ("pool", "gpu", "NoSchedule")
L4 = Device("d", "NVIDIA-L4", "580.65.6", 23034)


def node(name: str = "a", product: str = "NVIDIA-H200", offers: dict[str, str] | None = None, **rest: Any) -> Node:
    there = FULL if offers is None else offers
    labels = {PRODUCT: product} if product else {}
    return Node(name, labels | rest.pop("labels", {}), rest.pop("capacity", there), there, **rest)


def wish(resources: dict[str, str] | None = None, product: str = "NVIDIA-H200", **rest: Any) -> Wish:
    selector = ({PRODUCT: product} if product else {}) | rest.pop("selector", {})
    return Wish(ONE if resources is None else resources, selector, **rest)


@pytest.mark.parametrize(
    ("asked", "nodes", "devices", "now", "said"),
    [
        (wish(), [node()], [], "waits", "once others give back"),
        (wish(product=""), [node()], [], "waits", "once others give back"),
        (wish(product=""), [], [], "never", "no node has nvidia.com/gpu"),
        (
            wish(), [node(product="NVIDIA-L4")], [], "never",
            "no node has nvidia.com/gpu.product=NVIDIA-H200; there is NVIDIA-L4",
        ),
        (wish({"nvidia.com/gpu": "16"}), [node()], [], "never", "asks for 16 of nvidia.com/gpu"),
        (wish({**ONE, "memory": "2Ti"}), [node()], [], "never", "asks for 2Ti of memory"),
        (wish({**ONE, "memory": "1024Gi"}), [node()], [], "waits", "once others give back"),
        # Enough of each, but no node has enough of both.
        (
            wish({"nvidia.com/gpu": "8", "memory": "100Gi"}),
            [node("a", offers={**FULL, "memory": "10Gi"}), node("b", offers={**FULL, "nvidia.com/gpu": "4"})],
            [], "never",
            "asks for 100Gi of memory, and of the nodes with NVIDIA-H200 that have the rest none offers more than 10Gi",
        ),
        (wish({"nvidia.com/mig-1g.10gb": "1"}), [node()], [], "never", "asks for 1 of nvidia.com/mig-1g.10gb"),
        (wish(selector={"pool": "audits"}), [node()], [], "never", "none has the labels pool=audits"),
        (wish(selector={"pool": "x"}), [node(labels={"pool": "x"})], [], "waits", "once others"),
        # The device plugin takes GPUs that it finds unhealthy, or all while it starts, out of what can be had.
        (wish(), [node(offers={**FULL, "nvidia.com/gpu": "0"}, capacity=FULL)], [], "waits", "less can be used now"),
        (wish(), [node(cordoned=True)], [], "waits", "cordoned: `kubectl uncordon a`"),
        (wish(), [node(taints=(POOL,))], [], "never", "taints, such as pool=gpu:NoSchedule"),
        (wish(tolerations=(("pool", "Exists", None, None),)), [node(taints=(POOL,))], [], "waits", ""),
        (wish(tolerations=(("pool", "Equal", "gpu", "NoSchedule"),)), [node(taints=(POOL,))], [], "waits", ""),
        (wish(tolerations=(("pool", "Equal", "cpu", None),)), [node(taints=(POOL,))], [], "never", "taints"),
        (wish(tolerations=((None, "Exists", None, None),)), [node(taints=(POOL,))], [], "waits", ""),
        (wish(), [node(taints=(("pool", "gpu", "PreferNoSchedule"),))], [], "waits", ""),
        # What admission may tolerate for the Pod, and what passes by.
        (wish(), [node(taints=(("nvidia.com/gpu", "", "NoSchedule"),))], [], "waits", ""),
        (wish(), [node(taints=(("node.kubernetes.io/not-ready", "", "NoSchedule"),))], [], "waits", ""),
        (wish(affinity=True), [node()], [], "unclear", "as far as the affinity"),
        (wish({"nvidia.com/gpu": "16"}, affinity=True), [node()], [], "never", "asks for 16"),
        # Under DRA a node shows no nvidia.com/gpu: it is not said that none ever fits.
        (
            wish(product="NVIDIA-L4"), [node("d", "NVIDIA-L4", {"cpu": "8", "memory": "1Ti"})], [L4], "claims",
            "extendedResourceName nvidia.com/gpu",
        ),
        (
            wish(product="NVIDIA-L4"), [node("d", "", {"cpu": "8"})], [L4], "unlabelled",
            "kubectl label node d nvidia.com/gpu.product=NVIDIA-L4",
        ),
        (wish(product=""), [], [L4], "claims", "given out by resource claims"),
        (wish(), [], [L4], "never", "no node has nvidia.com/gpu.product=NVIDIA-H200; there is NVIDIA-L4"),
    ],
)  # fmt: skip
def test_what_fits(asked: Wish, nodes: list[Node], devices: list[Device], now: str, said: str) -> None:
    found = fit(asked, Gpus.of(nodes, devices))
    assert found is not None
    assert (found.now, said in found.words) == (now, True), found.words


def test_of_nodes_that_may_not_be_read_nothing_is_said() -> None:
    assert fit(wish(), None) is None
    assert fit(wish(), Gpus(refused="nodes is forbidden")) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("500m", Decimal("0.5")), ("1Ki", 1024), ("1k", 1000), ("1.5Gi", 1.5 * 1024**3), ("2E", 2 * 10**18),
        ("1e3", 1000), ("1E3", 1000), ("12e-1", Decimal("1.2")), (8, 8), ("", None), ("Gi", None),
        ("1 Gi", None), ("-1", None),
    ],
)  # fmt: skip
def test_quantities(text: object, value: object) -> None:
    assert amount(text) == value


def piece(spec: dict[str, Any], *devices: dict[str, Any]) -> dict[str, Any]:
    pool = {"name": "d", "generation": 1}
    return {"spec": {"driver": "gpu.nvidia.com", "nodeName": "d", "pool": pool, "devices": [*devices], **spec}}


WHOLE = {"type": {"string": "gpu"}, "productName": {"string": "NVIDIA L4"}, "driverVersion": {"version": "580.65.6"}}
PART = {**WHOLE, "type": {"string": "mig"}, "profile": {"string": "1g.5gb+me"}}
MEMORY = {"memory": {"value": "23034Mi"}}
OTHER = {"name": "d", "generation": 2}


@pytest.mark.parametrize(
    ("slices", "found"),
    [
        ([piece({}, {"name": "gpu-0", "attributes": WHOLE, "capacity": MEMORY})], [L4]),
        # v1beta1 says the same one level deeper.
        ([piece({}, {"name": "gpu-0", "basic": {"attributes": WHOLE, "capacity": MEMORY}})], [L4]),
        ([piece({}, {"attributes": {f"gpu.nvidia.com/{k}": v for k, v in WHOLE.items()}, "capacity": MEMORY})], [L4]),
        ([piece({}, {"attributes": PART})], [Device("d", "NVIDIA-L4-MIG-1g.5gb.me", "580.65.6", 0, "1g.5gb+me")]),
        # A part that could be made of a GPU, and one that is passed through to a virtual machine.
        ([piece({}, {"attributes": PART, "consumesCounters": [{"counterSet": "gpu-0"}]})], []),
        ([piece({}, {"attributes": {**WHOLE, "type": {"string": "vfio"}}})], []),
        ([piece({"driver": "compute-domain.nvidia.com"}, {"attributes": WHOLE})], []),
        ([piece({"nodeName": None, "nodeSelector": {}}, {"attributes": WHOLE})], [Device("", "NVIDIA-L4", "580.65.6")]),
        # What an earlier generation of a pool said is over.
        ([piece({}, {"attributes": PART}), piece({"pool": OTHER}, {"attributes": WHOLE, "capacity": MEMORY})], [L4]),
        ([piece({}), {"spec": {"driver": "gpu.nvidia.com"}}, {}], []),
    ],
)  # fmt: skip
def test_what_resource_slices_show(slices: list[dict[str, Any]], found: list[Device]) -> None:
    assert list(devices_of(slices)) == found


def test_a_node_that_has_labels_goes_by_them_and_every_other_by_its_slices() -> None:
    labels = {"nvidia.com/cuda.driver-version.full": "580.65.06", "nvidia.com/gpu.memory": "23034"}
    both = node("d", "NVIDIA-L4", labels=labels)
    there = Gpus.of([both], [L4, Device("e", "NVIDIA-L4", "570.1", 20000), Device("e", "NVIDIA-T4", "570.1")])
    assert there.products == (
        Gpu("NVIDIA-L4", "570.1,580.65.06", 2, 20000),
        Gpu("NVIDIA-T4", "570.1", 1, labelled=False),
    )
    parts = Gpus.of([node("m", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb")])
    assert parts.products == (Gpu("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", nodes=1, mig="1g.5gb"),)
