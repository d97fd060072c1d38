"""Which tensors a graph has, what makes each, and the same graph with them shown as outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import onnx
import onnx.defs

from assay_runner.graphs.documents import all_nodes, captured, load_outline
from assay_runner.tensors import Site

FLOATS: Mapping[str, int] = MappingProxyType(
    {
        "tensor(float)": onnx.TensorProto.FLOAT,
        "tensor(double)": onnx.TensorProto.DOUBLE,
        "tensor(float16)": onnx.TensorProto.FLOAT16,
        "tensor(bfloat16)": onnx.TensorProto.BFLOAT16,
    }
)

RANDOM_OPS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def name_of(node: onnx.NodeProto) -> str:
    """What a node is called here: a nameless one after its first output."""
    return node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"


def site(node: onnx.NodeProto, tensor: str = "") -> Site:
    """A tensor that a node makes, by default its first."""
    return Site(tensor=tensor or next(filter(None, node.output), ""), node=name_of(node), op=node.op_type)


def sites(model: onnx.ModelProto) -> tuple[Site, ...]:
    """Every tensor that a node of the outer graph makes, in topological order, with the node by `name_of`."""
    return tuple(site(node, output) for node in model.graph.node for output in node.output if output)


def sites_in(path: Path) -> tuple[Site, ...]:
    """`sites` of the model of a file; looked for once.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    status = path.stat()
    return _sites_in(path, status.st_size, status.st_mtime_ns)


@lru_cache(8)
def _sites_in(path: Path, _size: int, _changed: int) -> tuple[Site, ...]:
    return sites(load_outline(path))


def uses(model: onnx.ModelProto) -> dict[str, tuple[Site, ...]]:
    """The outer nodes that read each tensor, as the site of their first output."""
    found: dict[str, tuple[Site, ...]] = {}
    for node in model.graph.node:
        for name in dict.fromkeys((*node.input, *captured(node))):
            found[name] = (*found.get(name, ()), *_made(node))
    return found


def tapped(model: onnx.ModelProto, tensors: Collection[str]) -> onnx.ModelProto:
    """A copy of the graph with the tensors as further outputs; their types are left to ONNX Runtime to infer."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    shown = {o.name for o in model.graph.output}
    made = dict.fromkeys(output for node in model.graph.node for output in node.output if output)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name in tensors and name not in shown)
    return copy


def random_sites(model: onnx.ModelProto) -> tuple[Site, ...]:
    """Outputs of nodes that draw random numbers, Dropout in training mode among them."""
    constants = {t.name: t for t in model.graph.initializer}
    return tuple(
        first
        for node in all_nodes(model.graph)
        if node.op_type in RANDOM_OPS or _trains(node, constants)
        for first in _made(node)
    )


def custom_sites(model: onnx.ModelProto) -> tuple[Site, ...]:
    """Outputs of nodes whose operator is none of ONNX's own: a plugin, or an operator of one runtime only."""
    return tuple(
        first
        for node in all_nodes(model.graph)
        if not onnx.defs.has(node.op_type, "" if node.domain == "ai.onnx" else node.domain)
        for first in _made(node)
    )


def _made(node: onnx.NodeProto) -> tuple[Site, ...]:
    return (site(node),) if any(node.output) else ()


def _trains(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    flag = constants.get(node.input[2])
    if flag is None or flag.data_location == onnx.TensorProto.EXTERNAL:
        return True
    return bool(onnx.numpy_helper.to_array(flag).any())
