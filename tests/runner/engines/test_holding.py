"""A node held to a precision is held with all the layers that TensorRT's parser makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay_runner.backends.tensorrt.hold_layers import NetworkLayer, owners, said_node, slips
from assay_runner.evidence.engine import EngineLayer, EngineTensor


def layer(name: str, kind: str, inputs: str, output: str, says: str = "", makes: str = "FLOAT") -> NetworkLayer:
    return NetworkLayer(name, kind, tuple(inputs.split()), (output,), says, (makes,))


# As TensorRT 10.6.0 parses relu -> Flatten -> Gemm with a bias; see recorded/network-digits-cnn.json.
GEMM = (
    layer("relu", "ACTIVATION", "gap.out", "relu.out", "relu"),
    layer("ONNXTRT_ShapeTensorFromDims", "CONSTANT", "", "dims", makes="INT64"),
    layer("ONNXTRT_ShapeTensor", "SHAPE", "relu.out", "ONNXTRT_ShapeTensor_output", makes="INT64"),
    layer("ONNXTRT_castHelper", "CAST", "ONNXTRT_ShapeTensor_output", "ONNXTRT_castHelper_output", makes="INT64"),
    layer("ONNXTRT_ShapeGather", "GATHER", "ONNXTRT_castHelper_output dims", "gathered", makes="INT64"),
    layer("flatten", "SHUFFLE", "relu.out gathered", "flatten.out", "flatten"),
    layer("fc.weight", "CONSTANT", "", "fc.weight_output"),
    layer("fc", "MATRIX_MULTIPLY", "flatten.out fc.weight_output", "fc_output", "fc"),
    layer("fc.bias", "CONSTANT", "", "fc.bias_output"),
    layer("ONNXTRT_Broadcast", "SHUFFLE", "fc.bias_output", "ONNXTRT_Broadcast_output"),
    layer("(Unnamed Layer* 22) [ElementWise]", "ELEMENTWISE", "fc_output ONNXTRT_Broadcast_output", "logits"),
)
MADE = {"relu.out": "relu", "flatten.out": "flatten", "logits": "fc"}

# The Softmax of an attention: the layer that bears the node's name makes a tensor that does not, and comes before it.
SOFTMAX = (
    layer("scale", "ELEMENTWISE", "x", "scaled", "scale"),
    layer("softmax", "SOFTMAX", "scaled", "softmax_output", "softmax"),
    layer("ONNXTRT_ShapeShuffle_30", "SHUFFLE", "softmax_output lengths", "probabilities"),
    layer("ONNXTRT_ShapeTensor_28", "SHAPE", "scaled", "lengths", makes="INT64"),
)

# Without metadata, and a node that leaves no layer of its own: its tensor takes the name of what it passes on.
BARE = (
    layer("(Unnamed Layer* 0) [Convolution]", "CONVOLUTION", "image", "raw"),
    layer("(Unnamed Layer* 1) [Scale]", "SCALE", "raw", "y"),
    layer("(Unnamed Layer* 2) [Cast]", "CAST", "y", "halves", makes="HALF"),
    layer("(Unnamed Layer* 3) [Activation]", "ACTIVATION", "halves", "z"),
)


@pytest.mark.parametrize(
    ("network", "made", "expected"),
    [
        (GEMM, MADE, {0: "relu", 5: "flatten", 6: "fc", 7: "fc", 8: "fc", 9: "fc", 10: "fc"}),
        (SOFTMAX, {"scaled": "scale", "probabilities": "softmax"}, {0: "scale", 1: "softmax", 2: "softmax"}),
        (BARE, {"y": "dropout", "z": "relu"}, {0: "dropout", 1: "dropout", 2: "relu", 3: "relu"}),
        (BARE, {}, {}),
    ],
    ids=["gemm", "softmax", "bare", "nothing named"],
)
def test_a_node_is_all_layers_up_to_the_next_tensor_of_the_model(
    network: tuple[NetworkLayer, ...], made: dict[str, str], expected: dict[int, str]
) -> None:
    assert owners(network, made) == expected


def test_no_float_layer_of_a_parsed_network_that_makes_a_tensor_of_the_model_is_left_out() -> None:
    recorded = json.loads((Path(__file__).parent / "recorded" / "network-digits-cnn.json").read_text())
    network = [
        NetworkLayer(name, kind.partition(".")[2], (), tuple(made), said_node(metadata))
        for name, kind, _, metadata, made in recorded
    ]
    tensors = {f"{node}.out": node for node in ("conv1", "bn1", "relu1", "conv3", "gap", "flatten")} | {"logits": "fc"}
    found = owners(network, tensors)
    assert {network[index].name: node for index, node in found.items() if node == "fc"} == {
        "fc": "fc",
        "(Unnamed Layer* 22) [ElementWise]": "fc",
    }
    assert set(found.values()) == set(tensors.values())


def test_a_layer_that_says_its_node_is_no_other_nodes() -> None:
    """A Dropout that is gone leaves its tensor's name at the layer that it was fed by."""
    network = (layer("conv", "CONVOLUTION", "image", "dropped", "conv"),)
    assert owners(network, {"conv.out": "conv", "dropped": "dropout"}) == {0: "conv"}


@pytest.mark.parametrize(
    ("kind", "makes", "outputs"),
    [
        ("TOPK", ("FLOAT", "INT32"), (0,)),
        ("SLICE", ("HALF", "", "BF16"), (0, 2)),
        ("CAST", ("HALF",), ()),
        ("CAST", ("FLOAT",), (0,)),
        ("CONSTANT", ("HALF",), ()),
        ("CONSTANT", ("FLOAT",), (0,)),
        ("ASSERTION", (), ()),
    ],
)
def test_only_floating_point_is_set_and_a_cast_or_constant_keeps_its_type(
    kind: str, makes: tuple[str, ...], outputs: tuple[int, ...]
) -> None:
    found = NetworkLayer("l", kind, makes=makes)
    assert found.held("FLOAT") == outputs
    assert found.holdable is bool(makes)


def test_a_loop_ends() -> None:
    network = (layer("a", "RECURRENCE", "start fed", "state"), layer("b", "ELEMENTWISE", "state", "fed"))
    assert owners((*network, layer("c", "LOOP_OUTPUT", "fed", "y")), {"y": "loop"}) == {0: "loop", 1: "loop", 2: "loop"}


@pytest.mark.parametrize(
    ("metadata", "node"),
    [("[ONNX Layer: a/b]", "a/b"), ("[ONNX Layer: a]\x1e[ONNX Layer: b]", "a"), ("", ""), ("other", "")],
)
def test_metadata_name_the_node(metadata: str, node: str) -> None:
    assert said_node(metadata) == node


def engine_layer(name: str, kind: str, precision: str, reads: str, makes: str, *nodes: str) -> EngineLayer:
    inputs, outputs = ((EngineTensor(text.partition(":")[0], text.partition(":")[2]),) for text in (reads, makes))
    return EngineLayer(name, kind, precision, inputs, outputs, name, nodes)


# As TensorRT 10.6.0 builds pooling -> Flatten -> MatMul, weak FP16, every node held to FP32.
POOL = engine_layer("p", "CaskPooling", "FP32", "r:Float", "p:Float", "p.node")
REFORMAT = engine_layer("Reformatting CopyNode for Input Tensor 0", "Reformat", "", "p:Float", "q:Half")
KERNEL = engine_layer("__myl_ResCas_myl3_1", "kgen", "", "q:Half", "wide:Float", "f.node", "logits.node")
GEMM_FP32 = engine_layer("gemm", "gemm", "FP32", "wide:Float", "logits:Float", "logits.node")
HALF = engine_layer("gemm", "gemm", "FP16", "q:Half", "l:Half", "logits.node")


BOTH = engine_layer("__myl_AddCasMulSqr_myl0_1", "kgen", "FP16", "x:Half", "y:Float", "a", "b")
FUSED = engine_layer("a + b", "CaskConvolution", "FP16", "x:Half", "y:Half", "a", "b")
ENGINE = (POOL, REFORMAT, KERNEL, GEMM_FP32)
ROUNDED = "is held to FP32, and reads its input rounded to FP16"


@pytest.mark.parametrize(
    ("layers", "held", "told"),
    [
        (
            ENGINE,
            dict.fromkeys(["p.node", "f.node", "logits.node"], "fp32"),
            [f"'f.node' {ROUNDED}", f"'logits.node' {ROUNDED}"],
        ),
        (ENGINE, {"logits.node": "fp16"}, ["'logits.node' is held to FP16, and its layer runs in FP32"]),
        (ENGINE, {"p.node": "fp32"}, []),
        (
            (POOL, REFORMAT, HALF),
            {"logits.node": "fp32"},
            ["'logits.node' is held to FP32, and its layer runs in FP16"],
        ),
        ((POOL, REFORMAT, HALF), {"logits.node": "fp16"}, []),
        # The reformat may well feed the other node of the kernel.
        (ENGINE, {"f.node": "fp16", "logits.node": "fp32"}, []),
        (ENGINE, {"logits.node": "fp32"}, []),
        # One kernel computes one of its nodes as it is held, and casts for the other.
        ((BOTH,), {"a": "fp16", "b": "fp32"}, []),
        ((BOTH,), {"b": "fp32"}, []),
        (
            (BOTH,),
            {"a": "fp32", "b": "fp32"},
            ["'a' is held to FP32, and its layer runs in FP16", "'b' is held to FP32"],
        ),
        ((FUSED,), {"a": "fp32"}, ["'a' is held to FP32, and its layer runs in FP16"]),
        (ENGINE, {}, []),
    ],
)
def test_what_an_engine_does_not_keep_to_is_told(
    layers: tuple[EngineLayer, ...], held: dict[str, str], told: list[str]
) -> None:
    found = slips(layers, held)
    assert len(found) == len(told)
    assert all(part in sentence for part, sentence in zip(told, found, strict=True))


def ran_in(precision: str) -> tuple[EngineLayer, ...]:
    return (engine_layer("a", "CaskConvolution", precision, "x:Float", "y:Float", "a"),)


@pytest.mark.parametrize(
    ("asked", "wide"),
    [("fp32", {"FP32"}), ("bf16", {"BF16", "TF32", "FP32"}), ("fp16", {"FP16", "TF32", "FP32"})],
)
def test_what_loses_nothing_of_a_precision_is_as_wide_as_it(asked: str, wide: set[str]) -> None:
    for ran in ("FP32", "TF32", "BF16", "FP16", "INT8", "FP8"):
        assert (slips(ran_in(ran), {"a": asked}, wider=True) == ()) is (ran in wide), ran
        # Whoever asks for a precision is told of any other.
        assert (slips(ran_in(ran), {"a": asked}) == ()) is (ran == asked.upper()), ran
