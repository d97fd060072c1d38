"""What a look into a fused layer adds to a finding at the tensor that the layer makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from assay_runner.checks.check import place
from assay_runner.evidence import InnerTensor, LayerError, SplitLayer

LISTED = 20
NAMED = 4


def explained(
    split: SplitLayer | None, fails: Callable[[InnerTensor], bool], starts: Callable[[InnerTensor], bool]
) -> str:
    """A clause for the finding's message, empty where nothing was looked into.

    Args:
        split: the layer, split.
        fails: whether what the layer makes is what the finding says.
        starts: whether the fault starts at a tensor, at the latest.
    """
    if split is None:
        return ""
    layer = _layer(split)
    if not fails(split.served):
        return f"; {layer} makes it, but the samples that were looked into do not show the failure: {split.samples}"
    if not fails(split.split):
        return (
            f"; built again with {layer} split, the failure is gone, so it is the layer's as a whole and no single "
            "node's"
        )
    first = next((inner for inner in split.tensors if starts(inner)), None)
    if first is None:
        return f"; inside {layer}, split in another build, no tensor alone is to blame, it adds up"
    return f"; inside {layer}, split in another build, the failure starts at {place(first.site)}"


def inner_details(split: SplitLayer | None, fails: Callable[[InnerTensor], bool]) -> dict[str, Any]:
    """The same in figures, for the finding's details."""
    if split is None:
        return {}
    return {
        "fusedLayer": ", ".join(split.layer.names),
        "failsWhenSplit": fails(split.split),
        "insideLayer": [{**errors_of(inner), "notFinite": inner.not_finite} for inner in split.tensors[:LISTED]],
    }


def _layer(split: SplitLayer) -> str:
    nodes = list(dict.fromkeys(inner.site.node for inner in split.tensors if inner.site.node))
    more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
    return f"the fused layer of nodes {', '.join(map(repr, nodes[:NAMED]))}{more}"


def errors_of(found: InnerTensor | LayerError) -> dict[str, Any]:
    """A tensor and its two errors, for a finding's details."""
    return {
        "tensor": found.site.tensor,
        "node": found.site.node,
        "op": found.site.op,
        "accumulatedSnr": found.accumulated.snr,
        "localSnr": found.local.snr if found.local else None,
    }
