"""Operators that should not run in 8 bits, found in graphs and engines that run them so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.report import Verdict
from assay_runner.checks.layer_constraints import LayerConstraints
from assay_runner.evidence import EngineLayer, EngineTensor
from assay_runner.evidence.eight_bit import EightBitReads
from assay_runner.graphs.eight_bit_reads import engine_reads, graph_reads
from assay_runner.graphs.taps import sites
from tests.evidence import proof
from tests.models import Samples, constant, layer_norm, mlp, model, node, random, value
from tests.runner.numerics.candidates import candidate, int8, measured


def quantised(proto: onnx.ModelProto, tensor: str, users: tuple[str, ...], moved: bool = False) -> onnx.ModelProto:
    """The model with a Q/DQ pair in front of the nodes that read a tensor; `moved`: with an Identity behind it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    end = f"{tensor}_moved" if moved else f"{tensor}_dq"
    for user in copy.graph.node:
        if user.name in users:
            user.input[list(user.input).index(tensor)] = end
    pair = [
        helper.make_node("QuantizeLinear", [tensor, "scale", "zero"], [f"{tensor}_q"], name="q"),
        helper.make_node("DequantizeLinear", [f"{tensor}_q", "scale", "zero"], [f"{tensor}_dq"], name="dq"),
        *([helper.make_node("Identity", [f"{tensor}_dq"], [end])] if moved else []),
    ]
    place = next((i + 1 for i, n in enumerate(copy.graph.node) if tensor in n.output), 0)
    nodes = [*copy.graph.node[:place], *pair, *copy.graph.node[place:]]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend([constant("scale", np.float32(0.05)), constant("zero", np.int8(0))])
    return copy


def softmaxed() -> onnx.ModelProto:
    return model(
        [node("MatMul", "x w", "scores"), node("Softmax", "scores", "y", axis=-1)],
        [value("x", "N", 8)],
        [value("y", "N", 8)],
        [constant("w", random(8, 8))],
    )


@pytest.mark.parametrize("moved", [False, True])
def test_softmax_behind_a_pair_is_named_with_its_tensor(moved: bool, tmp_path: Path) -> None:
    own = quantised(softmaxed(), "scores", ("y.node",), moved)
    data = Samples({"x": random(9, 8)})
    [found] = measured(
        softmaxed(), candidate("int8", model={"uri": "file:///q.onnx"}), data, tmp_path, LayerConstraints(), own=own
    ).findings
    assert (found.verdict, found.node, found.value) == (Verdict.FAILED, "y.node", 1)
    assert (
        "node 'y.node' (Softmax) reads tensor 'scores' in INT8, and the worst sample of output 'y' has" in found.message
    )
    assert "dB; take that Q/DQ pair out" in found.message


@pytest.mark.parametrize(
    ("tensor", "users", "named"),
    [
        ("x", ("mean.node", "centred.node"), {"mean.node", "centred.node"}),
        ("centred", ("squared.node",), {"squared.node"}),
        ("squared", ("variance.node",), {"variance.node"}),
        ("centred", ("y.node",), {"y.node"}),
    ],
)
def test_a_layer_norm_spelt_out_is_known(tensor: str, users: tuple[str, ...], named: set[str]) -> None:
    reads = graph_reads(quantised(layer_norm(), tensor, users))
    assert {read.site.node for read in reads} == named
    assert {(read.operator, read.tensor) for read in reads} == {("LayerNormalization", tensor)}
    evidence = proof(EightBitReads(reads), samples=3, precision="int8")
    [found] = LayerConstraints(keep_wide=("LayerNormalization",)).judge(evidence)
    assert found.verdict is Verdict.FAILED
    assert "part of a LayerNormalization" in found.message


def test_a_mean_that_is_only_pooled_is_none() -> None:
    pooled = model(
        [node("ReduceMean", "x", "mean", axes=[-1]), node("Sub", "x mean", "y")],
        [value("x", "N", 16)],
        [value("y", "N", 16)],
    )
    reads = graph_reads(quantised(pooled, "x", ("mean.node",)))
    assert [(read.site.op, read.operator) for read in reads] == [("ReduceMean", "ReduceMean")]


def test_pairs_in_front_of_products_pass(tmp_path: Path) -> None:
    data = Samples({"x": random(9, 8)})
    [found] = measured(mlp(), int8(), data, tmp_path, LayerConstraints(), calibration=data).findings
    assert found.verdict is Verdict.PASSED
    assert "none of the 2 nodes that read 8 bits" in found.message


def test_without_pairs_nothing_reads_8_bits(tmp_path: Path) -> None:
    [found] = measured(mlp(), "fp16", Samples({"x": random(9, 8)}), tmp_path, LayerConstraints()).findings
    assert (found.verdict, found.message) == (Verdict.PASSED, "no node reads 8 bits in the graph")


@pytest.mark.parametrize(
    ("wide", "verdict", "said"),
    [
        ("softmax", Verdict.FAILED, "(Softmax) reads tensor 'scores' in INT8"),
        ("Soft", Verdict.PASSED, "; the graph has no operator 'Soft', so look how keepWide spells it"),
        ("Gelu", Verdict.PASSED, "is of an operator to keep wide"),
    ],
)
def test_an_operator_spelt_wrong_is_found_or_told(wide: str, verdict: Verdict, said: str) -> None:
    reads = graph_reads(quantised(softmaxed(), "scores", ("y.node",)))
    evidence = proof(EightBitReads(reads, operators=frozenset({"MatMul", "Softmax"})), samples=3, precision="int8")
    [found] = LayerConstraints(keep_wide=(wide,)).judge(evidence)
    assert found.verdict is verdict
    assert said in found.message
    assert ("look how" in found.message) is (wide == "Soft")


@pytest.mark.parametrize(
    ("kind", "format_", "nodes", "found"),
    [
        ("kgen", "Int8 NC/32HW32", ("y.node",), ["y.node"]),
        ("kgen", "FP8 row major", ("y.node",), ["y.node"]),
        ("kgen", "FP16 row major", ("y.node",), []),
        ("gemm", "INT8", ("scores.node", "y.node"), []),
        ("Reformat", "INT8", ("y.node",), []),
        ("kgen", "INT8", ("nobody",), []),
    ],
)
def test_layers_of_an_engine(kind: str, format_: str, nodes: tuple[str, ...], found: list[str]) -> None:
    layer = EngineLayer("l", kind, "INT8", (EngineTensor("scores", format_),), nodes=nodes)
    reads = engine_reads([layer], sites(softmaxed()))
    assert [read.site.node for read in reads] == found
    evidence = proof(EightBitReads(reads, engine=True), samples=3, precision="int8")
    [judged] = LayerConstraints().judge(evidence)
    assert judged.verdict is (Verdict.FAILED if found else Verdict.PASSED)


def test_int8_of_which_nothing_is_seen_is_inconclusive() -> None:
    evidence = proof(EightBitReads(()), samples=3, precision="int8")
    [found] = LayerConstraints().judge(evidence)
    assert found.verdict is Verdict.INCONCLUSIVE
