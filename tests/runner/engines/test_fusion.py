"""What engines recorded on a GPU keep between their layers, told by their inspector alone."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from assay_runner.backends.tensorrt.fusion import Fusion, fusion
from assay_runner.backends.tensorrt.inspector import engine_layers
from assay_runner.evidence.engine import EngineLayer
from assay_runner.graphs.documents import load_graph
from tests.bench.networks import resnet50
from tests.models import branching, constant, model, node, random, value

RECORDED = Path(__file__).with_name("recorded")
DIGITS = Path("examples/digits")


def recorded(engine: str, graph: onnx.ModelProto) -> Fusion:
    layers = engine_layers((RECORDED / f"{engine}.json").read_text(), [each.name for each in graph.graph.node])
    return fusion(graph, layers)


def test_a_convolution_keeps_what_its_activation_gives() -> None:
    found = recorded("engine-digits-cnn-fp16", load_graph(DIGITS / "digits-cnn.onnx"))
    wanted = ("relu1.out", "relu2.out", "pool2.out", "relu3.out", "gap.out", "flatten.out", "logits")
    assert found.kept == wanted
    assert found.inside["relu1.out"] == ("conv1.out", "bn1.out")
    assert found.layers["relu1.out"] == ("conv1 + bn1 + relu1",)
    assert found.inside["pool2.out"] == ()


def test_attention_in_one_kernel_keeps_its_result_alone() -> None:
    found = recorded("engine-digits-vit-fp16", load_graph(DIGITS / "digits-vit.onnx"))
    assert "block0.attn.context.out" in found.kept
    inside = {f"block0.attn.{name}.out" for name in ("scores", "scale", "softmax")}
    assert inside <= set(found.inside["block0.attn.context.out"])
    assert not inside & set(found.kept)
    # Both ends of a residual are read elsewhere, though one kernel makes them.
    assert {"block0.add1.out", "block0.norm2.out"} <= set(found.kept)


@pytest.mark.parametrize("name", ["digits-cnn-qat", "digits-vit-qat"])
def test_quantised_tensors_are_looked_through(name: str) -> None:
    found = recorded(f"engine-{name}-int8-fp16", load_graph(DIGITS / f"{name}.onnx"))
    assert not [kept for kept in found.kept if "quantised" in kept]
    assert not [tensor for each in found.inside.values() for tensor in each if "quantised" in tensor]
    first = "relu1.out" if "cnn" in name else "patch_embed.out"
    assert found.kept[0] == first


def test_a_third_of_a_large_network_is_kept() -> None:
    graph = resnet50(224)
    found = recorded("engine-resnet50-fp16", graph)
    total = sum(len(each.output) for each in graph.graph.node)
    assert (len(found.kept), total) == (69, 207)
    assert found.inside["relu17"] == ("conv12", "batchnormalization13", "mul15", "add16")
    told = {tensor for each in found.inside.values() for tensor in each} | set(found.kept)
    assert total - len(told) <= 1  # a Flatten that moves nothing belongs to no layer


def two_products() -> onnx.ModelProto:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "y")]
    return model(nodes, [value("x", "N", 8)], [value("y", "N", 8)], [constant("w", random(8, 8))])


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        ([], ("a", "b", "y")),
        ([EngineLayer("one")], ("a", "b", "y")),
        ([EngineLayer("one", nodes=("a.node", "b.node")), EngineLayer("two", nodes=("y.node",))], ("b", "y")),
        ([EngineLayer("all", nodes=("a.node", "b.node", "y.node"))], ("y",)),
        ([EngineLayer("one", nodes=("a.node",)), EngineLayer("two", nodes=("y.node",))], ("a", "y")),
        (
            [
                EngineLayer("one", nodes=("a.node",)),
                EngineLayer("Reformatting CopyNode for Input Tensor 0 to a.node + b.node", nodes=("a.node", "b.node")),
                EngineLayer("two", nodes=("b.node", "y.node")),
            ],
            ("a", "y"),
        ),
    ],
    ids=["nothing told", "no nodes told", "two layers", "one layer", "a node in no layer", "a copy is no layer"],
)
def test_small_engines(layers: list[EngineLayer], kept: tuple[str, ...]) -> None:
    assert fusion(two_products(), layers).kept == kept


def test_what_is_in_no_layer_and_computes_is_not_taken_for_fused() -> None:
    layers = [
        EngineLayer("one", nodes=("h.node", "total.node", "positive.node")),
        EngineLayer("two", nodes=("z.node",)),
    ]
    assert fusion(branching(), layers).kept == ("h", "positive", "y", "z")
    weights = two_products()
    weights.graph.node.insert(0, node("Mul", "w w", "v"))
    weights.graph.node[3].input[1] = "v"
    told = [EngineLayer("one", nodes=("a.node", "b.node")), EngineLayer("two", nodes=("y.node",))]
    assert fusion(weights, told).kept == ("b", "y")


def test_nodes_of_one_name_are_not_taken_for_one_layer() -> None:
    graph = two_products()
    for each in graph.graph.node:
        each.name = "layer"
    told = [EngineLayer("one", nodes=("layer",)), EngineLayer("two", nodes=("layer",))]
    assert fusion(graph, told).kept == ("a", "b", "y")
    graph.graph.node[0].name = "other"
    assert fusion(graph, [EngineLayer("one", nodes=("other", "layer"))]).kept == ("a", "b", "y")


def test_a_nameless_node_is_known_by_its_output() -> None:
    graph = two_products()
    for each in graph.graph.node:
        each.name = ""
    layers = [EngineLayer("one", nodes=("node_of_a", "node_of_b")), EngineLayer("two", nodes=("node_of_y",))]
    assert fusion(graph, layers).kept == ("b", "y")
