"""An If that an input decides is the branch it takes, where the audit holds that input constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from assay_api.report import Report
from assay_runner.graphs.branches import deciding
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.held_inputs import with_held_inputs
from assay_runner.models.feeding import Feeding
from assay_runner.models.loading import LoadedModel
from tests.cli.audits import FP32, report_of, run
from tests.models import constant, model, node, random, value
from tests.runner.io.made import loaded, shard

WEIGHT = random(6, 6, seed=1)
CHECKED = ("finite", "outputDrift", "layerDrift")
RATES = {16000: "then", 8000: "else"}


def branch(name: str, nodes: list[onnx.NodeProto], made: str = "") -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=made or f"{name}_y")])


def by_rate(depth: int = 1) -> onnx.ModelProto:
    """A product at one rate, a rectifier at another; as deep in branches as is asked for."""
    then = branch("then", [node("MatMul", "x w", "then_p"), node("Tanh", "then_p", "then_y")])
    for level in range(1, depth):
        again = branch("again", [node("Neg", "x", "again_y")])
        inner = node("If", "same", f"in{level}_y", then_branch=then, else_branch=again)
        then = branch(f"in{level}", [inner])
    other = branch("else", [node("Relu", "x", "else_y")])
    nodes = [node("Equal", "sr wanted", "same"), node("If", "same", "y", then_branch=then, else_branch=other)]
    inputs = [value("x", "N", 6), value("sr", kind=TensorProto.INT64)]
    return model(nodes, inputs, [value("y", "N", 6)], [constant("wanted", np.int64(16000)), constant("w", WEIGHT)])


def by_length(rows: int | str) -> onnx.ModelProto:
    """The first length of the state decides, and inside, its rank."""
    ranks = [
        node("Shape", "state", "all"), node("Size", "all", "rank"), node("Equal", "rank two", "flat"),
        node("If", "flat", "then_y", then_branch=branch("flat", [node("MatMul", "x w", "flat_p"),
             node("Tanh", "flat_p", "flat_y")]), else_branch=branch("deep", [node("Neg", "x", "deep_y")])),
    ]  # fmt: skip
    nodes = [
        node("Shape", "state", "lengths"), node("Gather", "lengths first", "length", axis=0),
        node("Equal", "length two", "same"),
        node("If", "same", "y", then_branch=branch("then", ranks),
             else_branch=branch("else", [node("Relu", "x", "else_y")])),
        node("Add", "state one", "next"),
    ]  # fmt: skip
    weights = [constant("first", np.int64(0)), constant("two", np.int64(2)), constant("w", WEIGHT)]
    inputs = [value("x", "N", 6), value("state", rows, "N")]
    outputs = [value("y", "N", 6), value("next", rows, "N")]
    return model(nodes, inputs, outputs, [*weights, constant("one", np.float32(1))])


def held(proto: onnx.ModelProto, folder: Path, rate: int) -> LoadedModel:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, folder / "model.onnx")
    return with_held_inputs(loaded(folder / "model.onnx", folder / "scratch", Feeding(constants=(("sr", rate),))))


def audited(folder: Path, capsys: pytest.CaptureFixture[str], proto: onnx.ModelProto, **dataset: object) -> Report:
    onnx.save(proto, folder / "model.onnx")
    shard(folder / "data" / "part-0.npz", x=random(64, 6))
    calibrated = {"calibration": {"uri": "file://./data/", "method": "minmax"}}
    fp16, int8 = ({**FP32, "name": precision, "precision": precision} for precision in ("fp16", "int8"))
    candidates = [fp16, {**int8, **calibrated}]
    checks: list[dict[str, object]] = [{check: {}} for check in CHECKED]
    run(folder, capsys, candidates=candidates, checks=checks, dataset={"uri": "file://./data/", "batch": 8, **dataset})
    return report_of(folder)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("rate", RATES)
def test_the_branch_that_is_taken_stands_in_the_graph(rate: int, depth: int, tmp_path: Path) -> None:
    proto = by_rate(depth)
    found = held(proto, tmp_path, rate)
    operators = [each.op_type for each in load_graph(found.path).graph.node]
    assert operators == (["MatMul", "Tanh"] if rate == 16000 else ["Relu"])
    fed = {"x": random(5, 6), "sr": np.array(rate)}
    [wanted] = ort.InferenceSession(proto.SerializeToString()).run(None, fed)
    [given] = ort.InferenceSession(str(found.path)).run(None, fed)
    np.testing.assert_allclose(given, wanted, rtol=1e-6, atol=1e-7)
    [note] = found.notes
    assert f"dataset.inputs holds sr={rate}, which decides" in note
    assert f"{RATES[rate]}_branch of 'y.node' (If)" in note


def test_two_rates_are_two_models(tmp_path: Path) -> None:
    """Or one's golden outputs would be taken for the other's."""
    found = [held(by_rate(), tmp_path / str(rate), rate) for rate in RATES]
    assert len({each.identity for each in found}) == 2
    assert found[0].path.name == "model.onnx"


def test_what_is_not_held_is_as_it_was(tmp_path: Path) -> None:
    onnx.save(by_rate(), tmp_path / "model.onnx")
    found = with_held_inputs(loaded(tmp_path / "model.onnx", tmp_path / "scratch", Feeding(feeds=True)))
    assert [each.op_type for each in load_graph(found.path).graph.node] == ["Equal", "If"]
    assert found.notes == ()


def test_candidates_are_judged_in_the_branch_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = audited(tmp_path, capsys, by_rate(), inputs={"sr": {"constant": 16000}})
    assert {str(finding.verdict) for finding in report.findings} == {"Passed"}, report.findings
    assert any("dataset.inputs holds sr=16000" in note for note in report.golden.notes or ())
    assert all(any("dataset.inputs holds sr" in note for note in each.notes) for each in report.candidates)
    fp16 = report.candidates[0]
    assert {layer.name for layer in fp16.layers} == {"then_p", "y"}


def test_what_data_decide_is_named_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = by_rate()
    proto.graph.input.pop()
    proto.graph.node.insert(0, node("ReduceMax", "x", "most", keepdims=0))
    proto.graph.node.insert(1, node("Cast", "most", "sr", to=TensorProto.INT64))
    report = audited(tmp_path, capsys, proto)
    [finding] = [each for each in report.findings if each.candidate == "fp16" and each.check == "layerDrift"]
    assert finding.verdict == "Inconclusive"
    assert "inside the control flow of node 'y.node' (If) cannot be shown" in finding.message
    assert "hold what decides it constant in dataset.inputs" in finding.message


@pytest.mark.parametrize(("rows", "left"), [(2, ["MatMul", "Tanh"]), (3, ["Relu"])])
def test_declared_lengths_and_ranks_decide(rows: int, left: list[str], tmp_path: Path) -> None:
    onnx.save(by_length(rows), tmp_path / "model.onnx")
    nodes = load_graph(tmp_path / "model.onnx").graph.node
    assert [each.op_type for each in nodes if each.op_type not in ("Add", "Constant")] == left


def test_a_length_that_data_decide_decides_nothing(tmp_path: Path) -> None:
    onnx.save(by_length("rows"), tmp_path / "model.onnx")
    nodes = load_graph(tmp_path / "model.onnx").graph.node
    assert "If" in {each.op_type for each in nodes}


def test_what_is_cut_off_at_an_unknown_place_is_not_known() -> None:
    """Two numbers for one unknown length are cut off alike, and prove nothing."""
    nodes = [
        node("Shape", "x", "lengths"), node("Gather", "lengths first", "rows", axis=0),
        node("Slice", "numbers zero rows", "some"), node("Gather", "some last", "one", axis=0),
        node("Equal", "one wanted", "same"),
        node("If", "same", "y", then_branch=branch("then", [node("Neg", "x", "then_y")]),
             else_branch=branch("else", [node("Relu", "x", "else_y")])),
    ]  # fmt: skip
    weights = [
        constant("first", np.array([0])), constant("zero", np.array([0])), constant("numbers", np.arange(9)),
        constant("last", np.int64(-1)), constant("wanted", np.int64(8)),
    ]  # fmt: skip
    proto = model(nodes, [value("x", "N", 6)], [value("y", "N", 6)], weights)
    assert deciding(proto, {}) == {}
