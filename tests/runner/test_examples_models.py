"""The example models are what their model card says, and the poisoned ones are poisoned where it says."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from assay_api.audit import AccuracyAudit
from assay_api.model import parse
from assay_api.report import Report, Verdict
from examples.train import cnn_graph, data, vit_graph
from examples.train.graph import Weights
from tests.cli.audits import assay
from tests.models import Samples, loaded
from tests.runner.numerics.candidates import build, candidate

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
MODELS = ("digits-cnn", "digits-cnn-overflow", "digits-vit", "digits-vit-decomposed")
TRAINED_FOR_INT8 = {"digits-cnn-qat": "digits-cnn", "digits-vit-qat": "digits-vit"}
FP16_MAX = float(np.finfo(np.float16).max)
Array = npt.NDArray[np.float32]


@cache
def stored(folder: str) -> dict[str, npt.NDArray[np.generic]]:
    """All shards of a folder, joined along their first axis."""
    loaded = [np.load(path) for path in sorted((DIGITS / folder).glob("*.npz"))]
    return {name: np.concatenate([shard[name] for shard in loaded]) for name in loaded[0].files}


def model_path(name: str) -> Path:
    return DIGITS / f"{name}.onnx"


def weights_of(name: str) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(model_path(name)).graph.initializer}


def session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # Q/DQ pairs as they stand: a CPU's integer kernels may saturate where they do not.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def top1(model: bytes) -> float:
    evaluation = stored("data")
    logits = session(model).run(["logits"], {"image": evaluation["image"]})[0]
    return float((logits.argmax(axis=1) == evaluation["label"]).mean())


def peaks(name: str) -> dict[str, float]:
    """Largest absolute value in FP32 of every node's floating-point output, in topological order."""
    model = onnx.load(model_path(name))
    outputs = [output for node in model.graph.node for output in node.output]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs)
    values = session(model.SerializeToString()).run(outputs, {"image": stored("data")["image"]})
    return {output: float(np.abs(value).max()) for output, value in zip(outputs, values, strict=True)}


class Shards(CalibrationDataReader):  # type: ignore[misc]
    """Feeds a folder's images to ONNX Runtime's quantizer."""

    def __init__(self, folder: str) -> None:
        self._batches = iter(np.array_split(stored(folder)["image"], 8))

    def get_next(self) -> dict[str, npt.NDArray[np.generic]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


@pytest.mark.parametrize("name", [*MODELS, *TRAINED_FOR_INT8])
def test_is_a_valid_model_with_a_dynamic_batch(name: str) -> None:
    model = onnx.load(model_path(name))
    onnx.checker.check_model(model, full_check=True)
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == ("image", "logits")
    for value, shape in ((image, ["batch", 1, 8, 8]), (logits, ["batch", 10])):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
        assert [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] == shape
    assert all(node.name for node in model.graph.node)


@pytest.mark.parametrize("name", [*MODELS, *TRAINED_FOR_INT8])
def test_recognises_the_held_out_digits(name: str) -> None:
    assert top1(model_path(name).read_bytes()) >= 0.96


def test_the_networks_keep_their_normalisations_as_nodes() -> None:
    operators = {name: [node.op_type for node in onnx.load(model_path(name)).graph.node] for name in MODELS}
    assert operators["digits-cnn"].count("BatchNormalization") == 3
    assert operators["digits-vit"].count("LayerNormalization") == 5
    assert "LayerNormalization" not in operators["digits-vit-decomposed"]
    assert operators["digits-vit-decomposed"].count("Pow") == 5


def test_everything_shipped_is_small() -> None:
    assert sum(path.stat().st_size for path in DIGITS.rglob("*") if path.is_file()) <= 3_000_000


@pytest.mark.parametrize("folder", ["data", "calib", "calib-poor"])
def test_shards_are_aligned_and_in_range(folder: str) -> None:
    paths = sorted((DIGITS / folder).glob("*.npz"))
    assert len(paths) > 1
    for path in paths:
        with np.load(path) as shard:
            assert {len(shard[name]) for name in shard.files} == {len(shard["image"])}
            assert shard["image"].dtype == np.float32
            assert shard["image"].shape[1:] == (1, 8, 8)
            assert 0 <= shard["image"].min() < shard["image"].max() <= 1


def test_labels_are_the_ten_digits() -> None:
    labels = stored("data")["label"]
    assert labels.dtype == np.int64
    assert len(labels) == data.EVALUATION_SAMPLES
    assert np.bincount(labels).min() >= 70
    assert set(labels.tolist()) == set(range(10))


def test_no_calibration_image_is_an_evaluation_image() -> None:
    evaluated = {row.tobytes() for row in stored("data")["image"]}
    for folder, brightness in (("calib", np.float32(1)), ("calib-poor", data.DIM)):
        images = stored(folder)["image"].astype(np.float32) / brightness
        assert len(images) == data.CALIBRATION_SAMPLES
        assert not evaluated & {row.tobytes() for row in images}


def test_the_shards_are_what_the_training_script_writes() -> None:
    written = dict(data.shards(data.load_split()))
    assert set(written) == {path.relative_to(DIGITS).as_posix() for path in DIGITS.rglob("*.npz")}
    for name, arrays in written.items():
        with np.load(DIGITS / name) as shard:
            assert set(shard.files) == set(arrays)
            for key, array in arrays.items():
                np.testing.assert_array_equal(shard[key], array, strict=True)


def test_the_split_shares_no_row_and_loses_none() -> None:
    split = data.load_split()
    train = {row.tobytes() for row in split.train.images}
    evaluation = {row.tobytes() for row in split.evaluation.images}
    assert not train & evaluation
    assert len(split.train.labels) + len(split.evaluation.labels) == 1797


@pytest.mark.parametrize(
    ("name", "trained", "export"),
    [
        ("digits-cnn", "digits-cnn", cnn_graph.export),
        ("digits-cnn-overflow", "digits-cnn", cnn_graph.export_overflowing),
        ("digits-vit", "digits-vit", vit_graph.export),
        ("digits-vit-decomposed", "digits-vit", vit_graph.export_decomposed),
    ],
)
def test_the_files_are_what_the_exporter_makes_of_the_trained_weights(
    name: str, trained: str, export: Callable[[str, Weights], onnx.ModelProto]
) -> None:
    assert export(name, weights_of(trained)) == onnx.load(model_path(name))


@pytest.mark.parametrize(
    ("poisoned", "healthy", "tolerance"),
    [("digits-cnn-overflow", "digits-cnn", 0.0), ("digits-vit-decomposed", "digits-vit", 1e-4)],
)
def test_a_poisoned_model_computes_the_same_in_fp32(poisoned: str, healthy: str, tolerance: float) -> None:
    feeds = {"image": stored("data")["image"]}
    logits = [session(model_path(name).read_bytes()).run(["logits"], feeds)[0] for name in (poisoned, healthy)]
    assert float(np.abs(logits[0] - logits[1]).max()) <= tolerance


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("digits-cnn", None),
        ("digits-vit", None),
        ("digits-cnn-overflow", "bn2.out"),
        ("digits-vit-decomposed", "block0.norm1.pow.out"),
    ],
)
def test_the_first_tensor_beyond_fp16_is_the_named_one(name: str, first: str | None) -> None:
    beyond = [tensor for tensor, peak in peaks(name).items() if peak > FP16_MAX]
    assert beyond[:1] == ([] if first is None else [first])


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_fits_fp16(name: str) -> None:
    largest = max(float(np.abs(array).max()) for array in weights_of(name).values() if array.dtype == np.float32)
    assert largest <= FP16_MAX


@pytest.mark.parametrize(("folder", "low", "high"), [("calib", 0.96, 1.0), ("calib-poor", 0.0, 0.5)])
def test_only_the_poor_calibration_ruins_int8(folder: str, low: float, high: float, tmp_path: Path) -> None:
    quantized = tmp_path / "int8.onnx"
    quantize_static(
        model_path("digits-cnn"),
        quantized,
        Shards(folder),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    assert low <= top1(quantized.read_bytes()) <= high


@pytest.mark.parametrize(("name", "plain"), TRAINED_FOR_INT8.items())
def test_a_model_trained_for_int8_is_the_plain_one_with_pairs_before_every_product(name: str, plain: str) -> None:
    trained, source = onnx.load(model_path(name)), onnx.load(model_path(plain))
    pairs = [node for node in trained.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    rest = [node for node in trained.graph.node if node not in pairs]
    assert [(n.name, n.op_type, n.output) for n in rest] == [(n.name, n.op_type, n.output) for n in source.graph.node]
    dequantised = {node.output[0] for node in pairs if node.op_type == "DequantizeLinear"}
    products = [node for node in rest if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert products
    assert {name for node in products for name in node.input[:2]} == dequantised
    weights = weights_of(name)
    assert all(weights[n.input[2]].dtype == np.int8 and not weights[n.input[2]].any() for n in pairs)
    assert all((weights[n.input[1]] > 0).all() for n in pairs)
    # Biases, norms and positions are left in floating point; what is stored in 8 bits is used in full.
    kept = {key for key, array in weights_of(plain).items() if array.dtype == np.float32}
    assert {key for key in kept if key.endswith(("bias", "running_var", "pos_embed"))} <= weights.keys()
    stored_weights = [weights[n.input[0]] for n in pairs if n.input[0] in weights]
    assert stored_weights
    assert all(np.abs(array.astype(int)).max() == 127 for array in stored_weights)


@pytest.mark.parametrize(("name", "plain"), TRAINED_FOR_INT8.items())
def test_training_for_int8_keeps_the_accuracy(name: str, plain: str) -> None:
    assert top1(model_path(name).read_bytes()) >= top1(model_path(plain).read_bytes()) - 0.005


@pytest.mark.parametrize("audit", sorted(path.name for path in DIGITS.glob("*.yaml")))
def test_every_audit_of_the_examples_is_valid(audit: str) -> None:
    parse(AccuracyAudit, yaml.safe_load((DIGITS / audit).read_text()))


@pytest.mark.parametrize("name", sorted(TRAINED_FOR_INT8.values()))
@pytest.mark.parametrize(("precision", "lowest"), [("int8", 0.97), ("fp8", 0.96)])
@pytest.mark.parametrize("method", ["entropy", "minmax", "percentile", "mse"])
def test_every_calibration_method_keeps_the_accuracy_on_the_right_images(
    name: str, precision: str, lowest: float, method: str, tmp_path: Path
) -> None:
    assert top1(calibrated(name, precision, method, "calib", tmp_path)) >= lowest


@pytest.mark.parametrize("name", sorted(TRAINED_FOR_INT8.values()))
@pytest.mark.parametrize("method", ["entropy", "minmax", "percentile", "mse"])
def test_no_calibration_method_saves_the_dim_images(name: str, method: str, tmp_path: Path) -> None:
    assert top1(calibrated(name, "int8", method, "calib-poor", tmp_path)) <= 0.5


def calibrated(name: str, precision: str, method: str, folder: str, scratch: Path) -> bytes:
    """The model as the emulating backend builds it from a folder of calibration images."""
    asked = candidate(precision, calibration={"uri": "file:///calibration/", "method": method})
    images = Samples({"image": stored(folder)["image"]}, batch=64)
    return build(loaded(onnx.load(model_path(name)), scratch), asked, scratch, images).path.read_bytes()


def test_the_audit_of_every_way_to_8_bits_passes_and_names_the_more_accurate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = assay(capsys, "run", "-f", str(DIGITS / "quantised.yaml"), "--out", str(tmp_path))
    assert ended.code == 0
    report = parse(Report, json.loads((tmp_path / "report.json").read_bytes()))
    assert {c.name: c.precision for c in report.candidates} == {
        "ptq-entropy": "int8",
        "ptq-minmax": "int8",
        "ptq-percentile": "int8",
        "ptq-mse": "int8",
        "qat": "int8",
        "fp8-mse": "fp8",
    }
    assert all(c.emulated and c.accuracy["top1"] > 0.96 for c in report.candidates)
    assert report.recommendation
    assert "in int8, " in report.recommendation.message
    assert all(word in report.recommendation.message for word in ("qat (own Q/DQ)", "(PTQ, the best of 4)", "accurate"))


def test_without_a_gpu_the_engines_are_emulated_and_only_their_layers_are_left_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(DIGITS / "engines.yaml")
    ended = assay(capsys, "run", "-f", file, "--backend", "onnxruntime", "--out", str(tmp_path))
    assert ended.code == 0
    report = parse(Report, json.loads((tmp_path / "report.json").read_bytes()))
    assert {c.precision for c in report.candidates} == {"fp32", "fp16", "bf16", "int8", "fp8"}
    assert all(c.emulated and c.accuracy["top1"] > 0.98 for c in report.candidates)
    assert all(f.verdict is Verdict.PASSED for f in report.findings)
    assert {entry.check for c in report.candidates for entry in c.left} == {"achievedPrecision"}
    strict = assay(capsys, "run", "-f", file, "--backend", "onnxruntime", "--strict", "--out", str(tmp_path))
    assert strict.code == 2
    report = parse(Report, json.loads((tmp_path / "report.json").read_bytes()))
    assert {f.check for f in report.findings if f.verdict is not Verdict.PASSED} == {"achievedPrecision"}
