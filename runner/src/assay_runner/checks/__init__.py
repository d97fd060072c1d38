"""Checks: each is a frozen model of its parameters, the evidence it needs, and a pure judgement.

A new check is a file here and a line in `CHECKS`; `make generate` carries its fields and their docstrings into the
CRD, `kubectl explain` and the reference, and the contract suite picks it up.
"""

from __future__ import annotations

from pydantic import ValidationError

from assay_api.audit import AuditTemplate
from assay_api.model import parse, problems
from assay_runner.checks.achieved_precision import AchievedPrecision
from assay_runner.checks.batch_invariance import BatchInvariance
from assay_runner.checks.check import Check
from assay_runner.checks.detections import DetectionsCheck
from assay_runner.checks.extra_output import ExtraOutputCheck
from assay_runner.checks.finite import Finite
from assay_runner.checks.fp16_range import Fp16Range
from assay_runner.checks.label_accuracy import LabelAccuracy
from assay_runner.checks.latency import LatencyCheck
from assay_runner.checks.layer_constraints import LayerConstraints
from assay_runner.checks.layer_drift import LayerDrift
from assay_runner.checks.metric import MetricCheck
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.checks.run_to_run import RunToRun
from assay_runner.errors import InvalidInput

__all__ = ["CHECKS", "Check", "parse_checks"]

CHECKS: dict[str, type[Check]] = {
    Finite.name: Finite,
    OutputDrift.name: OutputDrift,
    LabelAccuracy.name: LabelAccuracy,
    LayerDrift.name: LayerDrift,
    RunToRun.name: RunToRun,
    AchievedPrecision.name: AchievedPrecision,
    Fp16Range.name: Fp16Range,
    LayerConstraints.name: LayerConstraints,
    BatchInvariance.name: BatchInvariance,
    ExtraOutputCheck.name: ExtraOutputCheck,
    LatencyCheck.name: LatencyCheck,
    MetricCheck.name: MetricCheck,
    DetectionsCheck.name: DetectionsCheck,
}


def parse_checks(spec: AuditTemplate) -> tuple[Check, ...]:
    """The checks of a spec, in its order; the default set where it names none.

    Raises:
        InvalidInput: one sentence per problem, each led by the path of the field.
    """
    if not spec.checks:
        return (Finite(), OutputDrift(), RunToRun(), *((LabelAccuracy(),) if spec.dataset.labels else ()))
    checks: list[Check] = []
    found: list[str] = []
    for index, entry in enumerate(spec.checks):
        path = f"spec.checks[{index}]"
        [(name, parameters)] = entry.items()
        if name not in CHECKS:
            found.append(f"{path}.{name}: unknown check; there are {', '.join(CHECKS)}")
            continue
        try:
            checks.append(parse(CHECKS[name], parameters))
        except ValidationError as error:
            # What is wrong with the parameters as a whole has no field to name.
            told = (problem.removeprefix("document") for problem in problems(error))
            found.extend(f"{path}.{name}{'' if each.startswith(':') else '.'}{each}" for each in told)
    if found:
        raise InvalidInput("; ".join(found))
    return tuple(checks)
