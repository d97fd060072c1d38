"""How one build is judged: by outputs first, and read back for what was to stay wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from assay_api.numbers import Number
from assay_api.repair import TrialEntry
from assay_api.report import Finding, Verdict
from assay_runner.backends.subject import Subject
from assay_runner.backends.tensorrt.hold_layers import slips
from assay_runner.checks import Check
from assay_runner.checks.latency import latency_of
from assay_runner.checks.layer_constraints import LayerConstraints
from assay_runner.evidence import ScoresWanted, TimingWanted
from assay_runner.passes.metric_code import metric_version
from assay_runner.passes.setting import Setting
from assay_runner.remedies.case import Design
from assay_runner.remedies.judged import Judged, Said
from assay_runner.remedies.spending import Oracle
from assay_runner.remedies.splits import Part
from assay_runner.trial.measure import Measured
from assay_runner.trial.trial import judge, trial

OF_PRECISION: Final = frozenset(
    {"finite", "outputDrift", "layerDrift", "fp16Range", "layerConstraints", "labelAccuracy", "metric", "detections"}
)
"""Checks whose answer follows from the precision of nodes and the ranges of tensors: those a search looks at first."""
TIMED: Final = TimingWanted()
OF_OUTPUTS: Final = frozenset({"outputDrift", "labelAccuracy", "metric", "detections"})
"""Checks that look at outputs alone: a trial that they fail is over."""


def judged_in_turn(setting: Setting, checks: Sequence[Check]) -> tuple[tuple[Said, ...], Number | None]:
    """First by outputs alone, and only where they pass by what takes longer; and how long a batch takes an engine."""
    found: list[Said] = []
    for part in (OF_OUTPUTS, None):
        chosen = [check for check in checks if (check.name in OF_OUTPUTS) == (part is not None)]
        if not chosen:
            continue
        evidence = trial(setting, [need for check in chosen for need in check.needs])
        found += map(Said.of, judge(chosen, evidence))
        if any(said.verdict is Verdict.FAILED for said in found):
            return tuple(found), None
    if setting.subject.built.emulated:
        return tuple(found), None
    timing = trial(setting, [TIMED]).any(TimingWanted)
    return tuple(found), latency_of(timing).median_ms if timing else None


def failed_by_slips(measured: Measured, kept: Sequence[str], key: str) -> Measured:
    """The same, failed where a node of the engine did not stay as wide as it is held."""
    if not kept:
        return measured
    told = Finding(candidate=key, check=LayerConstraints.name, verdict=Verdict.FAILED, message=kept[0])
    others = tuple(each for each in measured.findings if each.check != told.check)
    return Measured(measured.report.model_copy(update={"verdict": Verdict.FAILED}), (told, *others))


def kept_wide(subject: Subject, held: Mapping[str, str]) -> tuple[str, ...]:
    """Where an engine does not run its nodes as wide as they are held."""
    engine = subject.built.engine
    return slips(engine.layers, held, wider=True) if engine is not None else ()


def entry_of(
    number: int, design: Design, found: Judged, *, remedy: str, oracle: Oracle, split: Part, known: bool
) -> TrialEntry:
    """A trial as the report tells it."""
    shown = found.shown
    return TrialEntry(
        number=number,
        remedy=remedy,
        oracle=oracle,
        split=split.kind,
        words=design.words,
        wide=len(design.order.held),
        verdict=found.verdict,
        because=found.slips[0] if found.slips else shown.message if shown else "",
        metric=shown.metric if shown else None,
        value=shown.value if shown else None,
        limit=shown.limit if shown else None,
        latency_ms=found.latency_ms,
        seconds=found.seconds,
        known=known,
    )


def metrics_of(checks: Sequence[Check]) -> str:
    """Which code the user's own metrics are, of those that these checks ask for.

    Raises:
        InvalidInput: one cannot be found.
    """
    names = {need.metric for check in checks for need in check.needs if isinstance(need, ScoresWanted)}
    return " ".join(metric_version(name) for name in sorted(names))
