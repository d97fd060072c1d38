"""What a candidate means to TensorRT's builder: decided without a device, so proven without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay_api.audit import ShapeProfile
from assay_api.model import parse
from assay_runner.backends.layer_precisions import held
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.tensorrt.calibrator import check_shapes
from assay_runner.backends.tensorrt.configuration import Offered, extents, quantity, settings
from assay_runner.backends.tensorrt.library import missing_library
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.tensors import Extents, TensorSpec
from tests.orders import ordered
from tests.runner.engines.versions import ELEVEN, TEN

CALIBRATION: dict[str, Any] = {"calibration": {"uri": "file:///c.npz"}}
IMAGE = TensorSpec("x", np.dtype(np.float32), ("n", 3, "h", "w"))
SEEN = {"x": Extents((1, 3, 32, 32), (8, 3, 32, 32), (8, 3, 64, 64))}


@pytest.mark.parametrize(
    ("asked", "offered", "typing", "flags", "tf32", "implicit"),
    [
        (ordered("fp32"), TEN, "weak", (), False, False),
        (ordered("tf32"), TEN, "weak", (), True, False),
        (ordered("fp16"), TEN, "weak", ("FP16",), False, False),
        (ordered("bf16", typing="strong"), TEN, "strong", (), False, False),
        (ordered("fp16"), ELEVEN, "strong", (), False, False),
        (ordered("int8", **CALIBRATION), TEN, "weak", ("INT8",), False, True),
        (ordered("int8", **CALIBRATION), ELEVEN, "strong", (), False, False),
        (ordered("int8", typing="strong", **CALIBRATION), TEN, "strong", (), False, False),
        (ordered("int8", calibration={"uri": "file:///c", "method": "mse"}), TEN, "weak", ("INT8",), False, False),
        (
            ordered("int8", calibration={"uri": "file:///c", "quantization": "explicit"}),
            TEN,
            "weak",
            ("INT8",),
            False,
            False,
        ),
        (ordered("fp8", **CALIBRATION), TEN, "weak", ("FP8",), False, False),
    ],
)
def test_a_candidate_means_these_settings(
    asked: BuildOrder, offered: Offered, typing: str, flags: tuple[str, ...], tf32: bool, implicit: bool
) -> None:
    found = settings(asked, offered)
    assert (found.typing, found.flags, found.tf32, found.implicit) == (typing, flags, tf32, implicit)


def test_layers_held_wider_must_be_obeyed_and_allow_their_type() -> None:
    found = settings(replace(ordered("fp16"), held={"softmax": "bf16", "norm": "fp32"}), TEN)
    assert found.obeys
    assert found.flags == ("FP16", "BF16")


@pytest.mark.parametrize(
    ("asked", "offered", "sentence"),
    [
        (ordered("fp16", typing="weak"), ELEVEN, "no longer has: set typing: strong"),
        (
            ordered("fp8", **CALIBRATION),
            Offered(weak=True, implicit=True, capability=(8, 0), version="10.6.0"),
            "needs compute capability 8.9 or newer, and this GPU has 8.0",
        ),
        (
            ordered("int8", typing=None, calibration={"uri": "file:///c", "quantization": "implicit"}),
            Offered(weak=True, implicit=False, capability=(9, 0), version="11.0"),
            "set calibration.quantization: explicit",
        ),
    ],
)
def test_what_is_not_there_is_one_sentence(asked: BuildOrder, offered: Offered, sentence: str) -> None:
    with pytest.raises(Unsupported, match=sentence) as caught:
        settings(asked, offered)
    assert ". " not in str(caught.value)


def test_tactics_are_recorded_where_they_are_selected() -> None:
    """Level 0 lets none be selected: TensorRT then finds no implementation for any layer."""
    offered = replace(TEN, tactics=True)
    for level in (None, 1, 3):
        settings(ordered("fp16", build={"optimizationLevel": level}, tactics={}), offered)
    settings(ordered("fp16", build={"optimizationLevel": 0}), offered)
    with pytest.raises(
        InvalidInput, match=r"tactics is asked for at build\.optimizationLevel 0, .* set it to 1"
    ) as caught:
        settings(ordered("fp16", build={"optimizationLevel": 0}, tactics={}), offered)
    assert ". " not in str(caught.value)


LEAN = (
    "IBuilder::buildSerializedNetwork: Error Code 6: API Usage Error (Unable to load library: libnvinfer_lean.so.10: "
    "libnvinfer_lean.so.10: cannot open shared object file: No such file or directory)"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAN, "libnvinfer_lean.so.10 is not in this image: use an image with it, or leave it out of the plan with"),
        ("(Unable to load library: libnvinfer_builder_resource.so.10.6.0: no)", "needs its library libnvinfer_builder"),
        ("Could not find any implementation for node y", ""),
    ],
)
def test_a_library_that_is_missing_is_named_with_the_way_out(text: str, said: str) -> None:
    told = missing_library(text)
    assert said in told
    assert bool(told) is bool(said)
    assert "Error Code" not in told


@pytest.mark.parametrize(("text", "size"), [("4Gi", 4 << 30), ("500M", 500_000_000), ("1024", 1024), ("1.5Ki", 1536)])
def test_a_workspace_is_bytes(text: str, size: int) -> None:
    assert quantity(text) == size


def test_the_profile_is_what_the_data_need_unless_said() -> None:
    assert extents([IMAGE], (), SEEN) == SEEN
    said = ShapeProfile(input="x", min=(1, 3, 16, 16), opt=(4, 3, 32, 32), max=(16, 3, 64, 64))
    assert extents([IMAGE], [said], SEEN)["x"].max == (16, 3, 64, 64)


@pytest.mark.parametrize(("low", "fits"), [(1, True), (2, True), (8, True), (9, False)])
def test_a_profile_must_take_the_batches_and_no_sample_alone(low: int, fits: bool) -> None:
    """Batches of 16, 16 and 8: batchInvariance feeds less, and does without where it cannot."""
    fed = {"x": Extents((1, 3, 32, 32), (16, 3, 32, 32), (16, 3, 32, 32), (8, 3, 32, 32))}
    said = ShapeProfile(input="x", min=(low, 3, 32, 32), opt=(16, 3, 32, 32), max=(24, 3, 32, 32))
    if fits:
        assert extents([IMAGE], [said], fed)["x"].min == (low, 3, 32, 32)
        return
    with pytest.raises(InvalidInput, match="allows 9 to 24 at axis 0, and the data have 8 to 16: widen the profile"):
        extents([IMAGE], [said], fed)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"input": "y"}, "names no input of the model: there are x"),
        ({"min": (1, 3), "opt": (4, 3), "max": (8, 3)}, "must have 4 numbers per shape"),
        ({"min": (1, 2, 32, 32)}, "changes axis 1, which the model fixes at 3"),
        ({"max": (8, 3, 32, 64)}, "allows 32 to 32 at axis 2, and the data have 32 to 64"),
    ],
)
def test_a_profile_that_cannot_hold_is_told(entry: dict[str, Any], sentence: str) -> None:
    fields = {"input": "x", "min": (1, 3, 32, 32), "opt": (8, 3, 32, 32), "max": (8, 3, 64, 64)} | entry
    with pytest.raises(InvalidInput, match=sentence):
        extents([IMAGE], [parse(ShapeProfile, fields)], SEEN)


def test_a_calibration_set_of_several_shapes_is_told() -> None:
    check_shapes({"x": (3, 8)}, {"x": (3, 8)})
    with pytest.raises(InvalidInput, match=r"shapes \[3, 8\] and \[3, 9\], and TensorRT's own calibrators take one"):
        check_shapes({"x": (3, 9)}, {"x": (3, 8)})


def test_a_free_axis_that_nobody_knows_is_told() -> None:
    with pytest.raises(InvalidInput, match=r"give build\.profile"):
        extents([IMAGE], (), {})


def test_the_last_pattern_decides_and_one_that_matches_nothing_is_told() -> None:
    nodes = [("ln1/Pow", "Pow"), ("ln1/Mean", "ReduceMean"), ("fc", "MatMul")]
    assert held([("ln1/*", "fp32"), ("Pow", "bf16")], nodes) == {"ln1/Pow": "bf16", "ln1/Mean": "fp32"}
    with pytest.raises(InvalidInput, match="'softmax' matches no node"):
        held([("softmax", "fp32")], nodes)
