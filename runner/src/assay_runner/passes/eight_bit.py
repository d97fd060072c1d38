"""Which nodes of a candidate read 8 bits: from its graph, and from its engine's layers where it is one."""

from __future__ import annotations

from collections.abc import Mapping

from assay_runner.backends import Built
from assay_runner.evidence import EightBitWanted
from assay_runner.evidence.eight_bit import EightBitReads
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.eight_bit_reads import engine_reads, graph_reads
from assay_runner.graphs.taps import sites
from assay_runner.passes.setting import Pass


class EightBitPass(Pass[EightBitWanted]):
    """Looks at the graph; runs nothing."""

    doing = "looking at 8-bit layers"

    def result(self) -> Mapping[EightBitWanted, EightBitReads]:
        """The same for all."""
        return dict.fromkeys(self.needs, eight_bit(self.setting.subject.built))


def eight_bit(built: Built) -> EightBitReads:
    """What is known of a built candidate; of a plan, the model it was made from stands for its graph."""
    path = built.path if built.path.suffix == ".onnx" else built.source
    graph = load_outline(path)
    layers = built.engine.layers if built.engine else ()
    found = graph_reads(graph)
    known = {read.site.node for read in found}
    of_engine = [
        read for read in engine_reads(layers, sites(load_outline(built.source))) if read.site.node not in known
    ]
    operators = frozenset(node.op_type for node in graph.graph.node)
    return EightBitReads((*found, *of_engine), any(layer.inputs for layer in layers), operators)
