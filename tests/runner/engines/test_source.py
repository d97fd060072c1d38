"""What TensorRT's parser is given of a model whose weights lie beside it: a file that finds them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from assay_runner.backends.calibration import Way
from assay_runner.backends.found import Found, Range
from assay_runner.backends.order import BuildOrder, Quantisation
from assay_runner.backends.sweep import activations
from assay_runner.backends.tensorrt.configuration import settings
from assay_runner.backends.tensorrt.source import source_model
from assay_runner.errors import CannotBuild, InvalidInput, Unsupported
from tests.models import Heard, Samples, load, mlp, random
from tests.orders import ordered
from tests.runner.engines.versions import TEN

CALIBRATION = {"uri": "file:///calibration/", "quantization": "explicit"}


@pytest.mark.parametrize(
    "asked",
    [
        {"precision": "fp32"},
        {"precision": "fp16", "typing": "weak"},
        {"precision": "fp16", "typing": "strong"},
        {"precision": "fp16", "typing": "strong", "layers": [{"nodes": "MatMul", "precision": "fp32"}]},
        {"precision": "int8", "calibration": CALIBRATION},
        {"precision": "int8", "calibration": CALIBRATION | {"quantization": "implicit"}},
        {"precision": "int8", "typing": "strong", "calibration": CALIBRATION},
        {
            "precision": "int8",
            "typing": "strong",
            "calibration": CALIBRATION,
            "layers": [{"nodes": "h3.node", "precision": "fp16"}, {"nodes": "h1.node", "precision": "fp16"}],
        },
        {"precision": "fp8", "calibration": CALIBRATION},
    ],
    ids=lambda asked: "-".join(map(str, (asked["precision"], asked.get("typing", "weak"), len(asked)))),
)
def test_weights_beside_the_model_are_found(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    file = tmp_path / "given" / "m.onnx"
    onnx.save(mlp(), str(file), save_as_external_data=True, location="weights.bin", size_threshold=0)
    order = ordered(**asked, path=file)
    x = random(16, 8)
    path, _ = source_model(
        load(file, tmp_path), order, settings(order, TEN), Samples({"x": x}), tmp_path / "out", Heard()
    )
    options = ort.SessionOptions()
    # A CPU's own kernels must not take the place of Q/DQ pairs.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    found, expected = (
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for model in (str(path), mlp().SerializeToString())
    )
    assert np.abs(found - expected).max() < 0.3 * np.abs(expected).max()


def test_ranges_that_are_known_are_written_and_no_data_read(tmp_path: Path) -> None:
    """The same file as with the data that they were found with, though entropy is the builder's own."""
    given, x = load(saved(tmp_path), tmp_path), random(16, 8)
    plain = BuildOrder("tensorrt", "int8", quantisation=Quantisation("minmax", quantization="explicit"))
    with activations(given, "int8", {}, tmp_path) as shown:
        [found] = shown.ranges(Samples({"x": x}), [Way("minmax")], (), Heard())[16].values()
    known = replace(plain, quantisation=Quantisation("entropy", found=found))
    assert settings(replace(known, quantisation=Quantisation("entropy")), TEN).implicit
    assert not settings(known, TEN).implicit
    paths = []
    for name, order, data in (("read", plain, Samples({"x": x})), ("known", known, None)):
        paths.append(source_model(given, order, settings(order, TEN), data, tmp_path / name, Heard())[0])
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("typing", ["weak", "strong"])
def test_weights_alone_are_written_without_data(typing: Literal["weak", "strong"], tmp_path: Path) -> None:
    order = BuildOrder("tensorrt", "int8", typing=typing, quantisation=Quantisation(weights_only=True))
    given = load(saved(tmp_path), tmp_path)
    path, notes = source_model(given, order, settings(order, TEN), None, tmp_path / "out", Heard())
    operators = [each.op_type for each in onnx.load(str(path)).graph.node]
    assert operators.count("DequantizeLinear") == 2
    assert "QuantizeLinear" not in operators
    assert "activations as they are" in notes[0]


def test_ranges_of_another_model_are_refused(tmp_path: Path) -> None:
    given = load(saved(tmp_path), tmp_path)
    how = Quantisation(found=Found.of({"other": Range(1.0, 1.0)}, 4))
    order = BuildOrder("tensorrt", "int8", quantisation=how)
    with pytest.raises(InvalidInput, match="no range is known of tensor 'h3': the ranges are of another model"):
        source_model(given, order, settings(order, TEN), None, tmp_path / "out", Heard())


def saved(folder: Path) -> Path:
    (folder / "given").mkdir()
    onnx.save(mlp(), str(folder / "given" / "m.onnx"))
    return folder / "given" / "m.onnx"


def test_the_builders_own_calibrator_is_not_given_what_was_trained_for_8_bits(tmp_path: Path) -> None:
    given = load(Path("examples/digits/digits-cnn-qat.onnx").absolute(), tmp_path)
    order = ordered("int8", calibration=CALIBRATION)
    implicit = replace(settings(order, TEN), implicit=True)
    with pytest.raises(CannotBuild, match="has Q/DQ pairs inside, beside which TensorRT's own calibrator does nothing"):
        source_model(given, order, implicit, Samples({"image": random(4, 1, 8, 8)}), tmp_path / "out", Heard())


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_a_half_beside_8_bits_is_written_as_types(kind: str, tmp_path: Path) -> None:
    x, file = random(16, 8), saved(tmp_path)
    layers = [{"nodes": "h1.node", "precision": "fp16"}]
    order = ordered(kind, file, typing="strong", layers=layers, calibration=CALIBRATION)
    path, notes = source_model(
        load(file, tmp_path), order, settings(order, TEN), Samples({"x": x}), tmp_path / "o", Heard()
    )
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True, data_prop=True).graph
    types = {each.name: each.type.tensor_type.elem_type for each in graph.value_info}
    products = {each.name: types.get(each.input[0]) for each in graph.node if each.op_type == "MatMul"}
    assert products == {"h1.node": onnx.TensorProto.FLOAT16, "logits.node": onnx.TensorProto.FLOAT}
    assert any("held in FP16 as asked: h1.node" in note for note in notes)
    both = replace(order, held={"h1.node": "fp16", "logits.node": "bf16"})
    with pytest.raises(Unsupported, match="fp32 and one of bf16, fp16, not both"):
        source_model(load(file, tmp_path), both, settings(both, TEN), Samples({"x": x}), tmp_path / "p", Heard())
