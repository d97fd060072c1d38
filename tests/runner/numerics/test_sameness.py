"""Outputs that change with the rest of the batch, or with one more output: which, how far, and who is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from assay_api.model import parse
from assay_api.report import Finding, Verdict
from assay_runner.backends import Built, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.checks import CHECKS, Check
from assay_runner.graphs.upstream import fed
from assay_runner.tensors import Array
from tests.models import Samples, constant, convolutions, embedding, mlp, model, node, noisy, random, value
from tests.runner.numerics.candidates import measured
from tests.runner.numerics.unsteady import Altering
from tests.wire import details

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE


def check(name: str, **given: Any) -> Check:
    return parse(CHECKS[name], given)


def judged(proto: onnx.ModelProto, data: Samples, folder: Path, made: Check, precision: str = "fp32") -> list[Finding]:
    return list(measured(proto, precision, data, folder, made).findings)


def normalised_over_the_batch() -> onnx.ModelProto:
    """Takes the mean over the batch away: what a sample gives depends on its neighbours."""
    return model(
        [node("ReduceMean", "x", "mean", axes=[0]), node("Sub", "x mean", "y")],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
    )


def normalised_in_training() -> onnx.ModelProto:
    """A BatchNormalization left in training mode: statistics of the batch in place of those learnt."""
    learnt = [constant(name, np.full(4, fill, np.float32)) for name, fill in zip("sbmv", (1, 0, 0, 1), strict=True)]
    return model(
        [node("BatchNormalization", "x s b m v", "y mean variance", training_mode=1)],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        learnt,
    )


def mixed_by_a_reshape() -> onnx.ModelProto:
    """Reshaped with the batch at the wrong end, and transposed back: rows hold elements of other rows."""
    return model(
        [node("Reshape", "x four", "mixed"), node("Transpose", "mixed", "y", perm=[1, 0])],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("four", np.array([4, -1]))],
    )


def numbered(factor: float) -> onnx.ModelProto:
    """Adds to each row its number times `factor`: copies of one sample give other rows."""
    return model(
        [
            node("Mul", "x zero", "nothing"),
            node("Add", "nothing factor", "step"),
            node("CumSum", "step axis", "row"),
            node("Add", "x row", "y"),
        ],
        [value("x", "N", 4)],
        [value("y", "N", 4)],
        [constant("axis", np.int64(0)), constant("factor", np.float32(factor)), constant("zero", np.float32(0))],
    )


def test_a_mean_over_the_batch_is_found_by_samples_run_alone(tmp_path: Path) -> None:
    data = Samples({"x": random(16, 4) + 3})
    rows, alone = sorted(
        judged(normalised_over_the_batch(), data, tmp_path, check("batchInvariance")),
        key=lambda f: "alone" in f.message,
    )
    # Each sample alone is its own mean: all zero, which copies of one sample are too.
    assert rows.verdict is PASSED
    assert (alone.verdict, alone.tensor, alone.node, alone.metric) == (FAILED, "y", "y.node", "snr")
    assert alone.value is not None
    assert alone.value < 17
    assert "in sample " in alone.message


BREAKS = {
    "mean over axis 0": (normalised_over_the_batch, {"alone"}),
    "training mode": (normalised_in_training, {"alone"}),
    "rows mixed": (mixed_by_a_reshape, {"alone", "rows"}),
    "random": (noisy, {"alone", "rows"}),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("case", BREAKS)
def test_what_couples_samples_is_found(case: str, exact: bool, tmp_path: Path) -> None:
    proto, breaks = BREAKS[case]
    found = judged(proto(), Samples({"x": random(16, 4) + 3}), tmp_path, check("batchInvariance", exact=exact))
    verdicts = {"alone" if "alone" in f.message else "rows": f.verdict for f in found}
    assert verdicts == {way: FAILED if way in breaks else PASSED for way in ("alone", "rows")}
    assert {f.metric for f in found} == {"otherBits" if exact else "snr"}


def test_random_numbers_are_named_where_they_reach_an_output(tmp_path: Path) -> None:
    proto = noisy()
    proto.graph.node.append(node("Relu", "x", "clean"))
    proto.graph.output.append(value("clean", "N", 4))
    found = judged(proto, Samples({"x": random(8, 4)}), tmp_path, check("batchInvariance"))
    drawn = "tensor 'noise' of node 'noise.node' (RandomNormalLike) draws random numbers"
    assert {(f.tensor, f.verdict, drawn in f.message) for f in found} == {("y", FAILED, True), ("clean", PASSED, False)}
    assert all("so that is by design: take it out" in f.message for f in found if f.verdict is FAILED)
    assert all(details(f)["random"][0]["node"] == "noise.node" for f in found if f.verdict is FAILED)


def test_what_passes_although_numbers_are_drawn_says_so(tmp_path: Path) -> None:
    proto = noisy()
    proto.graph.node[0].attribute.append(helper.make_attribute("scale", 1e-6))
    found = judged(proto, Samples({"x": random(8, 4)}), tmp_path, check("batchInvariance"))
    assert {f.verdict for f in found} == {PASSED}
    assert all(f.message.endswith("(RandomNormalLike) draws random numbers") for f in found)


def test_custom_operators_are_named_where_they_reach_an_output(tmp_path: Path) -> None:
    proto = normalised_over_the_batch()
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.graph.node.append(helper.make_node("Gelu", ["y"], ["z"], name="mine", domain="com.microsoft"))
    proto.graph.output.append(value("z", "N", 4))
    found = judged(proto, Samples({"x": random(8, 4)}), tmp_path, check("batchInvariance"))
    told = {f.tensor: "it is a custom operator (plugin)" in f.message for f in found if f.verdict is FAILED}
    assert told == {"y": False, "z": True}


def test_rows_that_depend_on_their_place_are_found_by_copies(tmp_path: Path) -> None:
    found = judged(numbered(10.0), Samples({"x": random(8, 4)}), tmp_path, check("batchInvariance", batches=1))
    assert [f.verdict for f in found] == [FAILED, FAILED]
    rows = next(f for f in found if "each other" in f.message)
    assert "in row 7 of copies of sample 0, the worst of 8 rows" in rows.message


@pytest.mark.parametrize(("exact", "verdict"), [(False, PASSED), (True, FAILED)])
def test_small_differences_fail_only_where_bits_are_asked_for(exact: bool, verdict: Verdict, tmp_path: Path) -> None:
    made = check("batchInvariance", exact=exact)
    found = judged(numbered(1e-4), Samples({"x": random(8, 4)}), tmp_path, made)
    assert {f.verdict for f in found} == {verdict}
    assert {f.metric for f in found} == {"otherBits" if exact else "snr"}


@pytest.mark.parametrize("proto", [mlp, convolutions, embedding])
def test_models_that_keep_samples_apart_are_invariant(proto: Any, tmp_path: Path) -> None:
    arrays: dict[Any, dict[str, Array]] = {
        mlp: {"x": random(12, 8)},
        convolutions: {"x": random(12, 4, 9, 9)},
        embedding: {"ids": np.random.default_rng(0).integers(0, 10, (12, 3))},
    }
    found = judged(proto(), Samples(arrays[proto]), tmp_path, check("batchInvariance"), "fp16")
    assert {f.verdict for f in found} == {PASSED}
    assert len(found) == 2 * len(proto().graph.output)


def test_a_fixed_batch_says_what_was_left_out(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", 4, 3)], [value("y", 4, 3)])
    data = Samples({"x": random(6, 3)}, batch=4, fixed=True)
    [found] = judged(proto, data, tmp_path, check("batchInvariance"))
    assert found.verdict is PASSED
    assert "batch is fixed at 4, so no sample was run alone" in found.message


def test_batches_of_one_are_inconclusive_and_a_larger_one_is_the_way_out(tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(3, 8)}, batch=1), tmp_path, check("batchInvariance"))
    assert found.verdict is INCONCLUSIVE
    assert "raise dataset.batch, or leave batchInvariance out" in found.message
    raised = judged(mlp(), Samples({"x": random(3, 8)}, batch=2), tmp_path / "raised", check("batchInvariance"))
    assert {f.verdict for f in raised} == {PASSED}


def test_a_single_sample_is_not_told_to_raise_the_batch(tmp_path: Path) -> None:
    [found] = judged(mlp(), Samples({"x": random(1, 8)}), tmp_path, check("batchInvariance"))
    assert found.verdict is INCONCLUSIVE
    assert found.message == "the dataset has one sample, so there is nothing beside it: give it two or more"


def test_a_batch_that_is_fixed_at_one_holds_no_verdict_up(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [value("x", 1, 3)], [value("y", 1, 3)])
    [found] = judged(proto, Samples({"x": random(5, 3)}, batch=1, fixed=True), tmp_path, check("batchInvariance"))
    assert found.verdict is PASSED
    assert "the model's batch is fixed at 1" in found.message


def test_one_more_output_changes_nothing_here(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        data = Samples({"x": random(10, 4, 9, 9)})
        [found] = judged(convolutions(), data, tmp_path / precision, check("extraOutput"), precision)
        assert found.verdict is PASSED
        assert "with tensor 'r' of node 'r.node' (Relu) as one more output" in found.message
    [found] = judged(convolutions(), data, tmp_path / "named", check("extraOutput", tensor="c"))
    assert "tensor 'c'" in found.message


@pytest.mark.parametrize(
    ("proto", "given", "message"),
    [
        (mlp(), {"tensor": "nothing"}, "no tensor 'nothing'"),
        (model([node("Relu", "x", "y")], [value("x", "N", 8)], [value("y", "N", 8)]), {}, "leave extraOutput out"),
    ],
)
def test_an_output_that_cannot_be_added(proto: onnx.ModelProto, given: Any, message: str, tmp_path: Path) -> None:
    [found] = judged(proto, Samples({"x": random(6, 8)}), tmp_path, check("extraOutput", **given))
    assert found.verdict is INCONCLUSIVE
    assert message in found.message


def test_an_output_that_is_asked_for_and_not_given_says_nothing(tmp_path: Path) -> None:
    class Folding(OnnxRuntime):
        """Computes ahead what it is asked to show."""

        @contextmanager
        def open_with_output(self, built: Built, tensor: str) -> Iterator[Session]:
            with self.open(built) as session:
                yield session

    data = Samples({"x": random(6, 8)})
    [found] = measured(mlp(), "fp32", data, tmp_path, check("extraOutput"), backend=Folding()).findings
    assert found.verdict is INCONCLUSIVE
    assert "is not among the outputs of the candidate that was built with it" in found.message


def test_what_is_added_unasked_is_computed_from_the_data(tmp_path: Path) -> None:
    folded = [node("Mul", "w w", "w2"), node("Shape", "x", "size"), node("Gather", "size zero", "rows")]
    moved = [node("Abs", "w2", "w3"), node("Relu", "x", "r"), node("Mul", "r w3", "y")]
    weights = [constant("w", random(8)), constant("zero", np.int64(0))]
    proto = model([*folded, *moved], [value("x", "N", 8)], [value("y", "N", 8)], weights)
    assert fed(proto) == {"x", "r", "y"}
    [found] = judged(proto, Samples({"x": random(6, 8)}), tmp_path, check("extraOutput"))
    assert (found.verdict, "with tensor 'r'" in found.message) == (PASSED, True)


@pytest.mark.parametrize(("exact", "verdict"), [(False, PASSED), (True, FAILED)])
def test_a_fusion_that_is_lost_costs_bits_only(exact: bool, verdict: Verdict, tmp_path: Path) -> None:
    """A convolution takes the normalisation behind it in, unless its own output is asked for."""
    made = check("extraOutput", tensor="c", exact=exact)
    [found] = judged(convolutions(), Samples({"x": random(10, 4, 9, 9)}), tmp_path, made)
    assert (found.verdict, found.tensor, found.metric) == (verdict, "logits", "otherBits" if exact else "snr")
    assert found.value is not None
    assert (0 < found.value <= 10) if exact else (100 < found.value < np.inf)


@pytest.mark.parametrize(("by", "exact", "verdict"), [(9, False, FAILED), (1e-4, False, PASSED), (1e-4, True, FAILED)])
def test_an_engine_that_changes_with_one_more_output(by: float, exact: bool, verdict: Verdict, tmp_path: Path) -> None:
    made = check("extraOutput", exact=exact)
    data, backend = Samples({"x": random(9, 8)}), Altering("extra output", by)
    [found] = measured(mlp(), "fp32", data, tmp_path, made, backend=backend).findings
    assert (found.verdict, found.tensor) == (verdict, "logits")
