"""Checks: each is a frozen model of its parameters, the evidence it needs, and a pure judgement.

A new check is a file here and a line in `CHECKS`; `make generate` carries its fields and their docstrings into the
CRD, `kubectl explain` and the reference, and the contract suite picks it up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

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
from assay_runner.errors import InvalidInput, did_you_mean

__all__ = ["CHECKS", "Check", "check_problems", "parse_checks"]

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
    checks, found = _parsed(spec.checks)
    if found:
        raise InvalidInput("; ".join(found))
    return tuple(checks)


def check_problems(entries: Sequence[object]) -> list[str]:
    """What is wrong with the checks of an audit that has other problems; entries that are no check are passed over."""
    return _parsed([entry if _is_check(entry) else {} for entry in entries])[1]


def _is_check(entry: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    [(name, parameters)] = entry.items()
    return isinstance(name, str) and isinstance(parameters, dict)


def _parsed(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Check], list[str]]:
    """The checks, and one sentence per problem, led by the path of the field."""
    checks: list[Check] = []
    found: list[str] = []
    for index, entry in enumerate(entries):
        path = f"spec.checks[{index}]"
        for name, parameters in entry.items():
            if name not in CHECKS:
                found.append(f"{path}.{name}: unknown check; there are {', '.join(CHECKS)}{did_you_mean(name, CHECKS)}")
                continue
            try:
                checks.append(parse(CHECKS[name], parameters))
            except ValidationError as error:
                # What is wrong with the parameters as a whole has no field to name.
                from assay_api.partial import broken_rules

                broken = broken_rules(CHECKS[name], parameters)
                told = [each.removeprefix("document") for each in dict.fromkeys((*problems(error), *broken))]
                found.extend(f"{path}.{name}{'' if each.startswith(':') else '.'}{each}" for each in told)
    return checks, found
