"""The nodes that a screening is about: those with its GPU product, and why one of them cannot be screened."""

from __future__ import annotations

from dataclasses import dataclass

from assay_api.gpu_screening import ScreenSpec
from assay_api.target import PodSettings, Toleration
from assay_operator.objects.fits import EVICTING, PASSING
from assay_operator.objects.nodes import Gpus, Node
from assay_operator.objects.quantities import amount

CORDONED = "node.kubernetes.io/unschedulable"
"""Taint of a cordoned node. Those that stand beside it there pass by; this one stays until somebody takes it away."""


@dataclass(frozen=True)
class Place:
    """A node.

    Attributes:
        node: its name.
        gpus: GPUs that it offers.
        skipped: why it cannot be screened as it stands now, or nothing.
    """

    node: str
    gpus: int
    skipped: str = ""


def places_of(spec: ScreenSpec, gpus: Gpus, defaults: PodSettings) -> tuple[Place, ...]:
    """The nodes of the product that the selectors choose, by name."""
    wanted = defaults.node_selector | spec.target.node_selector
    chosen = [
        node
        for node in gpus.nodes
        if node.product == spec.target.gpu_products[0]
        and all(node.labels.get(key) == value for key, value in wanted.items())
    ]
    tolerated = (*defaults.tolerations, *spec.target.tolerations)
    claimed = {device.node for device in gpus.devices}
    return tuple(
        _place(node, spec.gpu_resource, tolerated, by_claims=node.name in claimed)
        for node in sorted(chosen, key=lambda node: node.name)
    )


def _place(node: Node, resource: str, tolerated: tuple[Toleration, ...], *, by_claims: bool) -> Place:
    offered, there = _whole(node.allocatable.get(resource)), _whole(node.capacity.get(resource))
    if not offered:
        return Place(node.name, 0, _nothing(resource, there, by_claims=by_claims))
    keeps_off = next(
        (taint for taint in _taints(node, resource) if not any(_tolerates(each, taint) for each in tolerated)), None
    )
    if keeps_off is None:
        return Place(node.name, offered)
    key, value, effect = keeps_off
    if key == CORDONED:
        return Place(node.name, offered, f"it is cordoned: uncordon it, or tolerate {CORDONED} in target.tolerations")
    taint = f"{key}{f'={value}' if value else ''}:{effect}"
    return Place(node.name, offered, f"it has the taint {taint}: name it in target.tolerations")


def _nothing(resource: str, there: int, *, by_claims: bool) -> str:
    if there:
        return (
            f"none of its {there} {resource} can be had: the device plugin holds them for unhealthy, or is not running"
        )
    if by_claims:
        return f"its GPUs are given out by resource claims (DRA), none is shown as {resource}"
    return f"it offers no {resource}"


def _taints(node: Node, resource: str) -> list[tuple[str, str, str]]:
    """The taints that stay; one with the name of the resource is tolerated by whoever asks for that, by admission."""
    cordoned = [(CORDONED, "", "NoSchedule")] if node.cordoned else []
    stay = [t for t in node.taints if t[2] in EVICTING and t[0] != resource and not t[0].startswith(PASSING)]
    return cordoned + stay


def _tolerates(each: Toleration, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    alike = each.operator == "Exists" or (each.value or "") == value
    return each.key in (None, key) and alike and each.effect in (None, effect)


def _whole(text: str | None) -> int:
    found = amount(text) if text else None
    return int(found) if found else 0
