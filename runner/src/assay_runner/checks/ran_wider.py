"""What of an fp16 engine did not run in FP16: a builder may run a node in FP32, and then nothing overflows there.

A kernel that reads nothing narrower than FP32 or BF16 computes in it, its inner sums too. A tensor between such
kernels, or inside one, was never FP16; nor was one handed to something else, unless it was made or copied as FP16.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from assay_runner.evidence.engine import EngineLayer
from assay_runner.evidence.ranges import Accumulation, TensorRange

WIDE = frozenset({"FP32", "TF32", "BF16"})
HALF = "FP16"


class RanWider:
    """Nodes of a candidate that ran in FP32 or BF16; of an engine, each in every kernel that it is part of."""

    def __init__(
        self, layers: Sequence[EngineLayer], typed: Collection[str] | None = None, held: Collection[str] = ()
    ) -> None:
        """Look through an engine's layers; none where the candidate is no engine.

        Args:
            layers: as the inspector tells them.
            typed: nodes that the graph's types keep wider, where they decide: then no others ran wider, whatever
                their kernels read and make, for those may convert inside.
            held: nodes that an emulation holds wider.
        """
        self._layers = layers
        narrow: set[str] = set()
        wide: set[str] = set()
        # Of a kernel that casts inside nothing is told; the graph's types tell what of it is wide.
        proof = WIDE if typed is None else WIDE | {""}
        for layer in layers:
            if layer.computes and not _mixed(layer, typed):
                (wide if layer.precision.upper() in proof else narrow).update(layer.nodes)
        self._nodes, self._narrow, self._typed, self._held = wide - narrow, narrow, typed, held

    def keeps(self, entry: TensorRange) -> bool:
        """Whether a tensor, weight or graph input was never held in FP16."""
        made = entry.kind != "tensor" or self.ran(entry.site.node)
        if entry.readers and all(map(self.ran, entry.readers)):
            return made
        return entry.kind == "tensor" and made and not self._handed_on_as_half(entry)

    def sums(self, entry: Accumulation) -> bool:
        """Whether the sums inside a node were taken wider than FP16."""
        return self.ran(entry.site.node)

    def ran(self, node: str | None) -> bool:
        """Whether a node ran wider than FP16."""
        if node in self._held:
            return True
        if not node or (self._typed is not None and node not in self._typed):
            return False
        # A nameless node is OPERATOR:OUTPUT to us, and node_of_OUTPUT to TensorRT's parser.
        names = (node, f"node_of_{node.partition(':')[2]}")
        if self._typed is not None:
            return self._narrow.isdisjoint(names)
        return not self._nodes.isdisjoint(names)

    def _handed_on_as_half(self, entry: TensorRange) -> bool:
        names = {entry.site.node, f"node_of_{entry.site.tensor}"}
        makers = [layer for layer in self._layers if layer.computes and not names.isdisjoint(layer.nodes)]
        made = {tensor.name for layer in makers for tensor in layer.outputs}
        copies = [
            layer
            for layer in self._layers
            if not layer.computes and not made.isdisjoint(tensor.name for tensor in layer.inputs)
        ]
        shown = any(layer.outputs for layer in makers)
        return not shown or any(tensor.type == HALF for layer in (*makers, *copies) for tensor in layer.outputs)


def _mixed(layer: EngineLayer, typed: Collection[str] | None) -> bool:
    """Whether a kernel holds nodes that the graph's types keep wider, and others: then it casts inside."""
    if typed is None:
        return False
    kept = [node in typed for node in layer.nodes]
    return any(kept) and not all(kept)
