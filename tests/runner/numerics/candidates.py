"""Building, running and measuring a candidate in a few words, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import onnx

from assay_api.audit import Candidate
from assay_api.model import parse
from assay_runner.backends import BACKENDS, Backend, Built
from assay_runner.backends.order import order_of
from assay_runner.backends.subject import Subject
from assay_runner.builds.cache import BuildRequest
from assay_runner.checks import CHECKS, Check
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.golden.reference import Reference
from assay_runner.golden.run import golden_outputs
from assay_runner.models.loading import LoadedModel
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.passes.setting import Setting
from assay_runner.tasks.wider import wider_of
from assay_runner.tensors import Array, Arrays
from assay_runner.trial.measure import Measured, measure
from tests.described import check_measured
from tests.models import Heard, Samples, loaded

USUAL: tuple[Check, ...] = (
    *(CHECKS[name]() for name in ("finite", "outputDrift", "layerDrift")),
    RunToRun(conditions=("sameSession", "newSession")),
)
"""What is judged where a test names no checks; a new process takes a second each time."""
ORT = BACKENDS["onnxruntime"]


def candidate(precision: str, **more: Any) -> Candidate:
    return parse(Candidate, {"name": precision, "backend": "onnxruntime", "precision": precision, **more})


def int8(**calibration: Any) -> Candidate:
    return candidate("int8", calibration={"uri": "file:///calibration.npz", **calibration})


def build(model: LoadedModel, asked: Candidate, folder: Path, calibration: Samples | None = None) -> Built:
    return ORT.build(model, order_of(asked, model.path), calibration, folder / "built", Heard())


def tapped(proto: onnx.ModelProto, precision: str, inputs: Arrays, folder: Path) -> dict[str, Array]:
    """Every tensor of an emulated model."""
    with ORT.open_tapped(build(loaded(proto, folder), candidate(precision), folder)) as session:
        return {name: array.copy() for name, array in session.run(inputs).items()}


def prepared(
    proto: onnx.ModelProto,
    asked: Candidate | str,
    data: Samples,
    folder: Path,
    *checks: Check,
    calibration: Samples | None = None,
    golden: Literal["fp32", "fp64"] = "fp32",
    own: onnx.ModelProto | None = None,
    backend: Backend = ORT,
    budgets: Budgets = DEFAULT,
) -> tuple[Setting, tuple[Check, ...]]:
    """A model, built and run as golden, ready to be measured, and the checks; the usual ones where none is given."""
    asked = candidate(asked) if isinstance(asked, str) else asked
    model = loaded(proto, folder)
    mine = loaded(own, folder / "own") if own else None
    outputs = [kept for _, kept in golden_outputs(model, data, golden, folder / "golden", Heard())]
    subject = Subject(asked.name, backend, build(mine or model, asked, folder, calibration), mine or model)
    reference = Reference(model, data, outputs, golden, folder, computed=True)
    request = BuildRequest(ORT, mine or model, order_of(asked, model.path), cast(Any, calibration), "", {})
    wider, narrow = wider_of(request if backend is ORT else None, subject, folder, Heard())
    return Setting(subject, reference, Heard(), budgets, wider=wider, narrow=narrow), checks or USUAL


def measured(
    proto: onnx.ModelProto, asked: Candidate | str, data: Samples, folder: Path, *checks: Check, **more: Any
) -> Measured:
    """The whole way from a model to findings; `more` is of `prepared`."""
    found = measure(*prepared(proto, asked, data, folder, *checks, **more))
    check_measured(found.report, found.findings)
    return found


def setting(model: LoadedModel, built: Built, data: Samples, folder: Path, backend: Backend = ORT) -> Setting:
    """Where a pass that asks for no golden outputs can work."""
    return Setting(Subject("c", backend, built, model), Reference(model, data, (), "fp32", folder), Heard())
