"""What a look into a fused layer adds to a finding at the tensor that the layer makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

from assay_api.tensor_details import InnerEntry, SplitDetails
from assay_runner.checks.check import place
from assay_runner.evidence import InnerTensor, LayerError, SplitLayer

LISTED = 20
NAMED = 4
D = TypeVar("D", bound=SplitDetails)


class Errors(TypedDict):
    """Fields of an `ErrorEntry`."""

    tensor: str
    node: str | None
    op: str | None
    accumulated_snr: float
    local_snr: float | None


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


def with_inner(details: D, split: SplitLayer | None, fails: Callable[[InnerTensor], bool]) -> D:
    """A finding's details, with the same in figures."""
    if split is None:
        return details
    inside = tuple(InnerEntry(**errors_of(inner), not_finite=inner.not_finite) for inner in split.tensors[:LISTED])
    layer, fails_when_split = ", ".join(split.layer.names), fails(split.split)
    return details.model_copy(
        update={"fused_layer": layer, "fails_when_split": fails_when_split, "inside_layer": inside}
    )


def _layer(split: SplitLayer) -> str:
    nodes = list(dict.fromkeys(inner.site.node for inner in split.tensors if inner.site.node))
    more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
    return f"the fused layer of nodes {', '.join(map(repr, nodes[:NAMED]))}{more}"


def errors_of(found: InnerTensor | LayerError) -> Errors:
    """A tensor and its two errors, as fields of an `ErrorEntry`."""
    return {
        "tensor": found.site.tensor,
        "node": found.site.node,
        "op": found.site.op,
        "accumulated_snr": found.accumulated.snr,
        "local_snr": found.local.snr if found.local else None,
    }
