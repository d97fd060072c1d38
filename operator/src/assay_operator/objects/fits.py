"""Whether a GPU task fits a node of the cluster at all, or only has to wait.

This is told from the nodes, before a scheduler has looked or beside its words, which are nearly the same for a product
that nobody has and for one that is taken.

Judged are labels, what nodes can give, and taints. An affinity can only leave fewer nodes: where there is one, it is
never said that a node would do. Nothing here is for ever: a node may be added, and an autoscaler may do so for just
this task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from assay_api.names import LABEL_GPU_PRODUCT
from assay_operator.objects.devices import Device
from assay_operator.objects.nodes import Gpus, Node
from assay_operator.objects.quantities import amount

NEVER: Final = "fits none of the nodes there are"
# What the node controller and the kubelet set while something passes by.
PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
EVICTING: Final = ("NoSchedule", "NoExecute")
MOST: Final = 6
"""Products or nodes that a sentence names."""


@dataclass(frozen=True)
class Wish:
    """What a Pod wants of a node.

    Attributes:
        resources: amounts by resource, as quantities.
        selector: labels that the node must have, the product among them where one is asked for.
        tolerations: key (None: every), operator, value and effect (None: every) of each.
        affinity: whether an affinity asks for more.
    """

    resources: Mapping[str, str]
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[tuple[str | None, str, str | None, str | None], ...] = ()
    affinity: bool = False

    @property
    def product(self) -> str:
        """The GPU product that is asked for, or nothing."""
        return self.selector.get(LABEL_GPU_PRODUCT, "")


@dataclass(frozen=True)
class Fit:
    """Whether a node could take it.

    Attributes:
        now: as below.
        words: why.
    """

    now: Literal["never", "unlabelled", "claims", "waits", "unclear"]
    """`never`: on no node as the nodes stand now. `unlabelled`: only ResourceSlices show such GPUs, and tasks are
    placed by labels. `claims`: GPUs are given out by resource claims, so the scheduler alone knows. `waits`: for a
    node that would do. `unclear`: an affinity decides."""
    words: str

    @property
    def hopeless(self) -> bool:
        """Whether it waits in vain until somebody changes the nodes or the spec."""
        return self.now in ("never", "unlabelled")


def fit(wish: Wish, gpus: Gpus | None) -> Fit | None:
    """Whether a node could take it; None where nothing is known of the nodes."""
    if gpus is None or gpus.refused:
        return None
    if found := _by_product(wish, gpus):
        return found
    nodes = [node for node in gpus.nodes if not wish.product or node.product == wish.product]
    chosen = [node for node in nodes if _labelled(node, wish.selector)]
    if not chosen:
        lacking = ", ".join(f"{key}={value}" for key, value in wish.selector.items() if key != LABEL_GPU_PRODUCT)
        return _never(f"of {_those(wish)} none has the labels {lacking}")
    for resource, wanted in wish.resources.items():
        left = [node for node in chosen if _gives(node.allocatable, resource, wanted)]
        if not left:
            return _too_little(wish, resource, wanted, chosen, gpus.devices)
        chosen = left
    return _untaken(wish, chosen)


def _by_product(wish: Wish, gpus: Gpus) -> Fit | None:
    """Why no node has the product, where none has."""
    if not wish.product:
        if gpus.nodes:
            return None
        if gpus.devices:
            return _claims(wish, gpus.devices)
        return _never(f"no node has {_words(wish)}")
    if any(node.product == wish.product for node in gpus.nodes):
        return None
    label = f"{LABEL_GPU_PRODUCT}={wish.product}"
    if where := sorted({device.node for device in gpus.devices if device.product == wish.product and device.node}):
        return Fit(
            "unlabelled",
            f"ResourceSlices show such GPUs on {_some(where)}, whose nodes lack the label {label} that tasks are "
            f"placed by: `kubectl label node {where[0]} {label}`",
        )
    others = sorted({gpu.product for gpu in gpus.products})
    return _never(f"no node has {label}" + (f"; there is {_some(others)}" if others else ""))


def _too_little(wish: Wish, resource: str, wanted: str, nodes: Sequence[Node], devices: Iterable[Device]) -> Fit:
    if any(_gives(node.capacity, resource, wanted) for node in nodes):
        return Fit("waits", f"{_those(wish)} have {wanted} x {resource}, of which less can be used now")
    names = {node.name for node in nodes}
    shown = [device for device in devices if device.node in names]
    most = max((amount(node.allocatable.get(resource, "0")) or Decimal(0) for node in nodes), default=Decimal(0))
    if shown and not most:
        return _claims(wish, shown)
    offered = max(nodes, key=lambda node: amount(node.allocatable.get(resource, "0")) or Decimal(0))
    return _never(
        f"it asks for {wanted} of {resource}, and of {_those(wish)} that have the rest none offers more than "
        f"{offered.allocatable.get(resource, '0')}"
    )


def _untaken(wish: Wish, nodes: Sequence[Node]) -> Fit:
    """Of nodes with enough of everything: whether one of them takes Pods like this one."""
    open_to = [node for node in nodes if not any(_keeps_off(taint, wish) for taint in node.taints)]
    if not open_to:
        key, value, effect = next(t for t in nodes[0].taints if _keeps_off(t, wish))
        taint = f"{key}{f'={value}' if value else ''}:{effect}"
        return _never(
            f"{_those(wish)} with enough of everything have taints, such as {taint}: name them in tolerations"
        )
    if wish.affinity:
        return Fit("unclear", f"{_those(wish)} would do, as far as the affinity lets them")
    if all(node.cordoned for node in open_to):
        return Fit("waits", f"{_those(wish)} that would do are cordoned: `kubectl uncordon {open_to[0].name}`")
    return Fit("waits", f"{_those(wish)} would do once others give back what they hold")


def _claims(wish: Wish, devices: Iterable[Device]) -> Fit:
    gpu = next((resource for resource in wish.resources if resource.startswith("nvidia.com/")), "nvidia.com/gpu")
    where = sorted({device.node for device in devices if device.node})
    return Fit(
        "claims",
        f"the GPUs of {_some(where) or 'this cluster'} are given out by resource claims (DRA), none is shown as {gpu}: "
        f"tasks get one where a DeviceClass has extendedResourceName {gpu}",
    )


def _keeps_off(taint: tuple[str, str, str], wish: Wish) -> bool:
    """Whether a taint keeps the Pod off for good, as far as is known.

    A taint with the name of a resource may be tolerated by whoever asks for that resource: admission adds that.
    """
    key, value, effect = taint
    if effect not in EVICTING or key in wish.resources or key.startswith(PASSING):
        return False
    return not any(
        named in (None, key) and (operator == "Exists" or (given or "") == value) and on in (None, effect)
        for named, operator, given, on in wish.tolerations
    )


def _gives(offered: Mapping[str, str], resource: str, wanted: str) -> bool:
    there, asked = amount(offered.get(resource, "0")), amount(wanted)
    return there is None or asked is None or there >= asked


def _labelled(node: Node, selector: Mapping[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in selector.items())


def _never(why: str) -> Fit:
    return Fit("never", f"{NEVER}: {why}")


def _those(wish: Wish) -> str:
    return f"the nodes with {wish.product}" if wish.product else "the nodes with GPUs"


def _words(wish: Wish) -> str:
    return next((name for name in wish.resources if name.startswith("nvidia.com/")), "a GPU")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
