"""What is kept out of 8 bits, or wider than FP16, is kept in the cheapest format that passes, node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from assay_runner.backends.backend import Built
from assay_runner.backends.order import BuildOrder
from assay_runner.models.loading import LoadedModel
from tests.models import constant, model, node, random, value
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, INT8, Repaired, repaired, staged
from tests.runner.remedies.test_precision import golden, snr
from tests.runner.remedies.transformers import overflowing, sentences, transformer
from tests.typed_graphs import computed

WIDTH = 32
EIGHT: dict[str, dict[str, Any]] = {"int8": INT8, "fp8": {**INT8, "name": "fp8", "precision": "fp8"}}


def outliers(*gains: float) -> onnx.ModelProto:
    """Products, before each of which one channel is made this much larger, to be made small again behind it."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    source = "x"
    for number, gain in enumerate(gains):
        factor = np.where(np.arange(WIDTH) == 3, gain, 1).astype(np.float32)
        turn = random(WIDTH, WIDTH, seed=number) / np.float32(WIDTH**0.5)
        nodes += [
            node("Mul", f"{source} up{number}", f"loud{number}"),
            node("MatMul", f"loud{number} w{number}", f"y{number}"),
        ]
        weights += [constant(f"up{number}", factor), constant(f"w{number}", turn / factor[:, None])]
        source = f"y{number}"
    nodes.append(node("Identity", source, "y"))
    return model(nodes, [value("x", "N", WIDTH)], [value("y", "N", WIDTH)], weights)


def cured(
    folder: Path, kind: str, *gains: float, to: tuple[str, ...] = ("fp16", "fp32"), limit: float = 20
) -> Repaired:
    staged(folder, outliers(*gains), {"x": random(16, WIDTH, seed=21)}, {"x": random(16, WIDTH, seed=22)})
    checks = [{"finite": {}}, {"outputDrift": {"snr": limit}}]
    return repaired(folder, candidates=[EIGHT[kind]], checks=checks, remedies={"precision": {"to": list(to)}})


def kinds_read(proto: onnx.ModelProto) -> dict[str, int]:
    """Element type of what each product reads first."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    types = {each.name: each.type.tensor_type.elem_type for each in (*inferred.value_info, *inferred.input)}
    return {each.name: types[each.input[0]] for each in inferred.node if each.op_type == "MatMul"}


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_what_eight_bits_cannot_hold_is_kept_in_fp16_where_that_is_enough(kind: str, tmp_path: Path) -> None:
    gain = {"int8": 1000.0, "fp8": 3e4}[kind]
    found = cured(tmp_path, kind, 1, gain, 1)
    assert (found.remedy.outcome, found.remedy.wide) == ("Cured", {"y1.node": "fp16"}), found.remedy.message
    assert f"1 of 3 nodes must run in FP16: y1.node; all else stays {kind.upper()}" in found.remedy.message
    proto = onnx.load(str(found.model))
    onnx.checker.check_model(proto, full_check=True)
    assert kinds_read(proto) == {
        "y0.node": TensorProto.FLOAT,
        "y1.node": TensorProto.FLOAT16,
        "y2.node": TensorProto.FLOAT,
    }
    paired = {each.output[0] for each in proto.graph.node if each.op_type == "DequantizeLinear"}
    in_pairs = {each.name for each in proto.graph.node if each.op_type == "MatMul" and paired & set(each.input)}
    assert in_pairs == {"y0.node", "y2.node"}
    inputs, wanted = golden(tmp_path)
    session = onnxruntime.InferenceSession(str(found.model), providers=["CPUExecutionProvider"])
    assert snr(session.run(None, inputs)[0], wanted) > 20


def test_a_node_beyond_fp16_stays_in_fp32_beside_one_that_is_not(tmp_path: Path) -> None:
    found = cured(tmp_path, "int8", 1, 1000, 1e7, 1)
    assert (found.remedy.outcome, found.remedy.wide) == ("Cured", {"y1.node": "fp16", "y2.node": "fp32"})
    assert "2 of 4 nodes must run in FP16, 1 of them in FP32: y1.node, y2.node" in found.remedy.message
    proto = onnx.load(str(found.model))
    onnx.checker.check_model(proto, full_check=True)
    assert kinds_read(proto)["y2.node"] == TensorProto.FLOAT
    inputs, wanted = golden(tmp_path)
    assert snr(computed(proto, inputs)["y"], wanted) > 20


def test_fp32_alone_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    assert cured(tmp_path, "int8", 1, 1000, 1, to=("fp32",)).remedy.wide == {"y1.node": "fp32"}


def test_where_no_product_is_left_in_8_bits_all_of_it_is_in_fp16(tmp_path: Path) -> None:
    found = cured(tmp_path, "int8", 1000, limit=40)
    assert found.remedy.wide == {"y0.node": "fp16"}
    proto = onnx.load(str(found.model))
    assert "QuantizeLinear" not in {each.op_type for each in proto.graph.node}
    assert kinds_read(proto) == {"y0.node": TensorProto.FLOAT16}


class Coarse(Engines):
    """Right where its rule says so and nothing is held in BF16, of which its emulation knows nothing."""

    def build(self, model: LoadedModel, order: BuildOrder, *others: Any, **more: Any) -> Built:
        self.kinds = {*order.held.values()}
        return super().build(model, order, *others, **more)


def test_an_engine_that_fails_in_the_narrower_format_is_tried_in_fp32_before_more_is_widened(tmp_path: Path) -> None:
    engine = Coarse(lambda wide: overflowing(1) <= wide and "bf16" not in engine.kinds)
    staged(tmp_path, transformer(loud=(1,), blocks=4), sentences())
    found = repaired(tmp_path, engine=engine, candidates=[ENGINE], remedies={"precision": {"rewrite": False}})
    assert (found.remedy.outcome, found.remedy.wide) == ("Cured", dict.fromkeys(overflowing(1), "fp32"))
    assert found.entry.builds == 3, "in BF16, in FP32, and the audit"
