"""Tensors that are computed from weights alone: an exporter may leave a weight behind a Transpose, a Cast or a scale.

A builder folds them before it looks for weights, so they are weights here too, with the values that their nodes make.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx
import onnx.shape_inference

from assay_runner.graphs.batch_shapes import dims
from assay_runner.graphs.documents import captured, subgraphs
from assay_runner.graphs.taps import RANDOM_OPS


def constants(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the outer graph's weights, and of what its nodes make of nothing else."""
    found = {tensor.name for tensor in model.graph.initializer}
    found |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    for node in model.graph.node:
        known = all(name in found for name in node.input if name)
        if known and node.op_type not in RANDOM_OPS and not any(subgraphs(node)):
            found |= set(filter(None, node.output))
    return frozenset(found)


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node of the outer graph that makes each tensor."""
    return {output: node for node in model.graph.node for output in node.output if output}


def upstream_of(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """A model without inputs that makes one constant tensor; its weights lie where the whole model's do."""
    made, needed, open_ends = makers(model), set[str](), [tensor]
    while open_ends:
        name = open_ends.pop()
        if name not in needed:
            needed.add(name)
            open_ends += [source for source in (made[name].input if name in made else ()) if source]
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "constant"
    part.graph.node.extend(node for node in model.graph.node if not needed.isdisjoint(node.output))
    part.graph.initializer.extend(weight for weight in model.graph.initializer if weight.name in needed)
    part.graph.sparse_initializer.extend(w for w in model.graph.sparse_initializer if w.values.name in needed)
    part.graph.output.append(onnx.ValueInfoProto(name=tensor))
    return part


def static_shape(part: onnx.ModelProto) -> tuple[int, ...] | None:
    """The shape of the output of such a model, where inference finds all of it."""
    try:
        [output] = onnx.shape_inference.infer_shapes(part, data_prop=True).graph.output
    except Exception:  # It raises what it likes; what is not inferred is not known.
        return None
    shape = dims(output)
    numbers = tuple(size for size in shape or () if isinstance(size, int))
    return numbers if shape is not None and len(numbers) == len(shape) else None


def drop_dead(model: onnx.ModelProto, names: Collection[str], used: Collection[str]) -> set[str]:
    """Drop the nodes that make only tensors of these names and are read by nobody; returns what is read then.

    Args:
        model: changed in place; its nodes are in order.
        names: tensors that may go.
        used: outputs of the graph.
    """
    read, kept = set(used), list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        outputs = set(filter(None, node.output))
        if outputs <= set(names) and read.isdisjoint(outputs):
            continue
        kept.append(node)
        read |= {*node.input, *captured(node)}
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return read
