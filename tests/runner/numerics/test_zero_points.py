"""Zero points other than 0 are found wherever they stand: as weights, beside the file, in subgraphs, behind nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay_runner.graphs.zero_points import shifted
from assay_runner.tensors import Array

S = numpy_helper.from_array(np.array(0.03, np.float32), "s")


def weight(array: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def written(path: Path, before: list[onnx.NodeProto], weights: list[onnx.TensorProto], axis: int | None = None) -> Path:
    """A model x → QuantizeLinear with zero point `z` → DequantizeLinear → y."""
    more: dict[str, Any] = {} if axis is None else {"axis": axis}
    nodes = [
        *before,
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="first", **more),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **more),
    ]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 600]) for n in ("x", "y")]
    names = {tensor.name for tensor in weights}
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [*weights, *([] if "s" in names else [S])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


Z = np.array(5, np.int8)
BEHIND: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto]]] = {
    "a Cast": (
        [helper.make_node("Cast", ["f"], ["z"], to=TensorProto.INT8)], [weight(np.float32(5), "f")],
    ),
    "an Identity of a Constant": (
        [helper.make_node("Constant", [], ["c"], value=weight(Z, "c")), helper.make_node("Identity", ["c"], ["z"])], [],
    ),
    "a Constant of one integer, cast": (
        [
            helper.make_node("Constant", [], ["c"], value_int=5),
            helper.make_node("Cast", ["c"], ["z"], to=TensorProto.INT8),
        ], [],
    ),
    "a Squeeze": (
        [helper.make_node("Squeeze", ["c"], ["z"])], [weight(Z[None], "c")],
    ),
    "arithmetic": (
        [helper.make_node("Sub", ["a", "b"], ["z"])], [weight(np.int8(7), "a"), weight(np.int8(2), "b")],
    ),
    "rounding of a shift over a scale": (
        [
            helper.make_node("Div", ["low", "s"], ["steps"]), helper.make_node("Round", ["steps"], ["r"]),
            helper.make_node("Cast", ["r"], ["z"], to=TensorProto.INT8),
        ], [weight(np.float32(0.15), "low")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BEHIND)
def test_a_zero_point_that_nodes_make_of_weights_is_computed(what: str, tmp_path: Path) -> None:
    found = shifted(written(tmp_path / "m.onnx", *BEHIND[what]))
    assert found is not None
    assert (found.node, found.value, found.nodes, found.of) == ("first", 5, 2, 2)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("zeros", [np.zeros(600, np.int8), np.arange(600).astype(np.int8), Z])
def test_a_zero_point_per_channel_or_beside_the_file_is_read(zeros: Array, outside: bool, tmp_path: Path) -> None:
    axis = 1 if zeros.ndim else None
    scales = [weight(np.full(600, 0.03, np.float32), "s")] if zeros.ndim else []
    path = written(tmp_path / "m.onnx", [], [weight(zeros, "z"), *scales], axis)
    if outside:
        proto = onnx.load(path)
        onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
        assert all(
            t.data_location == TensorProto.EXTERNAL for t in onnx.load(path, load_external_data=False).graph.initializer
        )
    found = shifted(path)
    assert (found is not None) == bool(zeros.any())
    assert found is None or found.value == next(iter(zeros.ravel()[zeros.ravel() != 0]))


def test_a_zero_point_inside_control_flow_is_read(tmp_path: Path) -> None:
    inner = [
        helper.make_node("QuantizeLinear", ["x", "s", "inner_z"], ["inner_q"]),
        helper.make_node("DequantizeLinear", ["inner_q", "s", "inner_z"], ["out"]),
    ]
    out = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    branch = helper.make_graph(inner, "b", [], out, [weight(Z, "inner_z")])
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["out2"])],
        "o",
        [],
        [helper.make_tensor_value_info("out2", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=other)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])], [S]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    found = shifted(tmp_path / "m.onnx")
    assert found is not None
    assert found.value == 5


def test_what_an_input_decides_or_cannot_be_read_is_no_matter_here(tmp_path: Path) -> None:
    dynamic = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["z"], to=TensorProto.INT8),
    ]
    assert shifted(written(tmp_path / "dynamic.onnx", dynamic, [])) is None
    path = written(tmp_path / "lost.onnx", [], [weight(Z, "z")])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="lost.bin", size_threshold=0)
    (tmp_path / "lost.bin").write_bytes(b"")
    assert shifted(path) is None
