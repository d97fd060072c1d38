"""What the engine inspector says, in the words of TensorRT 10 and 11."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from assay_runner.backends.tensorrt.inspector import engine_layers
from assay_runner.evidence.engine import EngineFacts, EngineLayer, element_type

RECORDED = Path(__file__).parent / "recorded"

TEN = {
    "Layers": [
        {
            "Name": "conv1 + relu1",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "x", "Dimensions": [8, 3, 32, 32], "Format/Datatype": "Row major linear FP16 format"}],
            "Outputs": [{"Name": "r", "Dimensions": [8, 64, 32, 32], "Format/Datatype": "Channel major FP16 format"}],
            "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x64x64",
            "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]",
        },
        {
            "Name": "{ForeignNode[a...b]}",
            "LayerType": "Myelin",
            "Inputs": [{"Name": "r", "Dimensions": [8], "Format/Datatype": "Row major linear FP32"}],
            "Outputs": [],
        },
    ],
    "Bindings": ["x", "r"],
}


def test_layers_are_read() -> None:
    first, second = engine_layers(json.dumps(TEN), {"conv1", "relu1", "a", "b"})
    assert (first.type, first.precision, first.nodes) == ("CaskConvolution", "FP16", ("conv1", "relu1"))
    assert first.inputs[0].shape == (8, 3, 32, 32)
    assert first.inputs[0].format == "Row major linear FP16 format"
    assert (second.precision, second.nodes) == ("FP32", ("a", "b"))


def test_an_int8_convolution_that_gives_out_floats_ran_in_int8() -> None:
    layer = {
        "Name": "conv",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "x", "Format": "Linear", "Datatype": "Int8"}],
        "Outputs": [{"Name": "y", "Format": "Linear", "Datatype": "Float"}],
    }
    [read] = engine_layers(json.dumps({"Layers": [layer]}))
    assert (read.precision, read.inputs[0].format) == ("INT8", "Int8 Linear")


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}"])
def test_nothing_is_no_layers(text: str) -> None:
    assert engine_layers(text) == ()


def test_names_alone_are_names() -> None:
    [layer] = engine_layers(json.dumps({"Layers": ["conv1 + relu1"]}), {"conv1", "relu1"})
    assert (layer.name, layer.precision, layer.nodes) == ("conv1 + relu1", "", ("conv1", "relu1"))


@pytest.mark.parametrize(
    ("words", "kind"),
    [("Two wide channel vectorized row major BF16 format", "BF16"), ("Half", "FP16"), ("Float", "FP32"), ("Int32", "")],
)
def test_formats_name_types(words: str, kind: str) -> None:
    assert element_type(words) == kind


def recorded(name: str) -> tuple[EngineLayer, ...]:
    return engine_layers((RECORDED / f"engine-{name}.json").read_text())


# Layers that compute, in the order they run: how the name begins, the precision that its kernel multiplies in.
CNN = "conv1 FP16, conv2 FP16, pool2 FP16, conv3 FP16, gap FP16, fc FP16"
CNN_QAT = "conv1 INT8, conv2 INT8, pool2 INT8, conv3 INT8, gap FP32, fc INT8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("digits-cnn-fp16", CNN), ("digits-cnn-qat-int8-fp16", CNN_QAT)],
)
def test_every_layer_ran_in_what_its_kernel_says(name: str, expected: str) -> None:
    found = [(layer.nodes[0], layer.precision) for layer in recorded(name) if layer.computes]
    assert [f"{node} {precision}" for node, precision in found] == expected.split(", ")


@pytest.mark.parametrize(
    ("name", "achieved"),
    [
        ("digits-cnn-fp16", {"FP16": 6}),
        ("digits-cnn-qat-int8-fp16", {"INT8": 5, "FP32": 1}),
        ("digits-vit-fp16", {"FP16": 21}),
        # In INT8 the ten products and both attentions; not the normalisations, nor what quantises for attention.
        ("digits-vit-qat-int8-fp16", {"INT8": 12, "FP16": 8}),
        ("resnet50-fp16", {"FP16": 68}),
    ],
)
def test_what_an_engine_ran_in_is_known_of_every_layer_that_computes(name: str, achieved: dict[str, int]) -> None:
    layers = recorded(name)
    assert EngineFacts(layers).achieved() == achieved
    for layer in layers:
        if layer.computes:
            assert layer.nodes, layer.name
            assert not layer.type.startswith(("Reformat", "NoOp", "shape_call"))


@pytest.mark.parametrize(
    ("start", "precision", "nodes"),
    [
        ("_gemm_mha_v2_myl3_4", "INT8", 10),
        ("block0_attn_qkv", "INT8", 4),
        ("patch_embed.weight__quantised", "INT8", 3),
        ("__myl_ResTraAddCasMeaSubMulMeaAddSqrDivMulCasMulAdd", "FP16", 5),
        ("__myl_AddCasMeaSubMulMea_", "FP16", 2),
    ],
)
def test_layers_that_mix_types_are_said_as_their_operands(start: str, precision: str, nodes: int) -> None:
    [found, *_] = [layer for layer in recorded("digits-vit-qat-int8-fp16") if layer.name.startswith(start)]
    assert (found.precision, len(found.nodes)) == (precision, nodes)


def test_every_node_of_the_model_is_found_once_fused() -> None:
    """Both separators of the metadata occur: a record separator within a layer, a unit separator within Myelin's."""
    counts = Counter(node for layer in recorded("digits-vit-fp16") for node in layer.nodes)
    assert {"block0.attn.softmax", "block0.norm1", "patch_embed.transpose", "head"} <= counts.keys()
    assert not any({"\x1e", "\x1f", "["} & set(node) for node in counts)


def kernel(tactic: str, reads: list[str], makes: list[str], kind: str = "kgen") -> EngineLayer:
    def tensors(formats: list[str]) -> list[dict[str, object]]:
        return [{"Name": "t", "Dimensions": [8, 16], "Format/Datatype": entry} for entry in formats]

    layer = {"Name": "l", "LayerType": kind, "TacticName": tactic, "Inputs": tensors(reads), "Outputs": tensors(makes)}
    [found] = engine_layers(json.dumps({"Layers": [layer]}))
    return found


@pytest.mark.parametrize(
    ("tactic", "reads", "makes", "computes"),
    [
        ("__myl_Mov_0x7084", [], ["Int32"], False),
        ("__myl_MulAdd_0x7084", ["Int64", "Int64"], ["Int64"], False),
        ("__myl_CasSli_0xea57", ["Half"], ["Float"], False),
        ("__myl_ResTraMov_0xea57", ["Half"], ["Half"], False),
        ("__myl_MulMinMaxRouCas_0x5257", ["Float"], ["Int8"], False),
        ("__myl_MulMinMaxRouCasEtc_0x5257", ["Float"], ["Int8"], True),
        ("__myl_AddMulMinMaxRouCas_0x5257", ["Float"], ["Int8"], True),
        ("__myl_Max_0x5257", ["Int8"], ["Int8"], True),
        ("__myl_MinMax_0x5257", ["Float"], ["Float"], True),
        ("__myl_MovSubExpDivMulSumMax_0xa411", ["Half", "Int32", "Int64"], ["Half", "Float"], True),
        ("", [], [], True),
    ],
)
def test_what_only_moves_or_converts_computes_nothing(
    tactic: str, reads: list[str], makes: list[str], computes: bool
) -> None:
    assert kernel(tactic, reads, makes).computes is computes


@pytest.mark.parametrize(
    ("tactic", "reads", "makes", "precision"),
    [
        ("sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x128x16", ["Float"], ["Float"], "TF32"),
        ("sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize32x32x8", ["Float"], ["Float"], "FP32"),
        ("sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n", ["BFloat16"], ["BFloat16"], "BF16"),
        ("sm89_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n", ["FP8"], ["BFloat16"], "FP8"),
        ("sm90_xmma_fprop_implicit_gemm_i8f16_i8i32_f32_nchw", ["Int8"], ["Half"], "INT8"),
        ("sm80_xmma_fprop_avdt_dense_chw_int8int8_tilesize16x16", ["Int8"], ["Int8"], "INT8"),
        ("sm90_xmma_fprop_image_first_layer_f16f16_f32_f16_nhwckrsc_nhwc", ["Half"], ["Half"], "FP16"),
        ("sm50_xmma_pooling_fw_4d_FP16FP32NHWC_Average", ["Half"], ["Half"], "FP16"),
        ("__myl_CasMulAddErf_0x99", ["Int8", "Half"], ["Half"], "FP16"),
        ("__myl_CasMulAddErf_0x99", ["Int8"], ["Float"], "FP32"),
        ("__myl_Max_0x99", ["Int8"], ["Int8"], "INT8"),
        ("__myl_CasMulAddCas_0x99", ["Float", "Float"], ["Float"], ""),
        ("__myl_CasMulAdd_0x99", ["Float", "Int32"], ["Float"], "FP32"),
        ("__myl_MeaSubCas_0x99", ["Float"], ["Half"], "FP32"),
    ],
)
def test_a_kernel_runs_in_what_it_multiplies(tactic: str, reads: list[str], makes: list[str], precision: str) -> None:
    assert kernel(tactic, reads, makes, "gemm" if tactic.startswith("sm") else "kgen").precision == precision
