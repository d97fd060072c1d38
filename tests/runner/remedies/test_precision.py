"""The precision remedy on models whose culprits are known: named, no others with them, and what is written is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from assay_runner.graphs.strong import wide_nodes
from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value
from tests.runner.remedies.repairs import FP16, INT8, Repaired, repaired, staged
from tests.runner.remedies.scarce import WIDTH, two_products
from tests.runner.remedies.transformers import overflowing, sentences, transformer
from tests.typed_graphs import computed

WITHOUT_EDITS = {"precision": {"to": ["fp32"], "rewrite": False}}
"""LayerNorms stay spelt out."""
BEYOND_FP32: dict[str, Any] = {"golden": {"precision": "fp64"}, "checks": [{"outputDrift": {"snr": 300}}]}
"""A limit that no build in FP32 keeps."""
LABELS: tuple[dict[str, Any], ...] = ({"finite": {}}, {"labelAccuracy": {"keep": 0.99}})
CLASSES = 10


def golden(folder: Path) -> tuple[dict[str, Array], Array]:
    """Inputs of an audit, and its first output by ONNX Runtime as it is."""
    inputs = dict(np.load(folder / "data" / "part-0.npz"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return inputs, session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})[0]


def snr(found: Array, wanted: Array) -> float:
    """Of the worst sample, in dB."""
    error = (found.astype(np.float64) - wanted).reshape(len(wanted), -1)
    signal = wanted.astype(np.float64).reshape(len(wanted), -1)
    return float(np.min(10 * np.log10((signal**2).sum(1) / (error**2).sum(1))))


@pytest.fixture(scope="module")
def two_blocks(tmp_path_factory: pytest.TempPathFactory) -> Repaired:
    folder = tmp_path_factory.mktemp("transformer")
    staged(folder, transformer(loud=(3, 9)), sentences())
    return repaired(folder, remedies=WITHOUT_EDITS)


def test_two_blocks_of_twelve_that_overflow_are_named_and_nothing_else(two_blocks: Repaired) -> None:
    remedy = two_blocks.remedy
    assert (remedy.outcome, remedy.minimal) == ("Cured", "Proved")
    assert remedy.wide == dict.fromkeys(overflowing(3, 9), "fp32")
    assert "8 of 217 nodes must run in FP32" in remedy.message
    assert (two_blocks.entry.search_samples, two_blocks.entry.unseen_samples) == (8, 8)
    assert [trial.split for trial in two_blocks.trials].count("unseen") == 1


def test_each_of_these_nodes_was_tried_narrow_and_failed(two_blocks: Repaired) -> None:
    one_less = [trial for trial in two_blocks.trials if trial.wide == 7]
    assert len(one_less) >= 8
    assert {trial.verdict for trial in one_less} == {"Failed"}


def test_the_model_that_is_written_has_its_types_and_is_right(two_blocks: Repaired) -> None:
    proto = onnx.load(str(two_blocks.model))
    onnx.checker.check_model(proto, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    kinds = {each.name: each.type.tensor_type.elem_type for each in inferred.graph.value_info}
    wide = {node.name for node in proto.graph.node if node.op_type != "Cast"} & wide_nodes(proto)
    assert wide == overflowing(3, 9)
    makers = {name: node for node in proto.graph.node for name in node.output if node.op_type != "Cast"}
    assert {makers[name].name for name, kind in kinds.items() if kind == TensorProto.FLOAT and name in makers} == wide
    inputs, wanted = golden(two_blocks.folder)
    assert snr(computed(proto, inputs)["y"], wanted) > 30
    session = onnxruntime.InferenceSession(str(two_blocks.model), providers=["CPUExecutionProvider"])
    found = session.run(None, inputs)[0]
    assert found.dtype == np.float32
    assert snr(found, wanted) > 30


def test_one_operator_in_place_of_a_layer_norm_spelt_out_is_enough(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(0, 1), blocks=2), sentences())
    cured = repaired(tmp_path)
    assert (cured.remedy.outcome, cured.remedy.wide) == ("Cured", {})
    inputs, wanted = golden(tmp_path)
    assert snr(computed(onnx.load(str(cured.model)), inputs)["y"], wanted) > 30


def test_where_the_wider_half_is_enough_it_is_taken(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    cured = repaired(tmp_path, remedies={"precision": {"rewrite": False}})
    assert cured.remedy.wide == dict.fromkeys(overflowing(1), "bf16")
    proto = onnx.load(str(cured.model))
    onnx.checker.check_model(proto, full_check=True)
    inputs, wanted = golden(tmp_path)
    assert snr(computed(proto, inputs)["y"], wanted) > 30


def classifier() -> tuple[onnx.ModelProto, dict[str, Array], dict[str, Array]]:
    """Six blocks of two products to labels, of which INT8 costs many; its data, and a calibration set.

    Block 3 makes one channel 3,000 times as large as the others before a product makes it small again. In block 5 a
    residual sum is moved by 2,000 in one channel, which a product reads and is taken back behind it.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    source = "x"
    for block in range(6):
        made, of = two_products(source, block)
        nodes += made
        weights += of
        source = f"d{block}"
        if block != 3:
            nodes.append(node("Add", f"{nodes[-3].input[0]} d{block}", f"y{block}"))
            source = f"y{block}"
    moved = np.zeros(WIDTH, np.float32)
    moved[1] = 2000
    nodes += [
        node("Add", f"{source} moved", "far"),
        node("MatMul", "far mix", "mixed"),
        node("Sub", "mixed moved", "back"),
    ]
    weights += [constant("moved", moved), constant("mix", np.eye(WIDTH, dtype=np.float32))]
    centres = 2 * random(CLASSES, WIDTH, seed=77)
    inputs, outputs = [value("x", "N", WIDTH)], [value("back", "N", WIDTH)]
    inner = onnxruntime.InferenceSession(model(nodes, inputs, outputs, weights).SerializeToString())
    head = np.linalg.pinv(inner.run(None, {"x": centres})[0]).astype(np.float32)
    proto = model(
        [*nodes, node("MatMul", "back head", "logits")], inputs, [value("logits", "N", CLASSES)],
        [*weights, constant("head", head)],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(proto.SerializeToString())

    def drawn(samples: int, seed: int) -> dict[str, Array]:
        label = np.random.default_rng(seed).integers(0, CLASSES, samples)
        x = (centres[label] + random(samples, WIDTH, seed=seed, scale=0.3)).astype(np.float32)
        return {"x": x, "label": session.run(None, {"x": x})[0].argmax(1).astype(np.int64)}

    return proto, drawn(1600, 1), {"x": drawn(64, 5)["x"]}


def test_an_outlier_channel_and_a_residual_sum_that_int8_cannot_hold_are_both_named(tmp_path: Path) -> None:
    staged(tmp_path, *classifier())
    dataset = {"uri": "file://./data/", "batch": 100, "labels": "label"}
    cured = repaired(tmp_path, candidates=[INT8], dataset=dataset, checks=list(LABELS))
    remedy = cured.remedy
    assert remedy.outcome == "Cured"
    assert remedy.wide == {"d3.node": "fp32", "mixed.node": "fp32"}
    assert remedy.minimal in ("Proved", "Implied")
    session = onnxruntime.InferenceSession(str(cured.model), providers=["CPUExecutionProvider"])
    data = np.load(tmp_path / "data" / "part-0.npz")
    assert np.mean(session.run(None, {"x": data["x"]})[0].argmax(1) == data["label"]) >= 0.99
    graph = onnx.load(str(cured.model)).graph
    paired = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    assert {n.name for n in graph.node if n.op_type == "MatMul" and not paired & set(n.input)} == set(remedy.wide)


def test_too_few_labels_to_search_with_are_told_and_no_reason_is_made_up(tmp_path: Path) -> None:
    proto, inputs, calibration = classifier()
    staged(tmp_path, proto, {name: array[:400] for name, array in inputs.items()}, calibration)
    dataset = {"uri": "file://./data/", "batch": 100, "labels": "label"}
    told = repaired(tmp_path, candidates=[INT8], dataset=dataset, checks=list(LABELS))
    assert told.remedy.outcome == "Inconclusive"
    assert "on the samples that are searched with" in told.remedy.message
    assert "too few samples" in told.remedy.message
    assert len(told.trials) == 1


def test_where_every_product_must_stay_wide_nothing_is_left_in_8_bits(tmp_path: Path) -> None:
    far = random(WIDTH, WIDTH) + np.float32(1000) * (np.arange(WIDTH) == 3)
    proto = model(
        [node("Add", "x far", "moved"), node("MatMul", "moved w", "y1"), node("Sub", "y1 back", "y")],
        [value("x", "N", WIDTH)], [value("y", "N", WIDTH)],
        [constant("far", far[0]), constant("w", np.eye(WIDTH, dtype=np.float32)), constant("back", far[0])],
    )  # fmt: skip
    staged(tmp_path, proto, {"x": random(16, WIDTH, seed=3)}, {"x": random(16, WIDTH, seed=4)})
    cured = repaired(tmp_path, candidates=[INT8])
    assert (cured.remedy.outcome, cured.remedy.wide) == ("Cured", {"y1.node": "fp32"})
    assert "none can stay INT8" in cured.remedy.message
    assert "QuantizeLinear" not in {n.op_type for n in onnx.load(str(cured.model)).graph.node}


def test_what_fails_in_fp32_too_is_found_in_one_trial_and_said(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    told = repaired(tmp_path, **BEYOND_FP32)
    assert told.remedy.outcome == "NotCured"
    assert told.remedy.message.startswith("it fails with every node in FP32 too: output 'y'")
    assert len(told.trials) == 1


def test_a_node_that_makes_no_floats_may_be_the_one(tmp_path: Path) -> None:
    """What is compared in FP16 comes out otherwise: 2,081 and 2,080.6 are the same number there."""
    names = [("thr", 2080.6), ("one", 1), ("two", 2)]
    proto = model(
        [node("Greater", "x thr", "above"), node("Where", "above one two", "s"), node("Mul", "s x", "y")],
        [value("x", "N", 8)], [value("y", "N", 8)], [constant(name, np.float32(number)) for name, number in names],
    )  # fmt: skip
    staged(tmp_path, proto, {"x": (2049 + np.arange(128).reshape(16, 8) % 64).astype(np.float32)})
    assert repaired(tmp_path).remedy.wide == {"above.node": "fp32"}


def test_control_flow_cannot_be_kept_wide_and_that_is_said(tmp_path: Path) -> None:
    then = onnx.helper.make_graph(
        [node("Mul", "h big", "t"), node("Mul", "t small", "a")], "then", [], [value("a", "N", 4)]
    )
    other = onnx.helper.make_graph([node("Identity", "h", "b")], "else", [], [value("b", "N", 4)])
    branch = onnx.helper.make_node("If", ["few"], ["y1"], name="if.node", then_branch=then, else_branch=other)
    numbers = [("half", 0.5), ("most", 1e4), ("big", 1e5), ("small", 1e-5)]
    proto = model(
        [
            node("Mul", "x half", "h"), node("ReduceSum", "x", "total", keepdims=0), node("Less", "total most", "few"),
            branch, node("Mul", "y1 half", "y"),
        ],
        [value("x", "N", 4)], [value("y", "N", 4)], [constant(name, np.float32(number)) for name, number in numbers],
    )  # fmt: skip
    staged(tmp_path, proto, {"x": random(16, 4)})
    told = repaired(tmp_path, remedies=WITHOUT_EDITS)
    assert told.remedy.outcome == "NotCured"
    assert "what is inside the control flow of if.node stays FP16" in told.remedy.message


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_models_of_other_floats_are_repaired_as_they_come(kind: type[np.generic], tmp_path: Path) -> None:
    proto = transformer(loud=(1,), blocks=2)
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(constant(tensor.name, array.astype(kind)))
    for each in (*proto.graph.input, *proto.graph.output):
        each.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    staged(tmp_path, proto, {name: array.astype(kind) for name, array in sentences().items()})
    cured = repaired(tmp_path, remedies=WITHOUT_EDITS)
    assert (cured.remedy.outcome, cured.remedy.minimal) == ("Cured", "Proved")
    assert cured.remedy.wide == dict.fromkeys(overflowing(1), "fp32")
    written = onnx.load(str(cured.model))
    onnx.checker.check_model(written, full_check=True)
    assert [each.type for each in written.graph.input] == [each.type for each in proto.graph.input]
    # As of every engine that is built of such a model here.
    assert {each.type.tensor_type.elem_type for each in written.graph.output} == {TensorProto.FLOAT}


def test_more_nodes_than_may_be_wide_are_no_cure(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    told = repaired(tmp_path, remedies={"precision": {"rewrite": False, "mostNodes": 3}})
    assert told.remedy.outcome == "NotCured"
    assert "4 nodes must run wider, more than remedies.precision.mostNodes 3" in told.remedy.message


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_what_has_nothing_wider_is_left_alone(precision: str, tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    candidates = [{**FP16, "precision": precision}]
    told = repaired(tmp_path, candidates=candidates, **BEYOND_FP32)
    assert told.remedy.outcome == "DoesNotApply"
