"""Tensors of integers and booleans inside a model: equal to golden's or not, and where a wrong index starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.backends import Capability
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.tensors import Array
from tests.models import FLOAT, Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import measured
from tests.wire import details

INT64, INT32, UINT8, BOOL = TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.BOOL
TIES = np.repeat(random(400, 1), 16, axis=1) + random(400, 16, seed=1, scale=0.005)
SPREAD = (np.eye(16) * 1.37 + 0.3).astype(np.float32)


def drift(
    proto: onnx.ModelProto, precision: str, inputs: dict[str, Array], folder: Path, batch: int = 8, **limits: Any
) -> Finding:
    [found] = measured(proto, precision, Samples(inputs, batch=batch), folder, parse(LayerDrift, limits)).findings
    return found


def half(array: Array) -> Array:
    return array.astype(np.float16).astype(np.float32)


def positions() -> onnx.ModelProto:
    """Rows of a table, looked up at multiples of 511: FP16 holds every integer up to 2048, then every second."""
    return model(
        [
            node("Mul", "p step", "at"),
            node("Cast", "at", "index", to=INT64),
            node("Gather", "table index", "e"),
            node("Add", "x e", "y"),
        ],
        [value("p", "N", 8), value("x", "N", 8, 4)],
        [value("y", "N", 8, 4)],
        [constant("step", np.float32(511)), constant("table", random(4100, 4))],
    )


PLACES = {"p": np.tile(np.arange(1, 9, dtype=np.float32), (20, 1)), "x": random(20, 8, 4, scale=0.01)}


def test_a_wrong_index_is_where_the_error_starts(tmp_path: Path) -> None:
    found = drift(positions(), "fp16", PLACES, tmp_path)
    wrong = int((half(PLACES["p"] * 511).astype(np.int64) != (PLACES["p"] * 511).astype(np.int64)).sum())
    assert wrong == 40
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "index", "equalElements")
    assert found.value == pytest.approx(0.75)
    assert "tensor 'index' of node 'index.node' (Cast) parts from golden's: 40 of 160 elements" in found.message
    assert "though its input, tensor 'at' of node 'at.node' (Mul), has 7" in found.message
    assert "it adds up" not in found.message
    [entry] = details(found)["unequal"]
    assert (entry["tensor"], entry["elements"], entry["different"]) == ("index", 160, 40)
    assert entry["differentOnGoldenInputs"] == 0


def test_few_wrong_indices_pass_and_are_told_of(tmp_path: Path) -> None:
    rare = {"p": np.ones((200, 8), np.float32), "x": random(200, 8, 4)}
    rare["p"][7, 0] = 5
    found = drift(positions(), "fp16", rare, tmp_path)
    assert found.verdict is Verdict.PASSED
    assert "of tensor 'index' of node 'index.node' (Cast) 1 of 1600 elements are not golden's" in found.message
    assert details(found)["remark"] is True


@pytest.mark.parametrize(("precision", "numbers"), [("fp16", np.float16), ("bf16", None)])
def test_the_winner_of_close_scores_is_judged_where_nothing_is_computed_from_it(
    precision: str, numbers: type | None, tmp_path: Path
) -> None:
    proto = model(
        [node("MatMul", "x w", "h"), node("ArgMax", "h", "y", axis=1, keepdims=0)],
        [value("x", "N", 16)],
        [value("y", "N", kind=INT64)],
        [constant("w", SPREAD)],
    )
    found = drift(proto, precision, {"x": TIES}, tmp_path)
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "y", "equalElements")
    assert "tensor 'y' of node 'y.node' (ArgMax) parts from golden's" in found.message
    assert "a share of 0.99 must be golden's" in found.message
    if numbers:
        scores = half(half(TIES) @ half(SPREAD))
        wrong = (scores.argmax(axis=1) != (TIES @ SPREAD).argmax(axis=1)).sum()
        assert found.value == pytest.approx(1 - wrong / 400, abs=0.01)
    loose = drift(proto, precision, {"x": TIES}, tmp_path / "loose", equal=0.1)
    assert loose.verdict is Verdict.PASSED


class WithoutSegments(OnnxRuntime):
    """Compares integers in the whole run alone, as an engine's are."""

    def can(self, capability: Capability) -> bool:
        return capability is not Capability.SEGMENTS and super().can(capability)


def test_where_integers_were_not_computed_alone_it_is_said_that_their_start_is_not_known(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", "x w", "h"), node("ArgMax", "h", "y", axis=1, keepdims=0)],
        [value("x", "N", 16)],
        [value("y", "N", kind=INT64)],
        [constant("w", SPREAD)],
    )
    data = Samples({"x": TIES}, batch=8)
    [found] = measured(proto, "fp16", data, tmp_path, LayerDrift(), backend=WithoutSegments()).findings
    assert (found.verdict, found.tensor, found.metric) == (Verdict.FAILED, "y", "equalElements")
    assert "its node was not run on golden inputs, so whether it starts there is not known" in found.message
    assert found.message.count("not run on golden") == 1


def test_the_order_of_the_largest_is_where_what_is_gathered_by_it_goes_wrong(tmp_path: Path) -> None:
    proto = model(
        [
            node("MatMul", "x w", "h"),
            node("TopK", "h k", "v i", axis=-1),
            node("GatherElements", "z i", "y", axis=1),
        ],
        [value("x", "N", 16), value("z", "N", 16)],
        [value("y", "N", 3), value("i", "N", 3, kind=INT64)],
        [constant("w", SPREAD), constant("k", np.array([3]))],
    )
    found = drift(proto, "bf16", {"x": TIES, "z": random(400, 16)}, tmp_path)
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "i")
    assert "tensor 'i' of node 'v.node' (TopK) parts from golden's" in found.message


def test_a_mask_is_judged_by_what_is_selected_by_it(tmp_path: Path) -> None:
    def masked(threshold: float, offset: float) -> onnx.ModelProto:
        return model(
            [
                node("Add", "x offset", "h"),
                node("Greater", "h threshold", "m"),
                node("Where", "m x zero", "y"),
            ],
            [value("x", "N", 16)],
            [value("y", "N", 16)],
            [constant(n, np.float32(v)) for n, v in (("offset", offset), ("threshold", threshold), ("zero", 0))],
        )

    data = {"x": random(64, 16, scale=0.3)}
    mild = drift(masked(0.01, 0), "bf16", data, tmp_path / "mild")
    assert mild.verdict is Verdict.PASSED
    wild = drift(masked(1000.2, 1000), "bf16", data, tmp_path / "wild")
    assert (wild.verdict, wild.tensor) == (Verdict.FAILED, "m")
    assert "tensor 'm' of node 'm.node' (Greater) parts from golden's" in wild.message


def test_another_number_of_rows_is_a_difference(tmp_path: Path) -> None:
    proto = model(
        [
            node("Add", "x offset", "h"),
            node("Greater", "h threshold", "m"),
            node("NonZero", "m", "nz"),
            node("Transpose", "nz", "at"),
            node("GatherND", "x at", "g"),
            node("ReduceSum", "g", "y", keepdims=0),
        ],
        [value("x", 1, 16)],
        [value("y")],
        [constant("offset", np.float32(1000)), constant("threshold", np.float32(1000.2))],
    )
    found = drift(proto, "bf16", {"x": random(40, 16, scale=0.3)}, tmp_path, batch=1)
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "m")
    assert "has another number of elements than golden's" in found.message
    unequal = {entry["tensor"] for entry in details(found)["unequal"]}
    assert unequal == {"m", "nz", "at"}


def test_codes_of_quantised_numbers_are_judged_as_numbers(tmp_path: Path) -> None:
    proto = model(
        [
            node("MatMul", "x w", "h"),
            node("QuantizeLinear", "h s z", "q"),
            node("Reshape", "q all", "flat"),
            node("DequantizeLinear", "flat s z", "y"),
        ],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
        [
            constant("w", random(16, 16, seed=1, scale=0.3)),
            constant("s", np.float32(0.03)),
            constant("z", np.int8(0)),
            constant("all", np.array([-1, 16])),
        ],
    )
    found = drift(proto, "bf16", {"x": random(64, 16)}, tmp_path)
    assert found.verdict is Verdict.PASSED
    assert "2 of 2 tensors compared" in found.message
    assert "not golden's" not in found.message


@pytest.mark.parametrize("kind", [UINT8, INT32, INT64])
def test_integers_of_every_type_are_compared(kind: int, tmp_path: Path) -> None:
    proto = model(
        [node("Cast", "i", "j", to=kind), node("Cast", "j", "f", to=FLOAT), node("MatMul", "f w", "y")],
        [value("i", "N", 16, kind=INT64)],
        [value("y", "N", 4), value("j", "N", 16, kind=kind)],
        [constant("w", random(16, 4))],
    )
    integers = np.random.default_rng(0).integers(0, 200, (20, 16))
    found = drift(proto, "fp16", {"i": integers}, tmp_path)
    assert found.verdict is Verdict.PASSED
    assert "3 of 3 tensors compared" in found.message


def test_a_model_of_integers_alone_passes_where_all_are_equal(tmp_path: Path) -> None:
    proto = model(
        [node("Add", "i i", "j"), node("Equal", "j k", "y")],
        [value("i", "N", 4, kind=INT64)],
        [value("y", "N", 4, kind=BOOL)],
        [constant("k", np.array(6))],
    )
    found = drift(proto, "fp16", {"i": np.arange(24).reshape(6, 4)}, tmp_path)
    assert (found.verdict, found.metric, found.value) == (Verdict.PASSED, "equalElements", 1.0)
    assert found.message == "2 of 2 tensors compared, all within the limits"


def test_integers_alone_leave_nothing_that_a_format_could_not_hold(tmp_path: Path) -> None:
    proto = model(
        [node("Gather", "t i", "rows"), node("ReduceSum", "rows one", "y", keepdims=0)],
        [value("i", "N", 4, kind=INT64)],
        [value("y", "N", 3, kind=INT64)],
        [constant("t", np.arange(90).reshape(30, 3)), constant("one", np.array([1]))],
        opset=13,
    )
    data = Samples({"i": np.arange(24).reshape(6, 4)})
    for precision in ("fp32", "fp16"):
        [found] = measured(proto, precision, data, tmp_path / precision, Fp16Range()).findings
        assert (found.verdict, found.message) == (
            Verdict.PASSED,
            "golden holds no floating-point number, so there is none that FP16 could not hold",
        )


def test_sums_of_quantised_numbers_are_integers_where_nothing_is_read_from_them(tmp_path: Path) -> None:
    proto = model(
        [node("MatMulInteger", "i w", "y")],
        [value("i", "N", 4, kind=UINT8)],
        [value("y", "N", 2, kind=INT32)],
        [constant("w", np.array([[1, -2], [3, -4], [5, -6], [7, -8]], np.int8))],
    )
    found = drift(proto, "fp16", {"i": np.arange(24, dtype=np.uint8).reshape(6, 4)}, tmp_path)
    assert (found.verdict, found.metric, found.value) == (Verdict.PASSED, "equalElements", 1.0)
    assert found.message == "1 of 1 tensors compared, all within the limits"


def test_one_flag_that_keeps_other_rows_is_where_the_error_starts(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "x one", "h"), node("Greater", "h half", "m"), node("Compress", "x m", "y", axis=1)],
        [value("x", 1, 9)],
        [value("y", 1, "rows")],
        [constant("one", np.float32(1)), constant("half", np.float32(0.5))],
    )
    proto.graph.node.insert(2, node("Squeeze", "m", "flags"))
    proto.graph.node[3].input[1] = "flags"
    x = np.where(np.arange(9) % 2, 0.1, 0.9)[None].repeat(40, axis=0).astype(np.float32)
    x[7, 0] = 0.5005  # BF16 holds every 0.0039 there.
    found = drift(proto, "bf16", {"x": x}, tmp_path, batch=1)
    assert found.verdict is Verdict.FAILED
    assert "tensor 'm' of node 'm.node' (Greater) parts from golden's: 1 of 360 elements are not golden's, though" in (
        found.message
    )
    assert "tensor 'y' of node 'y.node' (Compress): it has another number of elements than golden's" in found.message
