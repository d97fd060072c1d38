"""That an error starts at a node is said only where most is its own, and a run with it in FP32 is better."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_api.entries import FloorEntry
from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.backends import Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.subject import Subject
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.passes.budgets import Budgets
from assay_runner.tensors import Array, Arrays
from assay_runner.trial.measure import measure
from tests.models import Samples, constant, model, node, random, value
from tests.runner.numerics.candidates import int8, measured, prepared
from tests.wire import details

X = random(64, 16)
WEIGHT = random(16, 16, seed=1, scale=0.3)
SAYS = "the error starts at"


def drift(proto: onnx.ModelProto, precision: Any, folder: Path, data: Samples | None = None, **more: Any) -> Finding:
    limits = more.pop("limits", {})
    result = measured(proto, precision, data or Samples({"x": X}), folder, parse(LayerDrift, limits), **more)
    [found] = result.findings
    return found


def chain(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    weights = [constant(name, np.asarray(array)) for name, array in constants.items()]
    return model(nodes, [value("x", "N", 16)], [value("y", "N", 16)], weights)


BRANCH = chain(
    node("MatMul", "x w", "h"),
    node("Mul", "h tiny", "t"),
    node("Mul", "t back", "b"),
    node("Add", "h b", "y"),
    w=WEIGHT, tiny=np.float32(3e-8), back=np.float32(100),
)  # fmt: skip
"""A branch that falls below FP16's smallest numbers, and hardly counts in what it is added to."""
FLOOR = FloorEntry(output="y", against="unoptimised", samples=2, max_abs=0, max_rel=0, cosine=1, psnr=130, snr=130)


def test_a_node_that_dominates_and_is_better_in_fp32_is_named(tmp_path: Path) -> None:
    """Weights below FP16's normal numbers lose most of their digits; in FP32 they have all of them."""
    proto = chain(
        node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("MatMul", "u small", "s"), node("Mul", "s up", "y"),
        w=WEIGHT, up=np.float32(3000), small=WEIGHT * np.float32(2e-7),
    )  # fmt: skip
    found = drift(proto, "fp16", tmp_path)
    assert found.verdict is Verdict.FAILED
    told = details(found)
    assert told["shares"][0]["node"] == "s.node"
    assert told["shares"][0]["share"] > 0.9
    assert told["keptWide"]["helps"] is True
    assert told["keptWide"]["snrKeptWide"] > told["keptWide"]["snr"] + 3
    assert found.message.startswith(f"{SAYS} tensor 's' of node 's.node' (MatMul): on golden inputs it has")
    assert "% of what all nodes before tensor" in found.message
    assert "and with it and the node that reads it in FP32 that tensor has" in found.message


def test_golden_is_not_run_once_more_for_an_output_that_is_held(tmp_path: Path) -> None:
    """Unless somebody stored it, who may have made it otherwise."""
    proto = chain(node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("MatMul", "u small", "y"),
        w=WEIGHT, up=np.float32(3000), small=WEIGHT * np.float32(2e-8),
    )  # fmt: skip
    told, runs = [], []
    for computed in (True, False):
        folder = tmp_path / str(computed)
        setting, checks = prepared(proto, "fp16", Samples({"x": X}), folder, LayerDrift())
        setting.reference.computed, setting.reference.floors = computed, (FLOOR,)
        told.append(details(*measure(setting, checks).findings))
        runs.append(setting.reference.runs)
    assert told[0]["sharesOf"] == "y"
    assert told[0]["keptWide"]["helps"] is told[1]["keptWide"]["helps"] is True
    assert told[0]["keptWide"]["snrKeptWide"] == pytest.approx(told[1]["keptWide"]["snrKeptWide"], abs=0.05)
    assert runs[0] < runs[1]


SMALL = chain(
    node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("MatMul", "u small", "y"),
    w=WEIGHT, up=np.float32(3000), small=WEIGHT * np.float32(2e-8),
)  # fmt: skip
"""Weights that FP16 loses, so that every sample has the error."""
WIDENED = [1.0] * 40 + [300.0] * 24
"""Of the last samples the product overflows in FP16."""


class Counting(OnnxRuntime):
    """Counts the samples that are run with tensors shown."""

    rows = 0

    @contextmanager
    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> Iterator[Session]:
        """As ever."""
        with super().open_tapped(built, tensors) as session:
            yield Counted(self, session)


@dataclass
class Counted:
    """A session that is counted."""

    counting: Counting
    session: Session

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """As ever."""
        self.counting.rows += len(inputs["x"])
        return self.session.run(inputs)


@pytest.mark.parametrize("computed", [True, False])
@pytest.mark.parametrize(("rows", "parts", "some"), [(5, 1, None), (8, 1, None), (9, 1, 8), (64, 6, 12)])
def test_the_first_samples_are_enough_where_the_error_is_the_same_in_them(
    tmp_path: Path, rows: int, parts: int, some: int | None, computed: bool
) -> None:
    """Both figures are of them, and it is said; of golden stored or computed, in batches that they do not fill."""
    setting, checks = prepared(SMALL, "fp16", Samples({"x": X[:rows]}, batch=6), tmp_path, LayerDrift())
    setting = replace(setting, budgets=Budgets(shown=1 if parts == 1 else 1 << 30))
    setting.reference.computed, setting.reference.floors = computed, (FLOOR,)
    wider, counting = setting.wider, Counting()
    assert wider is not None

    @contextmanager
    def counted(held: Mapping[str, str]) -> Iterator[Subject]:
        with wider(held) as subject:
            yield replace(subject, backend=counting)

    told = details(*measure(replace(setting, wider=counted), checks).findings)["keptWide"]
    assert told["helps"] is True
    assert told.get("samples") == some
    assert counting.rows == (some or rows)


def test_all_samples_are_run_where_the_first_tell_something_else(tmp_path: Path) -> None:
    proto = chain(
        node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("Mul", "u down", "y"),
        w=WEIGHT, up=np.float32(100), down=np.float32(0.01),
    )  # fmt: skip
    data = Samples({"x": X * np.array(WIDENED, np.float32)[:, None]})
    found = drift(proto, "fp16", tmp_path, data)
    told = details(found)
    assert told["keptWide"]["snr"] == "-Infinity"
    assert "samples" not in told["keptWide"]
    assert "in the first" not in found.message


def test_a_node_that_dominates_and_is_no_better_in_fp32_is_not_where_it_starts(tmp_path: Path) -> None:
    """The noisiest by far, of a branch that does not count: what comes out is no better without its error."""
    found = drift(BRANCH, "fp16", tmp_path)
    told = details(found)
    assert (found.verdict, found.tensor, told["sharesOf"]) == (Verdict.FAILED, "t", "y")
    assert told["shares"][0]["node"] == "t.node"
    assert told["shares"][0]["share"] > 0.9
    assert told["keptWide"]["helps"] is False
    assert SAYS not in found.message
    assert "but keeping it and the 2 nodes that read it in FP32 does not help" in found.message


def test_an_error_of_many_nodes_is_spread_and_the_largest_are_named(tmp_path: Path) -> None:
    names = ["x", *(f"h{i}" for i in range(29)), "y"]
    proto = chain(
        *(node("MatMul", f"{a} w", b) for a, b in pairwise(names)),
        w=np.eye(16)[::-1].astype(np.float32) * 0.77,
    )
    found = drift(proto, "bf16", tmp_path, limits={"localSnr": 60})
    told = details(found)
    assert found.verdict is Verdict.FAILED
    assert SAYS not in found.message
    assert "keptWide" not in told
    assert 1 < told["spreadOver"] <= 30
    assert found.message.startswith(f"the error is spread over {told['spreadOver']} nodes, the largest own shares: ")
    assert found.message.count(" % tensor ") == 3


def test_without_an_emulation_it_is_said_that_it_was_not_tried(tmp_path: Path) -> None:
    setting, checks = prepared(BRANCH, "fp16", Samples({"x": X}), tmp_path, LayerDrift())
    [found] = measure(replace(setting, wider=None, narrow="it is an engine"), checks).findings
    assert SAYS not in found.message
    assert "and whether keeping it wider helps was not tried: it is an engine" in found.message
    assert details(found)["keptWide"]["untried"] == "it is an engine"
    assert "helps" not in details(found)["keptWide"]


def test_what_overflows_is_kept_until_its_values_fit_again(tmp_path: Path) -> None:
    proto = chain(
        node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("Relu", "u", "r"), node("Mul", "r down", "y"),
        w=WEIGHT, up=np.float32(1e6), down=np.float32(1e-6),
    )  # fmt: skip
    found = drift(proto, "fp16", tmp_path)
    told = details(found)
    assert found.message.startswith(f"{SAYS} tensor 'u' of node 'u.node' (Mul): on golden inputs it holds NaN or Inf")
    assert told["keptWide"]["nodes"] == ["u.node", "r.node", "y.node"]
    assert "and with it and the 2 nodes that read it in FP32 that tensor has" in found.message
    assert "dB instead of NaN or Inf" in found.message


def test_what_hands_an_overflow_on_is_not_among_those_that_an_error_is_spread_over(tmp_path: Path) -> None:
    """Of four tensors beyond FP16 the first is where they go beyond it: in FP32 they are golden to 60 dB."""
    proto = chain(
        node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("Reshape", "u rows", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]), node("Reshape", "t flat", "f"), node("Mul", "f down", "y"),
        w=WEIGHT, up=np.float32(1e6), down=np.float32(1e-6), rows=[-1, 4, 4], flat=[-1, 16],
    )  # fmt: skip
    found = drift(proto, "fp16", tmp_path)
    told = details(found)
    assert found.message.startswith(f"{SAYS} tensor 'u' of node 'u.node' (Mul): on golden inputs it holds NaN or Inf")
    assert "node 'u.node' adds 100 % of what all nodes before tensor 'y' add" in found.message
    assert told["keptWide"]["nodes"] == ["u.node", "r.node", "t.node", "f.node", "y.node"]
    assert told["keptWide"]["snrKeptWide"] > 60


def test_two_overflows_between_which_values_fit_are_two(tmp_path: Path) -> None:
    proto = chain(
        node("MatMul", "x w", "h"), node("Mul", "h up", "u"), node("Relu", "u", "r"), node("Mul", "r down", "d"),
        node("Mul", "d up", "v"), node("Relu", "v", "q"), node("Mul", "q down", "y"),
        w=WEIGHT, up=np.float32(6e4), down=np.float32(1.5e-5),
    )  # fmt: skip
    told = details(drift(proto, "fp16", tmp_path))
    assert [(entry["node"], entry["share"]) for entry in told["shares"]] == [("u.node", 0.5), ("v.node", 0.5)]


def test_control_flow_is_not_said_to_be_no_better_in_fp32_for_it_is_never_kept_so(tmp_path: Path) -> None:
    body = onnx.helper.make_graph(
        [node("Mul", "state up", "next"), node("Identity", "go", "on")],
        "body",
        [value("turn", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("state", "N", 16)],
        [value("on", kind=TensorProto.BOOL), value("next", "N", 16)],
    )
    loop = onnx.helper.make_node("Loop", ["turns", "", "x"], ["z"], "z.node", body=body)
    proto = chain(loop, node("Mul", "z down", "y"), turns=np.int64(6), up=np.float32(10), down=np.float32(1e-6))
    found = drift(proto, "fp16", tmp_path)
    assert "does not help" not in found.message
    assert "whether keeping it wider helps was not tried: control flow cannot be kept in another" in found.message


def test_of_8_bits_the_node_alone_is_kept_and_where_none_is_left_all_is_fp32(tmp_path: Path) -> None:
    x = random(256, 16)
    x[0, 0] = 4000
    data = Samples({"x": x})
    proto = chain(node("MatMul", "x w", "h"), node("Relu", "h", "y"), w=WEIGHT)
    found = drift(proto, int8(method="minmax"), tmp_path, data, calibration=data, limits={"localSnr": 45})
    told = details(found)
    assert found.message.startswith(f"{SAYS} tensor 'h' of node 'h.node' (MatMul)")
    assert told["keptWide"]["nodes"] == ["h.node"]
    assert found.message.count("in FP32 that tensor has no error at all instead of") == 1


def test_what_is_looked_at_is_the_last_of_numbers_before_a_label(tmp_path: Path) -> None:
    """An integer at the end has no near miss, and what comes right after the node is better by itself."""
    nodes = [
        node("MatMul", "x w", "h"),
        node("Mul", "h tiny", "t"),
        node("Mul", "t back", "b"),
        node("Add", "h b", "scores"),
        node("ArgMax", "scores", "label", axis=1, keepdims=0),
    ]
    weights = [constant("w", WEIGHT), constant("tiny", np.float32(3e-8)), constant("back", np.float32(100))]
    outputs = [value("label", "N", kind=TensorProto.INT64)]
    found = drift(model(nodes, [value("x", "N", 16)], outputs, weights), "fp16", tmp_path)
    assert details(found)["sharesOf"] == "scores"
    assert SAYS not in found.message
