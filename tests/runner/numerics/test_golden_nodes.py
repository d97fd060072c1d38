"""Nodes of a candidate that are golden's own are not run on golden's tensors: what they would make is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.audit import Candidate
from assay_runner.backends import Built, Segment
from assay_runner.backends.inspection import inspect
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.segments import AsGiven
from assay_runner.backends.sessions import OrtSession
from assay_runner.checks import CHECKS
from assay_runner.data.rows import bits_equal, is_float
from assay_runner.golden.model import golden_model
from assay_runner.graphs.golden_nodes import golden_made
from assay_runner.tensors import Array
from tests.models import (
    Samples,
    branching,
    constant,
    convolutions,
    layer_norm,
    loaded,
    mlp,
    model,
    node,
    noisy,
    random,
    resizing,
    value,
)
from tests.runner.numerics.candidates import ORT, build, candidate, int8, measured

NETWORKS: dict[Callable[[], onnx.ModelProto], tuple[int, ...]] = {
    mlp: (5, 8),
    convolutions: (2, 4, 9, 9),
    layer_norm: (3, 16),
    branching: (3, 4),
    resizing: (2, 1, 3000),
}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "tf32"])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_taken_of_golden_is_what_the_node_would_have_made(
    network: Callable[[], onnx.ModelProto], precision: str, tmp_path: Path
) -> None:
    x = random(*NETWORKS[network], seed=3)
    given_model = loaded(network(), tmp_path)
    built = build(given_model, candidate(precision), tmp_path / "candidate")
    golden, _ = golden_model(given_model, "fp32", tmp_path / "golden")
    there = shown(golden, x)
    run, taken, _ = made(built, None, there, x)
    found, others, nothing_run = made(built, golden, there, x)
    assert run.keys() == found.keys()
    assert not taken
    for name, array in run.items():
        assert bits_equal(array, found[name]), name
    if network is mlp:
        assert nothing_run is (precision == "fp32")
        assert others == {"fp16": {"h3"}, "bf16": {"h3"}, "tf32": {"h2", "h3"}}.get(precision, set(found))
    if network is branching:
        assert not nothing_run


def made(
    built: Built, golden: Built | None, tensors: dict[str, Array], x: Array
) -> tuple[dict[str, Array], frozenset[str], bool]:
    """Local tensors, which of them are golden's very arrays, and whether nothing at all was run."""
    shown(built, x)  # As a trial does before it cuts a candidate: what its tensors are is known of that.
    found: dict[str, Array] = {}
    taken: set[str] = set()
    with ORT.segments(built, {name: a.nbytes for name, a in tensors.items()}, 1 << 30, golden) as segments:
        for segment in segments:
            results = segment.session.run({**{n: tensors[n] for n in segment.needs & tensors.keys()}, "x": x})
            found |= {tensor: np.array(results[result]) for tensor, result in segment.gives.items()}
            taken |= {tensor for tensor, result in segment.gives.items() if results[result] is tensors[tensor]}
        return found, frozenset(taken), all(isinstance(each.session, AsGiven) for each in segments)


def shown(built: Built, x: Array) -> dict[str, Array]:
    with ORT.open_tapped(built) as session:
        return {name: np.array(array) for name, array in session.run({"x": x}).items() if is_float(array)}


def own(candidate_graph: onnx.ModelProto, golden: onnx.ModelProto, *shared: str) -> dict[str, str]:
    return golden_made(candidate_graph, golden, shared, False)


def test_what_is_drawn_at_random_is_drawn_again() -> None:
    assert own(noisy(), noisy(), "noise", "y") == {"y": "y"}
    training = model(
        [node("Dropout", "x ratio on", "y")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("ratio", np.float32(0.5)), constant("on", np.bool_(True))],
    )
    assert own(training, training, "y") == {}


def chain(**changed: object) -> onnx.ModelProto:
    """Two nodes, their weight, an attribute, an operator and the operator set as asked."""
    weight = constant("w", changed.get("w", np.float32(2)))
    nodes = [node("Mul", "x w", "a"), node(str(changed.get("op", "Softmax")), "a", "b", axis=changed.get("axis", -1))]
    return model(nodes, [value("x", "N", 4)], [value("b", "N", 4)], [weight], int(str(changed.get("opset", 17))))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"a", "b"}),
        ({"w": np.float32(2.0000002)}, {"b"}),
        ({"w": np.float64(2)}, {"b"}),
        ({"w": np.full(1, 2, np.float32)}, {"b"}),
        ({"axis": 0}, {"a"}),
        ({"op": "LogSoftmax"}, {"a"}),
        ({"opset": 12}, set()),
    ],
)
def test_another_weight_attribute_operator_or_operator_set_is_run(
    changed: dict[str, object], expected: set[str]
) -> None:
    assert own(chain(**changed), chain(), "a", "b").keys() == expected


def test_weights_that_were_left_out_of_the_graph_are_not_known_to_be_equal() -> None:
    large = chain(w=np.ones(4, np.float32))
    for tensor in large.graph.initializer:
        tensor.dims[:] = [1000]
        tensor.ClearField("raw_data")
    assert own(large, large, "a", "b").keys() == {"b"}
    assert golden_made(large, large, ("a", "b"), True).keys() == {"a", "b"}


def test_what_reads_something_else_under_another_name_is_run() -> None:
    rounded = chain()
    rounded.graph.node[0].input[0] = "x__rounded"
    rounded.graph.node.insert(0, helper.make_node("Cast", ["x"], ["x__rounded"], to=onnx.TensorProto.FLOAT16))
    assert own(rounded, chain(), "a", "b").keys() == {"b"}
    assert own(chain(), chain(), "b").keys() == {"a", "b"}
    assert own(rounded, chain(), "b").keys() == set()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files of which sessions are opened."""
    names: list[str] = []
    opening = OrtSession.__init__

    def noted(session: OrtSession, path: Path, *rest: Any) -> None:
        names.append(path.name)
        opening(session, path, *rest)

    monkeypatch.setattr(OrtSession, "__init__", noted)
    return names


def test_a_graph_is_inspected_once_and_another_one_anew(tmp_path: Path, opened: list[str]) -> None:
    def graph(name: str) -> onnx.ModelProto:
        return model([node("Abs", "x", name)], [value("x", "N", 4)], [value(name, "N", 4)])

    first = inspect(graph("asked_once"), tmp_path)
    assert inspect(graph("asked_once"), tmp_path) is first
    assert opened == ["inspected.onnx"]
    assert "asked_again" in inspect(graph("asked_again"), tmp_path).types
    assert len(opened) == 2


@pytest.mark.parametrize(("precision", "segments"), [("fp32", 0), ("fp16", 1)])
def test_a_trial_opens_segments_only_for_nodes_that_are_not_goldens(
    precision: str, segments: int, tmp_path: Path, opened: list[str]
) -> None:
    data = Samples({"x": random(6, 8)}, batch=3)
    layers = measured(mlp(), precision, data, tmp_path, CHECKS["layerDrift"]()).report.layers
    assert [layer.name for layer in layers] == ["h1", "h2", "h3", "logits"]
    exact = [layer.name for layer in layers if layer.local_snr == float("inf")]
    assert exact == (["h3"] if segments else ["h1", "h2", "h3", "logits"])
    assert sum(name.startswith("segment-") for name in opened) == segments


ASKED: dict[str, Candidate] = {
    "fp16": candidate("fp16"),
    "bf16": candidate("bf16"),
    "int8": int8(method="minmax"),
    "held": candidate("fp16", backend="tensorrt", layers=[{"nodes": "mean.node", "precision": "fp32"}]),
}


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_errors_are_those_of_all_nodes_run_whatever_the_last_batch_is(asked: str, fixed: bool, tmp_path: Path) -> None:
    """Rows of padding, and a last batch that is shorter, are left out of what golden itself made too."""
    eight = asked == "int8"  # It must have a product, and samples to quantise it by.
    network = mlp() if eight else layer_norm()
    data = Samples({"x": random(7, 8 if eight else 16)}, batch=3, fixed=fixed)
    calibration = data if eight else None
    [there, run] = [
        measured(
            network, ASKED[asked], data, tmp_path / kind, CHECKS["layerDrift"](), backend=each,
            calibration=calibration,
        ).report.layers
        for kind, each in (("taken", ORT), ("run", EveryNode()))
    ]  # fmt: skip
    assert there == run


class EveryNode(OnnxRuntime):
    """Runs what is golden's own too."""

    @contextmanager
    def segments(
        self, built: Built, shared: Mapping[str, int], limit: int, golden: Built | None = None
    ) -> Iterator[tuple[Segment, ...]]:
        """All of them."""
        with super().segments(built, shared, limit) as segments:
            yield segments
