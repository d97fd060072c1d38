"""Models of any size: the graph in memory, the weights in one file beside it.

A serialised ONNX model ends at 2 GB and a session copies what is inside it. So the first thing done to a model that is
to be rewritten is to move its weights into `weights.bin`, converted one by one where asked for; everything after that
handles a few kilobytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import onnx
import onnx.inliner
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from assay_runner.errors import InvalidInput
from assay_runner.models.outline import read_outline
from assay_runner.tensors import Array

WEIGHTS = "weights.bin"
ALIGNMENT = 4096
INSIDE_BYTES = 1024
OUTLINES = 8
DEFAULT_DOMAINS = ("", "ai.onnx")
FIRST_IMPORTED = 17

# Types of which a byte holds several elements, though numpy gives each one of its own.
PACKED_BITS: Mapping[str, int] = MappingProxyType({"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1fn": 4})

Convert = Callable[[str, Array], Array]


def load_graph(path: Path) -> onnx.ModelProto:
    """The model without its external weights, constants of the outer graph as initialisers.

    Local functions stand inlined, and so do branches that weights decide.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    try:
        return _prepared(onnx.load(str(path), load_external_data=False))
    except Exception as error:
        raise InvalidInput(f"{path.name} cannot be read as an ONNX model: {error}") from error


def load_outline(path: Path) -> onnx.ModelProto:
    """`load_graph` without the values of large weights: for whoever asks what is computed, and changes nothing.

    Raises:
        InvalidInput: the file is no ONNX model.
    """
    try:
        status = path.stat()
        return _copied(_prepared_outline(path, status.st_size, status.st_mtime_ns))
    except Exception as error:
        raise InvalidInput(f"{path.name} cannot be read as an ONNX model: {error}") from error


@lru_cache(OUTLINES)
def _prepared_outline(path: Path, _size: int, _changed: int) -> onnx.ModelProto:
    """Shared, so that nobody may change it; size and time of change are there as in `read_outline`."""
    return _prepared(_copied(read_outline(path)))


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    # It stands on this file, which is why it is not known above.
    from assay_runner.graphs.branches import decided
    from assay_runner.graphs.sparse import dense

    inlined = onnx.inliner.inline_local_functions(model) if model.functions else model
    return _constants_as_weights(decided(dense(_weights_are_no_inputs(_with_default_opset(inlined)))))


def _with_default_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model may use operators of another domain alone; what is put in beside them is of the default one."""
    if not any(imported.domain in DEFAULT_DOMAINS for imported in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", FIRST_IMPORTED))
        model.ir_version = max(model.ir_version, 8)
    return model


def _weights_are_no_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Older exporters list every initialiser among the inputs, where its type would have to change with it."""
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    if len(fed) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(fed)
        # Format version 4 is the first that allows it.
        model.ir_version = max(model.ir_version, 4)
    return model


def localise(model: onnx.ModelProto, source: Path, folder: Path, convert: Convert | None = None) -> onnx.ModelProto:
    """Move the weights of the model into `folder/weights.bin`, in place; returns the model.

    Args:
        model: as `load_graph` gives it.
        source: folder in which its external data lie.
        folder: where derived models will be saved.
        convert: what becomes of a weight: name and array to array (the same array: unchanged). Applied to the weights
            of the outer graph; those of subgraphs stay as they are.
    """
    _inline_attributes(model.graph, source)
    outer = {tensor.name for tensor in model.graph.initializer}
    with (folder / WEIGHTS).open("wb") as file:
        for tensor in _tensors(model.graph):
            if convert is not None and tensor.name in outer:
                _converted(tensor, source, convert)
            _move(tensor, source, file)
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a localised model; weights stay in `weights.bin` of the same folder."""
    path.write_bytes(model.SerializeToString())
    return path


def weight(tensor: onnx.TensorProto, source: Path) -> Array:
    """The value of an initialiser; external data are mapped, not read."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return np.asarray(numpy_helper.to_array(tensor))
    dtype, shape = helper.tensor_dtype_to_np_dtype(tensor.data_type), tuple(tensor.dims)
    data = _mapped(tensor, source, _size(tensor))
    if dtype.name in PACKED_BITS:
        packed = onnx.TensorProto(data_type=tensor.data_type, dims=shape, raw_data=data.tobytes())
        return np.asarray(numpy_helper.to_array(packed))
    return np.asarray(data).view(dtype).reshape(shape)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """What a node's attributes hold, by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Graphs in the attributes of a control-flow node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Nodes of a graph, each followed by those of its subgraphs."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def captured(node: onnx.NodeProto) -> set[str]:
    """Names of outer tensors that the node's subgraphs use."""
    names: set[str] = set()
    for graph in subgraphs(node):
        made = {i.name for i in graph.input} | {t.name for t in graph.initializer}
        used: set[str] = {o.name for o in graph.output}
        for inner in graph.node:
            used |= set(inner.input) | captured(inner)
            made |= set(inner.output)
        names |= used - made
    return names - {""}


def rename_uses(node: onnx.NodeProto, names: dict[str, str]) -> None:
    """Let the node, and its subgraphs, use other tensors (ONNX forbids a subgraph to reuse an outer name)."""
    for index, name in enumerate(node.input):
        if name in names:
            node.input[index] = names[name]
    for graph in subgraphs(node):
        for inner in graph.node:
            rename_uses(inner, names)
        for output in graph.output:
            output.name = names.get(output.name, output.name)


def opset(model: onnx.ModelProto) -> int:
    """Version of the default operator set."""
    return next((i.version for i in model.opset_import if i.domain in DEFAULT_DOMAINS), 1)


def fresh(model: onnx.ModelProto) -> Callable[[str], str]:
    """A function that makes names the model does not use yet."""
    used = set(_names(model.graph))

    def name(wish: str) -> str:
        number, found = 0, wish
        while found in used:
            number += 1
            found = f"{wish}_{number}"
        used.add(found)
        return found

    return name


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (v.name for v in (*graph.input, *graph.output, *graph.initializer))
    for node in graph.node:
        yield from (*node.input, *node.output)
        for inner in subgraphs(node):
            yield from _names(inner)


def _constants_as_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    kept = []
    for node in model.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            model.graph.initializer.add().CopyFrom(value)
            model.graph.initializer[-1].name = node.output[0]
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _tensors(inner)


def _inline_attributes(graph: onnx.GraphProto, source: Path) -> None:
    """ONNX Runtime reads no external data inside attributes of subgraphs; they are small."""
    for node in all_nodes(graph):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_location == onnx.TensorProto.EXTERNAL:
                attribute.t.CopyFrom(numpy_helper.from_array(weight(attribute.t, source), attribute.t.name))


def _converted(tensor: onnx.TensorProto, source: Path, convert: Convert) -> None:
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    old = weight(tensor, source)
    new = convert(tensor.name, old)
    if new is not old:
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(new, order="C"), tensor.name))


def _move(tensor: onnx.TensorProto, source: Path, file: BinaryIO) -> None:
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    if tensor.data_type == onnx.TensorProto.STRING or (not external and tensor.ByteSize() < INSIDE_BYTES):
        return
    data = _raw(tensor, source)
    if len(data) < INSIDE_BYTES:
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = bytes(data)
        return
    file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
    offset = file.tell()
    file.write(data)
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "external_data"):
        tensor.ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=value)


def _raw(tensor: onnx.TensorProto, source: Path) -> Any:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        stated = next((int(entry.value) for entry in tensor.external_data if entry.key == "length"), 0)
        return _mapped(tensor, source, stated or _size(tensor))
    if not tensor.raw_data:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return tensor.raw_data


def _mapped(tensor: onnx.TensorProto, source: Path, length: int) -> NDArray[np.uint8]:
    """The first bytes of external data."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if length == 0:
        return np.empty(0, np.uint8)
    return np.memmap(source / entries["location"], np.uint8, "r", int(entries.get("offset", 0)), length)


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes that its elements take: external data need not say, and their file may go on with another tensor."""
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    bits = int(math.prod(tensor.dims)) * PACKED_BITS.get(dtype.name, 8 * int(dtype.itemsize))
    return -(-bits // 8)
