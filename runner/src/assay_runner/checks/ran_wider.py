"""What of an fp16 engine did not run in FP16: a builder may run a node in FP32, and then nothing overflows there.

A kernel that reads nothing narrower than FP32 or BF16 computes in it, its inner sums too. A tensor between such
kernels, or inside one, was never FP16; nor was one handed to something else, unless it was made or copied as FP16.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from assay_runner.engine_evidence import EngineLayer
from assay_runner.range_evidence import Accumulation, TensorRange

WIDE = frozenset({"FP32", "TF32", "BF16"})
HALF = "FP16"


class RanWider:
    """Nodes of an engine that ran in FP32 or BF16, each in every kernel that it is part of."""

    def __init__(self, layers: Sequence[EngineLayer], typed: Collection[str] | None = None) -> None:
        """Look through an engine's layers; none where the candidate is no engine.

        Args:
            layers: as the inspector tells them.
            typed: nodes that the graph's types keep wider, where they decide: then no others ran wider, whatever
                their kernels read and make, for those may convert inside.
        """
        self._layers = layers
        narrow: set[str] = set()
        wide: set[str] = set()
        for layer in layers:
            if layer.computes:
                (wide if layer.precision.upper() in WIDE else narrow).update(layer.nodes)
        self._nodes = wide - narrow if typed is None else (wide - narrow).intersection(typed)

    def keeps(self, entry: TensorRange) -> bool:
        """Whether a tensor, weight or graph input was never held in FP16."""
        if entry.readers and self._nodes.issuperset(entry.readers):
            return entry.kind != "tensor" or entry.site.node in self._nodes
        return entry.kind == "tensor" and entry.site.node in self._nodes and not self._handed_on_as_half(entry)

    def sums(self, entry: Accumulation) -> bool:
        """Whether the sums inside a node were taken wider than FP16."""
        return entry.site.node in self._nodes

    def _handed_on_as_half(self, entry: TensorRange) -> bool:
        makers = [layer for layer in self._layers if layer.computes and entry.site.node in layer.nodes]
        made = {tensor.name for layer in makers for tensor in layer.outputs}
        copies = [
            layer
            for layer in self._layers
            if not layer.computes and not made.isdisjoint(tensor.name for tensor in layer.inputs)
        ]
        shown = any(layer.outputs for layer in makers)
        return not shown or any(tensor.type == HALF for layer in (*makers, *copies) for tensor in layer.outputs)
