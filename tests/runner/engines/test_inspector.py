"""What the engine inspector says, in the words of TensorRT 10 and 11."""

from __future__ import annotations

import json

import pytest

from assay_runner.backends.tensorrt.inspector import element_type, engine_layers

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
