"""Names of dimensions that the data contradict are dropped for TensorRT, which holds axes of one name to one size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from assay_runner.backends.tensorrt.configuration import extents
from assay_runner.backends.tensorrt.source import truly_named
from assay_runner.data.datasets import Source, open_dataset
from assay_runner.data.dimension_names import contradicted
from assay_runner.tensors import Extents, TensorSpec
from tests.models import load
from tests.runner.io.made import shard

FLOAT = np.dtype(np.float32)


def spec(name: str, *shape: int | str | None) -> TensorSpec:
    return TensorSpec(name, FLOAT, shape)


@pytest.mark.parametrize(
    ("inputs", "fed", "wrong"),
    [
        # The kinds of names that exporters write, and what the data say of them.
        ([spec("x", "N", 3, "?", "?")], [{"x": (3, 48, 192)}], {"?"}),
        ([spec("x", "N", 3, "?", "?")], [{"x": (3, 48, 48)}], set()),
        ([spec("x", "N", 3, "?", "?")], [{"x": (3, 48, 48)}, {"x": (3, 32, 64)}], {"?"}),
        ([spec("x", "N", 3, "s", "s")], [{"x": (3, 32, 32)}, {"x": (3, 64, 64)}], set()),
        ([spec("x", "?", 3, "?", 8)], [{"x": (3, 4, 8)}], {"?"}),
        ([spec("ids", "N", "seq"), spec("mask", "N", "seq")], [{"ids": (9,), "mask": (9,)}], set()),
        ([spec("ids", "N", "seq"), spec("past", "N", "seq")], [{"ids": (1,), "past": (9,)}], {"seq"}),
        ([spec("x", "N", None, None)], [{"x": (3, 4)}], set()),
    ],
)
def test_a_name_that_stands_for_two_sizes_is_contradicted(
    inputs: list[TensorSpec], fed: list[dict[str, tuple[int, ...]]], wrong: set[str]
) -> None:
    assert contradicted(inputs, fed) == wrong


@pytest.mark.parametrize("external", [False, True])
def test_what_is_parsed_has_no_such_name_and_computes_the_same(tmp_path: Path, external: bool) -> None:
    """A classifier of text lines: height and width are both called `?`."""
    inner = helper.make_graph(
        [helper.make_node("Relu", ["m"], ["r"])], "inner", [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, ["N", 3, "?", "?"])],
    )  # fmt: skip
    weight = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 2, np.float32), "w")
    true = onnx.numpy_helper.from_array(np.array(True), "true")
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["m"]),
        helper.make_node("If", ["true"], ["y"], then_branch=inner, else_branch=inner),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3, "?", "?"]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight, true])
    (tmp_path / "given").mkdir()
    file = tmp_path / "given" / "m.onnx"
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, str(file), save_as_external_data=external, location="w.bin", size_threshold=0)
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 16)).astype(np.float32)
    shard(tmp_path / "data" / "part-0.npz", x=x)
    model = load(file, tmp_path)
    dataset = opened(tmp_path, model)
    shapes = extents(model.inputs, (), dataset.extents())
    (tmp_path / "source").mkdir()
    path, [note] = truly_named(model.path, model.inputs, shapes, tmp_path / "source")
    assert note == "dimension names that the data contradict, dropped for TensorRT: '?' (input 'x' axis 2, 'x' axis 3)"
    assert "?" not in str(onnx.load(str(path), load_external_data=False).graph)
    names = {dim.dim_param for dim in onnx.load(str(path)).graph.input[0].type.tensor_type.shape.dim}
    assert names == {"N", ""}
    [found] = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert np.array_equal(found, np.maximum(2 * x, 0))


def test_names_that_are_true_leave_the_model_as_it_is(tmp_path: Path) -> None:
    square = [spec("x", "N", 3, "s", "s")]
    shapes = extents(square, (), {"x": Extents((1, 3, 8, 8), (2, 3, 8, 8), (2, 3, 16, 16))})
    path, notes = truly_named(tmp_path / "m.onnx", square, shapes, tmp_path)
    assert (path, notes) == (tmp_path / "m.onnx", ())


def opened(folder: Path, model: Any) -> Any:
    from assay_api.audit import Storage
    from assay_runner.stores import open_store

    return open_dataset(open_store(Storage(), folder), Source(uri="file://./data/", batch=2), model, folder)
