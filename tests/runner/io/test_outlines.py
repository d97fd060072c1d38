"""An outline tells everything about a model but its numbers, and is the file's as it stands now."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from assay_runner.graphs.documents import load_graph, load_outline
from assay_runner.graphs.taps import sites
from assay_runner.models.files import external_tensors
from assay_runner.models.outline import FEW, read_outline, tensors
from tests.runner.io.made import info, save


def written(path: Path, nodes: int = 1) -> Path:
    """A chain of sums with a large weight, a large constant in a node, and a small one."""
    wide = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    chain = [helper.make_node("MatMul", ["x", "wide"], ["y0"], name="first")]
    chain += [helper.make_node("Constant", [], ["large"], value=numpy_helper.from_array(wide[0].repeat(64), "value"))]
    chain += [
        helper.make_node("Constant", [], ["small"], value=numpy_helper.from_array(np.array([2], np.float32), "value"))
    ]
    chain += [helper.make_node("Add", [f"y{n}", "small"], [f"y{n + 1}"]) for n in range(nodes)]
    weights = [numpy_helper.from_array(wide, "wide")]
    return save(path, chain, [info("x", ["b", 64])], [info(f"y{nodes}", ["b", 64])], initializer=weights)


def test_an_outline_has_all_names_and_types_and_only_small_values(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx")
    outline, whole = read_outline(path), onnx.load(path)
    assert outline.graph.node[0] == whole.graph.node[0]
    assert [(t.name, t.data_type, t.dims) for t in tensors(outline)] == [
        (t.name, t.data_type, t.dims) for t in tensors(whole)
    ]
    assert [len(t.raw_data) for t in tensors(outline)] == [0, 0, 4]
    assert outline.ByteSize() < 4 * FEW < whole.ByteSize()
    assert sites(load_outline(path)) == sites(load_graph(path))


def test_an_outline_is_parsed_once_and_anew_when_the_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx")
    assert read_outline(path) is read_outline(path)
    load_outline(path).graph.node[0].name = "whoever has one may change it"
    assert load_outline(path).graph.node[0].name == "first"
    before = path.stat()
    written(path, nodes=2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(read_outline(path).graph.node) == 5
    path.write_bytes(b"\xff no model")
    with pytest.raises(DecodeError):
        read_outline(path)


def test_external_data_are_found_wherever_a_tensor_can_stand(tmp_path: Path) -> None:
    def outside(name: str) -> onnx.TensorProto:
        tensor = onnx.TensorProto(name=name, data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=name)
        return tensor

    def sparse(name: str) -> onnx.SparseTensorProto:
        return onnx.SparseTensorProto(values=outside(name), indices=outside(f"{name} indices"), dims=[9])

    inner = onnx.GraphProto(initializer=[outside("in a graph")], sparse_initializer=[sparse("sparse in a graph")])
    attributes = [
        onnx.AttributeProto(name="a", type=onnx.AttributeProto.TENSOR, t=outside("attribute")),
        onnx.AttributeProto(name="b", type=onnx.AttributeProto.TENSORS, tensors=[outside("attributes")]),
        onnx.AttributeProto(name="c", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse("sparse")),
        onnx.AttributeProto(name="d", type=onnx.AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse("sparses")]),
        onnx.AttributeProto(name="e", type=onnx.AttributeProto.GRAPH, g=inner),
        onnx.AttributeProto(name="f", type=onnx.AttributeProto.GRAPHS, graphs=[inner]),
    ]
    node = onnx.NodeProto(attribute=attributes)
    default = onnx.AttributeProto(name="d", type=onnx.AttributeProto.TENSOR, t=outside("default"))
    training = onnx.TrainingInfoProto(algorithm=onnx.GraphProto(initializer=[outside("training")]))
    training.initialization.initializer.append(outside("before training"))
    names = {
        "attribute", "attributes", "sparse", "sparse indices", "sparses", "sparses indices", "in a graph",
        "sparse in a graph", "sparse in a graph indices",
    }  # fmt: skip
    in_graph = onnx.ModelProto(graph=onnx.GraphProto(node=[node]))
    in_function = onnx.ModelProto(functions=[onnx.FunctionProto(node=[node], attribute_proto=[default])])
    assert {location for location, _ in external_tensors(in_graph)} == names
    assert {location for location, _ in external_tensors(in_function)} == names | {"default"}
    in_training = onnx.ModelProto(training_info=[training])
    assert {location for location, _ in external_tensors(in_training)} == {"training", "before training"}
