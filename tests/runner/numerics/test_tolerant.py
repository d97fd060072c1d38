"""What keeps tensors from being shown is told, and loses nothing that is known without them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx
import pytest

from assay_api.report import Verdict
from assay_runner.backends import Built
from assay_runner.checks.finite import Finite
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.passes.budgets import Budgets
from tests.fusing import Fusing, Kept
from tests.models import Samples, layer_norm, mlp, model, node, random, value
from tests.runner.numerics.candidates import measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay_runner.tensors import Array, Batch

DATA = Samples({"x": random(20, 16, seed=4)}, batch=8)


class Breaking(Fusing):
    """Shows tensors until it breaks: before sample `at`, or with None while it is opened."""

    def __init__(self, error: AuditError, at: int | None) -> None:
        super().__init__({})
        self._error, self._at = error, at

    @contextmanager
    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
        if self._at is None:
            raise self._error
        with super().open_comparison(built, local=local, whole=whole) as kept:
            add = kept.add

            def breaking(batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
                if batch.start >= (self._at or 0):
                    raise self._error
                return add(batch, golden)

            kept.add = breaking  # type: ignore[method-assign]
            yield kept


@pytest.mark.parametrize("at", [None, 0, 16])
@pytest.mark.parametrize(
    "error", [InvalidInput("TensorRT cannot build the engine: no"), Unavailable("the GPU's memory ran out")], ids=str
)
def test_what_breaks_the_probe_costs_only_what_needs_it(error: AuditError, at: int | None, tmp_path: Path) -> None:
    result = measured(layer_norm(), "fp16", DATA, tmp_path, backend=Breaking(error, at))
    found = {each.check: each for each in result.findings}
    assert found["outputDrift"].verdict is found["runToRun"].verdict is Verdict.PASSED
    for check in ("finite", "layerDrift"):
        assert (found[check].verdict, found[check].message) == (Verdict.INCONCLUSIVE, str(error))


def test_an_output_that_is_not_finite_fails_though_no_tensor_is_shown(tmp_path: Path) -> None:
    loud = Samples({"x": random(20, 16, seed=4, scale=3e4)}, batch=8)
    proto = model([node("Mul", "x x", "y")], [value("x", "N", 16)], [value("y", "N", 16)])
    backend = Breaking(Unavailable("the GPU's memory ran out"), None)
    [found] = measured(proto, "fp16", loud, tmp_path, Finite(), backend=backend).findings
    assert (found.verdict, found.tensor) == (Verdict.FAILED, "y")
    assert found.message.endswith("which tensor is the first is not known: the GPU's memory ran out")


@pytest.mark.parametrize("golden", ["fp32", "fp64"])
def test_golden_in_fp64_takes_twice_the_memory(golden: Literal["fp32", "fp64"], tmp_path: Path) -> None:
    """Parts are as large as the larger of golden's tensors and the candidate's allow."""
    parts: list[int] = []

    class Parted(Fusing):
        @contextmanager
        def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
            with super().open_comparison(built, local=local, whole=whole) as kept:
                add = kept.add

                def noted(batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
                    parts.append(batch.count)
                    return add(batch, golden)

                kept.add = noted  # type: ignore[method-assign]
                yield kept

    one_sample = 4 * (3 * 16 + 4)  # Bytes of the layer norm's tensors in FP32.
    budgets = Budgets(shown=4 * one_sample)
    measured(layer_norm(), "fp16", DATA, tmp_path, LayerDrift(), golden=golden, backend=Parted({}), budgets=budgets)
    assert max(parts) == (4 if golden == "fp32" else 2)


def test_a_batch_that_golden_cannot_take_apart_is_left_whole(tmp_path: Path) -> None:
    fixed = mlp()
    for each in (*fixed.graph.input, *fixed.graph.output):
        each.type.tensor_type.shape.dim[0].dim_value = 4
    data = Samples({"x": random(8, 8)}, batch=4, fixed=True)
    proto = onnx.ModelProto.FromString(fixed.SerializeToString())
    result = measured(proto, "fp32", data, tmp_path, own=mlp(), budgets=Budgets(shown=1))
    assert {each.verdict for each in result.findings} == {Verdict.PASSED}
