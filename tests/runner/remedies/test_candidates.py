"""Candidates as audits have them: several, with names that collide, held already, of own models; and their data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_runner.tensors import Array
from tests.models import constant, model, node, random, value
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, FP16, INT8, repaired, staged
from tests.runner.remedies.transformers import overflowing, sentences, transformer
from tests.scenarios import layer_norm_fed_8_bits
from tests.typed_graphs import computed

SEARCH = {"precision": {"to": ["fp32"], "rewrite": False}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two blocks, of which one overflows, and their data."""
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    return tmp_path


def golden(folder: Path) -> Array:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, sentences())[0]
    return found


def test_several_candidates_that_fail_are_repaired_each(folder: Path) -> None:
    candidates = [FP16, {**FP16, "name": "again"}, {**FP16, "name": "bf16", "precision": "bf16"}]
    found = repaired(folder, candidates=candidates, remedies=SEARCH)
    assert [(each.candidate, each.outcome) for each in found.entry.remedies] == [("fp16", "Cured"), ("again", "Cured")]
    assert [each.name for each in found.report.candidates] == ["fp16-precision", "again-precision"]
    models = [each.deploy.model for each in found.entry.remedies]
    assert len(set(models)) == 2
    assert all(Path((uri or "").removeprefix("file://")).is_file() for uri in models)
    # The second is built like the first: nothing of it is tried twice.
    search = [trial for trial in found.trials if trial.split == "search"]
    assert [trial.known for trial in search] == [False] * (len(search) // 2) + [True] * (len(search) // 2)


def test_a_repaired_candidate_takes_no_name_of_another(folder: Path) -> None:
    taken = {**FP16, "name": "fp16-precision", "precision": "bf16"}
    found = repaired(folder, candidates=[FP16, taken], remedies=SEARCH)
    assert [each.name for each in found.report.candidates] == ["fp16-precision-2"]
    assert found.remedy.repaired == "fp16-precision-2"
    assert found.model.parent.name == "fp16-precision-2"


def test_a_repair_is_of_one_gpu_product(folder: Path) -> None:
    engine = Engines(lambda wide: overflowing(1) <= wide)
    target = {"gpuProducts": ["NVIDIA-A100", "NVIDIA-H100"]}
    found = repaired(folder, engine=engine, candidates=[ENGINE], target=target, remedies=SEARCH)
    assert found.remedy.candidate == "fp16@NVIDIA-A100"
    assert found.remedy.repaired == "fp16-precision@NVIDIA-A100"
    [candidate] = found.report.candidates
    assert (candidate.name, candidate.gpu_product) == ("fp16-precision@NVIDIA-A100", "NVIDIA-A100")


def test_what_layers_hold_already_stays_held_and_counts_for_nothing(folder: Path) -> None:
    layers = [{"nodes": "b1.squared.node", "precision": "fp32"}]
    found = repaired(folder, backend="onnxruntime", candidates=[{**ENGINE, "layers": layers}], remedies=SEARCH)
    assert found.remedy.outcome == "Cured"
    assert set(found.remedy.wide) == overflowing(1) - {"b1.squared.node"}
    written = onnx.load(str(found.model))
    assert np.isfinite(computed(written, sentences())["y"]).all()


def test_what_layers_hold_too_narrow_may_have_to_run_wider(folder: Path) -> None:
    layers = [{"nodes": "b1.*", "precision": "bf16"}]
    found = repaired(
        folder, backend="onnxruntime", candidates=[{**ENGINE, "layers": layers}],
        checks=[{"outputDrift": {"snr": 55}}], remedies=SEARCH,
    )  # fmt: skip
    assert found.remedy.outcome == "Cured"
    assert found.remedy.wide
    assert {name.split(".")[0] for name in found.remedy.wide} == {"b1"}


def test_a_candidate_of_a_model_of_its_own_is_repaired_in_that(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(), blocks=2), sentences())
    onnx.save(transformer(loud=(0,), blocks=2), str(tmp_path / "own.onnx"))
    own = {**FP16, "model": {"uri": "file://./own.onnx"}}
    found = repaired(tmp_path, candidates=[own], checks=[{"finite": {}}, {"outputDrift": {"snr": 1}}], remedies=SEARCH)
    assert (found.remedy.outcome, set(found.remedy.wide)) == ("Cured", set(overflowing(0)))
    factor = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(found.model)).graph.initializer}
    assert factor["b0.scale"] == 400


def test_pairs_that_a_model_brings_itself_are_left_alone(tmp_path: Path) -> None:
    trained = layer_norm_fed_8_bits()
    nodes = [
        node("MatMul", "x w0", "hidden"),
        node("LayerNormalization", "hidden scale shift", "normal", axis=-1),
        node("MatMul", "normal w", "y"),
    ]
    weights = [each for each in trained.proto.graph.initializer if each.name in ("w0", "scale", "shift", "w")]
    graph = trained.proto.graph
    staged(tmp_path, model(nodes, list(graph.input), list(graph.output), weights), trained.inputs)
    onnx.save(trained.proto, str(tmp_path / "qat.onnx"))
    candidate = {"name": "qat", "backend": "onnxruntime", "precision": "int8", "model": {"uri": "file://./qat.onnx"}}
    found = repaired(tmp_path, candidates=[candidate], checks=[{"outputDrift": {"snr": 60}}])
    assert found.remedy.outcome == "DoesNotApply"
    assert "brings its Q/DQ pairs" in found.remedy.message
    assert found.trials == ()


def test_ranges_that_an_engine_would_find_itself_are_written_out(tmp_path: Path) -> None:
    x = random(32, 16, seed=1)
    far = constant("far", np.float32(1000) * (np.arange(16) == 3))
    nodes = [
        node("MatMul", "x w", "h"), node("Add", "h far", "moved"), node("MatMul", "moved unit", "back"),
        node("Sub", "back far", "y"),
    ]  # fmt: skip
    weights = [constant("w", random(16, 16, seed=2)), far, constant("unit", np.eye(16, dtype=np.float32))]
    proto = model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)
    staged(tmp_path, proto, {"x": x}, {"x": random(32, 16, seed=3)})
    calibration = {**INT8["calibration"], "quantization": "implicit"}  # type: ignore[dict-item]
    candidate = {**ENGINE, "precision": "int8", "typing": "weak", "calibration": calibration}
    found = repaired(
        tmp_path, backend="onnxruntime", candidates=[candidate], checks=[{"outputDrift": {"snr": 15}}], remedies=SEARCH
    )
    assert (found.remedy.outcome, found.remedy.wide) == ("Cured", {"back.node": "fp32"})
    assert "QuantizeLinear" in {each.op_type for each in onnx.load(str(found.model)).graph.node}


def test_nodes_without_names_are_named_as_everywhere(tmp_path: Path) -> None:
    proto = transformer(loud=(1,), blocks=2)
    for each in proto.graph.node:
        each.ClearField("name")
    staged(tmp_path, proto, sentences())
    found = repaired(tmp_path, remedies=SEARCH)
    wanted = {"Pow:b1.squared", "ReduceMean:b1.variance", "Add:b1.safe", "Sqrt:b1.deviation"}
    assert (found.remedy.outcome, set(found.remedy.wide)) == ("Cured", wanted)
    onnx.checker.check_model(onnx.load(str(found.model)), full_check=True)


@pytest.mark.parametrize("far", ["input", "weight"])
def test_what_comes_from_outside_beyond_fp16_is_read_in_a_wider_half(far: str, tmp_path: Path) -> None:
    x = random(16, 8, scale=3e5 if far == "input" else 1)
    weight, near = random(8, 8, seed=1, scale=1 if far == "input" else 3e5), constant("near", np.float32(1e-5))
    nodes = [node("MatMul", "x w", "a"), node("Mul", "a near", "b"), node("Relu", "b", "y")]
    proto = model(nodes, [value("x", "N", 8)], [value("y", "N", 8)], [constant("w", weight), near])
    staged(tmp_path, proto, {"x": x})
    found = repaired(tmp_path, remedies={"precision": {"rewrite": False}})
    assert (found.remedy.outcome, set(found.remedy.wide.values())) == ("Cured", {"bf16"})
    typed = computed(onnx.load(str(found.model)), {"x": x})["y"].astype(np.float64)
    wanted = np.maximum(x.astype(np.float64) @ weight * 1e-5, 0)
    assert np.abs(typed - wanted).max() < 0.02 * np.abs(wanted).max()


def test_values_that_are_made_up_cure_nothing(folder: Path) -> None:
    dataset = {"uri": "file://./data/", "batch": 4, "synthetic": True}
    found = repaired(folder, dataset=dataset, remedies=SEARCH)
    assert found.remedy.outcome == "Inconclusive"
    assert "made up" in found.remedy.message
    assert [each.verdict for each in found.report.candidates] == ["Inconclusive"]


def test_golden_outputs_of_ones_own_are_split_like_the_samples(folder: Path) -> None:
    (folder / "golden").mkdir()
    outputs = golden(folder)
    np.savez(folder / "golden" / "part-0.npz", y=outputs)
    found = repaired(folder, golden={"uri": "file://./golden/"}, remedies=SEARCH)
    assert (found.remedy.outcome, set(found.remedy.wide)) == ("Cured", set(overflowing(1)))
    # What no engine can give is told by one trial.
    shutil.rmtree(folder / "out")
    np.savez(folder / "golden" / "part-0.npz", y=outputs + 1)
    told = repaired(folder, golden={"uri": "file://./golden/"}, remedies=SEARCH)
    assert (told.remedy.outcome, len(told.trials)) == ("NotCured", 1)


def test_what_fails_on_unseen_samples_alone_is_no_case_for_a_search(tmp_path: Path) -> None:
    inputs = sentences()
    inputs["x"][0] *= 1e5
    staged(tmp_path, transformer(loud=(), blocks=2), inputs)
    told = repaired(tmp_path, remedies=SEARCH)
    assert told.remedy.outcome == "DoesNotApply"
    assert "on the samples that are searched with it passes as it is" in told.remedy.message


def test_weights_too_large_for_one_file_are_deployed_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay_runner.graphs.weights.INSIDE_LIMIT", 1 << 16)
    weight = random(256, 256) / np.float32(16)
    nodes = [node("MatMul", "x w", "a"), node("Mul", "a far", "b"), node("Mul", "b near", "y")]
    numbers = [constant("far", np.float32(1e5)), constant("near", np.float32(1e-5))]
    proto = model(nodes, [value("x", "N", 256)], [value("y", "N", 256)], [constant("w", weight), *numbers])
    saved: dict[str, Any] = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 1024}
    x = random(16, 256, seed=1)
    staged(tmp_path, proto, {"x": x}, **saved)
    found = repaired(tmp_path, remedies=SEARCH)
    assert found.remedy.outcome == "Cured"
    assert found.model.stat().st_size < 8_000
    assert found.remedy.deploy.weights
    beside = Path(found.remedy.deploy.weights.removeprefix("file://"))
    assert beside.parent == found.model.parent
    assert beside.stat().st_size >= weight.nbytes // 2
    onnx.checker.check_model(str(found.model), full_check=True)
    assert np.allclose(computed(onnx.load(str(found.model)), {"x": x})["y"], x @ weight, atol=0.05)
