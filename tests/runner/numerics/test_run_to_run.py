"""The same input gives other bits: which output, which tensor inside, when, how often, how far, and who is to blame."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.report import Verdict
from assay_runner.backends import Built, Capability, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.errors import Unavailable
from assay_runner.evidence import RerunsWanted
from assay_runner.graphs.documents import load_graph
from assay_runner.graphs.taps import custom_sites
from assay_runner.graphs.upstream import upstream
from assay_runner.passes.background_load import busy
from assay_runner.passes.budgets import Budgets
from assay_runner.passes.repeats import repeat
from assay_runner.tensors import Array, Arrays
from tests.models import Samples, branching, loaded, mlp, model, node, random, value
from tests.runner.numerics.candidates import build, candidate, setting
from tests.runner.numerics.unsteady import DATA, Altering, Served, Wavering, Whim, judged, plugged, stateful
from tests.wire import details

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
DEFECT = "for the same input that is a defect of what runs it"


@dataclass(frozen=True)
class Case:
    """A whim, the condition that shows it, what is told of it, and the first run that differs."""

    whim: Whim
    condition: str
    when: str
    far: str = "by up to 0.5"
    run: int = 1


INSIDE = {
    "every second run": Case(
        lambda at: 0.5 * (at.run % 2), "sameSession", "in 2 of 4 further runs of one session", run=2
    ),
    "only where there was a run before": Case(
        lambda at: 0.5 * (at.run > 1), "sameSession", "in 4 of 4 further runs of one session", run=2
    ),
    "every session anew": Case(
        lambda at: 0.25 * (at.session > 1 + (at.kind == "plain")), "newSession", "in 3 of 3 runs in a new session",
        "by up to 0.25",
    ),
    "beside another session": Case(lambda at: 0.5 * at.beside, "underLoad", "in 5 of 5 runs under load"),
    "another process": Case(lambda at: 0.5, "newProcess", "in a new process"),
    "NaN once": Case(
        lambda at: np.nan if at.run == 3 else 0.0, "sameSession", "in 1 of 4 further runs of one session",
        "NaN or Inf in one run only among them", run=3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INSIDE)
def test_the_first_tensor_inside_is_named(case: str, tmp_path: Path) -> None:
    given = INSIDE[case]
    found = judged(stateful(), DATA, tmp_path, Wavering(given.whim), conditions=[given.condition])
    assert (found.verdict, found.tensor, found.node) == (FAILED, "moved", "moved.node")
    assert found.message.startswith("output 'y' of batch 0 has other bits ")
    named = "with 5 tensors shown, tensor 'moved' of node 'moved.node' (Add) is the first to differ"
    assert f"{named}, {given.when}, {given.far}; {DEFECT}" in found.message
    first = details(found)["inside"]["first"]
    assert (first["tensor"], first["node"], first["run"]) == ("moved", "moved.node", given.run)
    assert first["condition"] == given.condition


def test_the_largest_distance_of_all_runs_is_told(tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, Wavering(lambda at: float(at.run)), conditions=["sameSession"], runs=6)
    assert "in 5 of 5 further runs of one session, by up to 5;" in found.message


def test_a_zero_of_the_other_sign_is_a_difference(tmp_path: Path) -> None:
    data = Samples({"x": np.zeros((8, 8), np.float32), "state": np.zeros((8, 1), np.float32)})
    proto = model([node("Mul", "x state", "y")], [value("x", "N", 8), value("state", "N", 1)], [value("y", "N", 8)])
    found = judged(proto, data, tmp_path, Wavering(lambda at: -1.0 if at.run == 2 else 1.0))
    assert (found.verdict, found.tensor) == (FAILED, "y")
    assert "though equal in value (a zero's sign, or NaN): with 1 tensor shown, it is also the first" in found.message


def test_nan_equals_nan(tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, Wavering(lambda _: np.nan), conditions=["sameSession", "newSession"])
    assert found.verdict is PASSED


def test_a_shape_that_differs_is_told(tmp_path: Path) -> None:
    proto = stateful()
    del proto.graph.output[0]
    data = Samples({"x": random(8, 8), "state": np.zeros((8, 1), np.float32)})
    found = judged(proto, data, tmp_path, Wavering(lambda at: 9.0 * (at.run % 2)), conditions=["sameSession"])
    assert found.message.startswith("output 'places' of batch 0 has other bits in 2 of 4 further runs of one session")
    assert "and another shape: " in found.message
    assert found.tensor == "moved"


def test_showing_tensors_may_take_the_difference_away(tmp_path: Path) -> None:
    whim = Wavering(lambda at: 0.5 * (at.run % 2) * (at.kind == "plain"))
    found = judged(stateful(), DATA, tmp_path, whim, conditions=["sameSession", "newSession"])
    assert (found.verdict, found.tensor) == (FAILED, "y")
    assert "with 5 tensors shown, none differs (4 x one session), so showing tensors changes what runs" in (
        found.message
    )
    assert DEFECT in found.message


@pytest.mark.parametrize(
    ("least", "condition", "tensor", "shown"),
    [(1, "sameSession", "y", "4"), (2, "sameSession", "moved", "4, then 5"), (1, "newProcess", "moved", "5")],
)
def test_what_is_served_is_looked_into_first(
    least: int, condition: str, tensor: str, shown: str, tmp_path: Path
) -> None:
    """`least`: the first session with tensors shown that wavers; the second one is another engine."""
    whim = Served(lambda at: 0.5 * (at.run % 2) * (at.kind == "plain" or at.session >= least))
    found = judged(stateful(), DATA, tmp_path, whim, conditions=[condition])
    assert (found.verdict, found.tensor) == (FAILED, tensor)
    assert f"with {shown} tensors shown" in found.message


class Blind(Wavering):
    """Cannot show tensors."""

    def can(self, capability: Capability) -> bool:
        return capability is not Capability.TENSORS


class Exhausted(Wavering):
    """Has no memory left for a session that shows tensors."""

    def open_tapped(self, built: Built, tensors: Any = None) -> Any:
        raise Unavailable("device memory ran out")


@pytest.mark.parametrize(
    ("kind", "reason"), [(Blind, "backend onnxruntime cannot show tensors here"), (Exhausted, "device memory ran out")]
)
def test_a_difference_stands_where_nothing_can_be_shown(kind: Any, reason: str, tmp_path: Path) -> None:
    found = judged(stateful(), DATA, tmp_path, kind(lambda at: 0.5 * (at.run % 2)), conditions=["sameSession"])
    assert (found.verdict, found.tensor) == (FAILED, "y")
    assert f"which tensor inside is the first to differ is not known ({reason}); {DEFECT}" in found.message


def test_memory_does_not_grow_with_the_runs(tmp_path: Path) -> None:
    most = []
    for runs in (3, 40):
        backend = Wavering(lambda at: 0.5 * (at.run % 2))
        given: dict[str, Any] = {"conditions": ["sameSession"], "runs": runs, "batches": 1}
        assert judged(stateful(), DATA, tmp_path / str(runs), backend, **given).verdict is FAILED
        most.append(backend.most)
    assert most[0] == most[1]


def test_a_batch_too_large_to_be_shown_is_shown_in_part(tmp_path: Path) -> None:
    whim, small = Wavering(lambda at: 0.5 * (at.run % 2)), Budgets(shown=300)
    found = judged(stateful(), DATA, tmp_path, whim, small, conditions=["sameSession"])
    assert found.tensor == "moved"
    assert 1 < details(found)["inside"]["samples"] < 8


def test_rows_of_padding_do_not_count(tmp_path: Path) -> None:
    proto = model(
        [node("Relu", "x", "steady"), node("Add", "steady state", "y")],
        [value("x", 4, 3), value("state", 4, 1)],
        [value("y", 4, 3)],
    )
    data = Samples({"x": random(6, 3), "state": np.zeros((6, 1), np.float32)}, batch=4, fixed=True)
    found = judged(proto, data, tmp_path, Wavering(lambda at: 0.5 * at.run), conditions=["sameSession"], batches=2)
    assert details(found)["inside"]["samples"] == 4
    assert (found.tensor, found.value) == ("y", 2)


def test_random_numbers_elsewhere_in_the_model_are_not_to_blame(tmp_path: Path) -> None:
    whim = Wavering(lambda at: 0.5 * (at.run % 2))
    found = judged(stateful(noise=True), DATA, tmp_path, whim, conditions=["sameSession"])
    # Drawn numbers differ in every run too, but they do not go into the first output that differs.
    assert found.tensor == "moved"
    assert DEFECT in found.message
    assert details(found)["random"] == []


def test_random_numbers_are_named_where_they_are_drawn(tmp_path: Path) -> None:
    proto = model(
        [
            node("Relu", "x", "r"),
            node("RandomNormalLike", "r", "noise"),
            node("Add", "r noise", "mixed"),
            node("Relu", "mixed", "y"),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
    )
    found = judged(proto, Samples({"x": random(8, 4)}), tmp_path, conditions=["sameSession"])
    assert (found.verdict, found.tensor, found.node) == (FAILED, "noise", "noise.node")
    assert "by up to" in found.message
    assert (
        "; it draws random numbers, others in each run even with a seed, so that is by design: take it out"
        in found.message
    )
    assert details(found)["random"] == [{"tensor": "noise", "node": "noise.node", "op": "RandomNormalLike"}]


def test_a_custom_operator_upstream_is_named(tmp_path: Path) -> None:
    found = judged(plugged(), DATA, tmp_path, Wavering(lambda at: 0.5 * (at.run % 2)), conditions=["sameSession"])
    assert found.tensor == "moved"
    assert "tensor 'steady' of node 'mine' (Gelu) is a custom operator (plugin), whose code may be" in found.message
    assert details(found)["custom"] == [{"tensor": "steady", "node": "mine", "op": "Gelu"}]


def test_a_scatter_whose_indices_may_repeat_is_told_as_such(tmp_path: Path) -> None:
    proto = stateful()
    proto.graph.node[1].CopyFrom(node("ScatterElements", "steady at state", "moved", axis=1, reduction="add"))
    proto.graph.node.insert(0, node("ConstantOfShape", "shape", "at", value=helper.make_tensor("v", 7, [1], [0])))
    proto.graph.initializer.append(helper.make_tensor("shape", 7, [2], [8, 1]))
    found = judged(proto, DATA, tmp_path, Wavering(lambda at: 0.5 * (at.run % 2)), conditions=["sameSession"])
    assert (found.tensor, found.node) == ("moved", "moved.node")
    assert "where the indices of a ScatterElements repeat, the order of its writes decides" in found.message


def test_upstream_goes_into_control_flow(tmp_path: Path) -> None:
    onnx.save(branching(), str(tmp_path / "m.onnx"))
    graph = load_graph(tmp_path / "m.onnx")
    node_if = next(n for n in graph.graph.node if n.op_type == "If")
    inner = node_if.attribute[0].g.node[0].output[0]
    assert inner in upstream(graph, node_if.output[0])
    assert upstream(graph, graph.graph.input[0].name) == {graph.graph.input[0].name}


def test_a_new_session_that_differs_is_named_alone(tmp_path: Path) -> None:
    data = Samples({"x": random(9, 8)})
    found = judged(mlp(), data, tmp_path, Altering("newSession", 1), conditions=["sameSession", "newSession"])
    assert found.verdict is FAILED
    assert "output 'logits' of batch 0 has other bits in a new session, by up to 1:" in found.message
    assert {d["condition"] for d in details(found)["differences"]} == {"newSession"}
    assert "with 4 tensors shown, none differs (3 x a new session)" in found.message


def test_every_condition_holds_for_onnx_runtime(tmp_path: Path) -> None:
    found = judged(mlp(), Samples({"x": random(9, 8)}), tmp_path, batches=2)
    assert found.verdict is PASSED
    assert "(one session, a new session, a new process, under load)" in found.message


@pytest.mark.parametrize(
    ("emulated", "asked", "runs"), [(True, None, 2), (False, None, 5), (True, 3, 3), (False, 3, 3)]
)
def test_an_emulation_is_run_twice_unless_more_is_asked(
    emulated: bool, asked: int | None, runs: int, tmp_path: Path
) -> None:
    made = loaded(mlp(), tmp_path)
    built = replace(build(made, candidate("fp16"), tmp_path), emulated=emulated)
    where = setting(made, built, Samples({"x": random(9, 8)}), tmp_path, OnnxRuntime())
    assert repeat(where, RerunsWanted(asked, 1, ("sameSession", "underLoad"))).runs == runs


def test_a_condition_that_is_not_offered_is_no_pass(tmp_path: Path) -> None:
    data = Samples({"x": random(9, 8)})
    found = judged(mlp(), data, tmp_path, conditions=["sameSession", "otherStream"])
    assert found.verdict is INCONCLUSIVE
    assert "otherStream could not be tried: backend onnxruntime does not offer it" in found.message


def test_a_process_that_fails_is_one_sentence(tmp_path: Path) -> None:
    made = loaded(mlp(), tmp_path)
    built = build(made, candidate("fp32"), tmp_path)
    built = replace(built, path=Path(shutil.copy(built.path, tmp_path / "run.onnx")))

    class Vanishing(OnnxRuntime):
        @contextmanager
        def open(self, given: Built) -> Iterator[Session]:
            with super().open(given) as session:
                os.replace(built.path, tmp_path / "elsewhere.onnx")
                yield session

    where = setting(made, built, Samples({"x": random(9, 8)}), tmp_path, Vanishing())
    found = repeat(where, RerunsWanted(2, 1, ("newProcess",)))
    assert not found.differences
    assert not found.tried
    assert found.untried["newProcess"].startswith("a new process could not run the candidate: ")
    assert "\n" not in found.untried["newProcess"]


def test_operators_that_are_not_onnx_are_plugins(tmp_path: Path) -> None:
    proto = mlp()
    proto.graph.node.append(helper.make_node("Mine", ["logits"], ["z"], name="z.node", domain="my.plugins"))
    onnx.save(proto, str(tmp_path / "m.onnx"))
    assert [site.node for site in custom_sites(load_graph(tmp_path / "m.onnx"))] == ["z.node"]


def test_the_load_is_there_before_the_run_and_its_end_is_told() -> None:
    class Counting:
        runs = 0
        gone = Event()

        def run(self, inputs: Arrays) -> dict[str, Array]:
            self.runs += 1
            if self.runs == 3:
                self.gone.set()
                raise RuntimeError("the driver is gone")
            return {}

    session = Counting()

    def beside() -> None:
        with busy(session, list(DATA)):
            assert session.runs
            assert session.gone.wait(60)

    with pytest.raises(RuntimeError, match="the driver is gone"):
        beside()
