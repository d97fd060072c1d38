"""Models that say more than anything could hold, or what is no text: refused at once, by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import onnx
import pytest
from onnx import helper, numpy_helper

from assay_runner.errors import InvalidInput
from assay_runner.models.bounds import MOST_NAME, MOST_NODES
from tests.runner.io.made import info, linear, loaded, rows, save

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def calling(functions: int, times: int, first: str = "f0", inside: str | None = None) -> onnx.ModelProto:
    """Functions of which each calls the one before so many times; `inside` is what the first calls."""
    made = []
    for number in range(functions):
        name, domain = (f"f{number - 1}", "own") if number else (inside or "Identity", "own" if inside else "")
        names = ["a", *(f"t{step}" for step in range(times - 1)), "b"]
        body = [helper.make_node(name, [i], [o], domain=domain) for i, o in pairwise(names)]
        made.append(helper.make_function("own", f"f{number}", ["a"], ["b"], body, OPSETS))
    node = helper.make_node(f"f{functions - 1}", ["x"], ["y"], domain="own")
    graph = helper.make_graph([node], "g", [info("x", ["b", 3])], [info("y", ["b", 3])])
    return helper.make_model(graph, functions=made, opset_imports=OPSETS, ir_version=10)


def written(folder: Path, model: onnx.ModelProto | bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def within_an_if(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same call in both branches of an If."""
    (node,) = model.graph.node
    call = helper.make_node(node.op_type, ["x"], ["z"], domain="own")
    branch = helper.make_graph([call], "branch", [], [info("z", ["b", 3])])
    model.graph.node[0].CopyFrom(helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch))
    model.graph.initializer.append(numpy_helper.from_array(rows(1)[0, 0] > 9, "yes"))
    return model


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda: calling(28, 2), "has 268435456 nodes, with its functions put in where they are called"),
        (lambda: calling(90, 9), "about 10^"),
        (lambda: within_an_if(calling(20, 2)), "has 2097153 nodes"),
        (lambda: calling(1, MOST_NODES + 1), f"has {MOST_NODES + 1} nodes"),
        (lambda: calling(1, 1, inside="f0"), "function 'f0' calls itself"),
        (lambda: calling(3, 1, inside="f2"), "calls itself"),
        (lambda: calling(150, 1), "is called through more than 100 others"),
    ],
)
def test_functions_that_stand_for_too_much_are_refused_at_once(
    tmp_path: Path, model: Callable[[], onnx.ModelProto], told: str
) -> None:
    path, began = written(tmp_path, model()), time.process_time()
    with pytest.raises(InvalidInput, match="model") as raised:
        loaded(path, tmp_path / "scratch")
    assert told in str(raised.value)
    assert time.process_time() - began < 8


@pytest.mark.parametrize("model", [calling(8, 2), within_an_if(calling(4, 2)), calling(99, 1)])
def test_functions_of_an_ordinary_size_are_taken(tmp_path: Path, model: onnx.ModelProto) -> None:
    assert loaded(written(tmp_path, model), tmp_path / "scratch").outputs[0].name == "y"


def test_an_attribute_of_no_function_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    node.attribute[0].ref_attr_name = "around"
    path = save(tmp_path / "model.onnx", [node], [info("x", ["b", 3])], [info("y", ["b", 3])])
    with pytest.raises(InvalidInput, match="refers to an attribute of a function, and stands in none"):
        loaded(path, tmp_path / "scratch")


def test_a_tensor_in_segments_is_refused(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")
    model = onnx.load(str(path))
    model.graph.initializer[0].segment.end = 1
    with pytest.raises(InvalidInput, match="stores tensor 'w' in segments"):
        loaded(written(tmp_path, model), tmp_path / "scratch")


@pytest.mark.parametrize("name", ["x", "y", "matmul", "b_rows", "MatMul", "weight", "g_name", "inner"])
def test_a_name_that_is_no_text_is_named(tmp_path: Path, name: str) -> None:
    inner = helper.make_node("Identity", ["s"], ["y"], name="inner")
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["s"], name="matmul"), inner]
    fed, made = [info("x", ["b_rows", 3])], [info("y", ["b_rows", 3])]
    path = save(tmp_path / "m.onnx", nodes, fed, made, initializer=[numpy_helper.from_array(rows(3), "weight")])
    model = onnx.load(str(path))
    model.graph.name = "g_name"
    length = bytes([len(name)])
    content = model.SerializeToString()
    assert length + name.encode() in content
    broken = content.replace(length + name.encode(), length + b"\xff" * len(name))
    with pytest.raises(InvalidInput, match=r"not valid ONNX: .*xff.* is no UTF-8"):
        loaded(written(tmp_path, broken), tmp_path / "scratch")


def test_a_name_without_end_is_quoted_in_part(tmp_path: Path) -> None:
    name = "n" * (MOST_NAME + 1)
    node = helper.make_node("Relu", ["x"], ["y"], name=name)
    path = save(tmp_path / "model.onnx", [node], [info("x", ["b", 3])], [info("y", ["b", 3])])
    with pytest.raises(InvalidInput, match=f"a name of {MOST_NAME + 1} characters") as raised:
        loaded(path, tmp_path / "scratch")
    assert len(str(raised.value)) < 400


def outside(folder: Path, **changes: str | None) -> Path:
    """A model with external data, of which entries are replaced or taken away."""
    path = linear(folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    (tensor,) = model.graph.initializer
    kept = {entry.key: entry.value for entry in tensor.external_data} | changes
    del tensor.external_data[:]
    for key, value in kept.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["²", "9" * 5000, "-1", "0x10", "1e3", "١", "1_0", " 4", "9" * 19, "1\0"])
def test_an_offset_that_is_no_number_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"as the {key} of external data in 'w.bin', which is no number") as raised:
        loaded(outside(tmp_path, **{key: value}), tmp_path / "scratch")
    assert len(str(raised.value)) < 300


def test_a_place_without_end_is_quoted_in_part(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="names external data in 100000 characters") as raised:
        loaded(outside(tmp_path, location="l" * 100_000), tmp_path / "scratch")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("changes", [{"offset": "4096"}, {"length": "4096"}, {"offset": "1", "length": None}])
def test_data_that_end_too_early_are_told_before_anything_is_fetched(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="truncated"):
        loaded(outside(tmp_path, **changes), tmp_path / "scratch")


def test_data_that_say_neither_offset_nor_length_are_taken(tmp_path: Path) -> None:
    assert loaded(outside(tmp_path, offset=None, length=None), tmp_path / "scratch").inputs[0].name == "x"
