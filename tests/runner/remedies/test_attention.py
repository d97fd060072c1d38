"""Attention whose scores FP16 cannot hold: queries, keys and values in a wider type, and nothing around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay_runner.graphs.attentions import attentions
from assay_runner.graphs.strong import wide_nodes
from tests.models import constant, model, node, random, value
from tests.rigged import Engines
from tests.runner.remedies.repairs import ENGINE, INT8, Repaired, repaired, staged
from tests.runner.remedies.test_precision import golden, snr
from tests.runner.remedies.transformers import WIDTH, sentences, transformer
from tests.typed_graphs import computed

GAIN = 300.0


def core(*blocks: int) -> frozenset[str]:
    """Nodes between queries, keys and values, and what attention makes of them."""
    return frozenset(f"b{b}.{made}.node" for b in blocks for made in ("products", "scores", "shares", "mixed"))


def shouting(*blocks: int, of: int = 4, loud: tuple[int, ...] = ()) -> onnx.ModelProto:
    """A transformer whose products of queries and keys are beyond FP16 in these blocks, and made small behind."""
    proto = transformer(loud, blocks=of)
    for block in blocks:
        for tensor in proto.graph.initializer:
            if tensor.name in (f"b{block}.wq", f"b{block}.wk"):
                array = onnx.numpy_helper.to_array(tensor) * GAIN
                tensor.CopyFrom(constant(tensor.name, array.astype("float32")))
        (scale,) = (n for n in proto.graph.node if f"b{block}.scores" in n.output)
        scale.input[1] = f"b{block}.root"
        proto.graph.initializer.append(constant(f"b{block}.root", np.float32(WIDTH**-0.5 / GAIN**2)))
    return proto


def engine(folder: Path, proto: onnx.ModelProto, right: frozenset[str], builds: int = 3) -> Repaired:
    """Repaired by engines that are right where these nodes are wide, and fast enough that few can be built."""
    staged(folder, proto, sentences())
    remedies = {"precision": {"to": ["fp32"]}, "budget": {"builds": builds}}
    return repaired(folder, engine=Engines(lambda wide: right <= wide), candidates=[ENGINE], remedies=remedies)


def test_scores_beyond_the_format_are_told_of_as_attention_that_may_be_upcast(tmp_path: Path) -> None:
    staged(tmp_path, shouting(1, 3), sentences())
    found = repaired(tmp_path, remedies={"precision": {"to": ["fp32"]}})
    assert found.remedy.outcome == "Cured"
    assert set(found.remedy.wide) <= core(1, 3), "few single nodes are fewer casts"
    said = "it passes with Q, K and V of 2 of 4 attentions in FP32: b1.shares.node, b3.shares.node too"
    assert said in found.remedy.message


def test_where_no_engine_of_fewer_nodes_passes_the_upcast_attention_is_the_cure(tmp_path: Path) -> None:
    found = engine(tmp_path, shouting(1), core(1))
    assert (found.remedy.outcome, frozenset(found.remedy.wide)) == ("Cured", core(1))
    words = "with Q, K and V of 1 of 4 attentions in FP32: b1.shares.node all else can stay FP16"
    assert found.remedy.message.startswith(words)
    proto = onnx.load(str(found.model))
    onnx.checker.check_model(proto, full_check=True)
    assert {n.name for n in proto.graph.node if n.op_type != "Cast"} & wide_nodes(proto) == core(1)
    inputs, wanted = golden(tmp_path)
    assert snr(computed(proto, inputs)["y"], wanted) > 30


def test_with_layer_norms_in_one_operator_where_it_takes_both(tmp_path: Path) -> None:
    found = engine(tmp_path, shouting(1, loud=(2,)), core(1))
    assert (found.remedy.outcome, frozenset(found.remedy.wide)) == ("Cured", core(1))
    assert "LayerNorms in one operator each, and Q, K and V of 1 of 4 attentions in FP32" in found.remedy.message
    written = onnx.load(str(found.model))
    assert "LayerNormalization" in {n.op_type for n in written.graph.node}
    inputs, wanted = golden(tmp_path)
    assert snr(computed(written, inputs)["y"], wanted) > 30


def test_attention_that_is_not_at_fault_costs_no_trial(tmp_path: Path) -> None:
    staged(tmp_path, transformer(loud=(1,), blocks=2), sentences())
    found = repaired(tmp_path, remedies={"precision": {"to": ["fp32"], "rewrite": False}})
    assert not any("Q, K and V" in trial.words for trial in found.trials)


def test_products_of_attention_are_kept_out_of_8_bits_together(tmp_path: Path) -> None:
    """A key with one channel far from all others: its product with queries takes all of the range."""
    proto = transformer((), blocks=2)
    graph = proto.graph
    far = [float(1000 * (place == 2)) for place in range(WIDTH)]
    (keys,) = (n for n in graph.node if "b1.k" in n.output)
    keys.output[0] = "b1.k0"
    added = helper.make_node("Add", ["b1.k0", "far"], ["b1.k"], name="b1.far.node")
    # The scores of all words are moved by as much, which a Softmax does not see.
    graph.node.insert(list(graph.node).index(keys) + 1, added)
    graph.initializer.append(constant("far", np.array(far, np.float32)))
    staged(tmp_path, proto, sentences(), sentences(seed=9))
    found = repaired(tmp_path, candidates=[INT8], checks=[{"outputDrift": {"snr": 25}}], remedies={"precision": {}})
    assert found.remedy.outcome == "Cured", found.remedy.message
    assert "b1.products.node" in found.remedy.wide


MASKED = [
    node("Mul", "m two", "mask"), node("MatMul", "q kt", "s"), node("Div", "s root", "t"), node("Add", "t mask", "u"),
    node("Reshape", "u shape", "r"), node("Softmax", "r", "p", axis=-1), node("Dropout", "p", "d"),
    node("MatMul", "d v", "o"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        (MASKED, {"s.node", "t.node", "u.node", "r.node", "p.node", "d.node", "o.node"}),
        ([node("MatMul", "q w", "s"), node("Softmax", "s", "p"), node("MatMul", "p v", "o")], None),
        ([node("MatMul", "q kt", "s"), node("Softmax", "s", "p"), node("MatMul", "p w", "o")], None),
        ([node("MatMul", "q kt", "s"), node("Softmax", "s", "o")], None),
        ([node("Softmax", "q", "p"), node("MatMul", "p v", "o")], None),
    ],
)
def test_what_attention_is_and_what_is_none(nodes: list[onnx.NodeProto], wanted: set[str] | None) -> None:
    weights = [constant(name, random(4, 4)) for name in ("w", "root", "two")]
    weights.append(helper.make_tensor("shape", TensorProto.INT64, [2], [4, 4]))
    proto = model(nodes, [value(name, 4, 4) for name in ("q", "kt", "v", "m")], [value("o", 4, 4)], weights)
    assert [set(found.nodes) for found in attentions(proto)] == ([wanted] if wanted else [])
