"""One candidate, measured, judged and told: a trial, a second look where fused layers hide the cause, a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from assay_api.report import CandidateReport, Finding, Verdict
from assay_runner.backends.seams import Accounting
from assay_runner.checks import Check
from assay_runner.checks.builds import builds_of, spoken
from assay_runner.checks.check import inconclusive_if
from assay_runner.checks.output_drift import OutputDrift
from assay_runner.errors import InvalidInput
from assay_runner.evidence import DigestWanted, Evidence, Need
from assay_runner.passes import PASSES
from assay_runner.passes.setting import Setting
from assay_runner.trial.kept_wide import keep_wide
from assay_runner.trial.report import candidate_report
from assay_runner.trial.split_layers import split_layers
from assay_runner.trial.trial import judge, located, trial


class Measured(NamedTuple):
    """One candidate's report and findings, worst finding first."""

    report: CandidateReport
    findings: tuple[Finding, ...]


def measure(setting: Setting, checks: Sequence[Check], doubt: str = "") -> Measured:
    """Measure a built candidate and judge it.

    Args:
        setting: what is measured.
        checks: what is asked.
        doubt: why nothing that would pass may be said to, or empty.

    Raises:
        InvalidInput: model and data do not fit each other, or a check names an output that is not there.
        Unavailable: memory or the device gave out.
    """
    _check_outputs(checks, tuple(setting.subject.outputs))
    wanted: list[Need[Any]] = [need for check in checks for need in check.needs]
    if any(PASSES[type(need)].reads_outputs for need in wanted if type(need) in PASSES):
        # What is run anyway: so that a later audit can tell that nothing has changed.
        wanted.append(DigestWanted())
    asking = {need: tuple(check.name for check in checks if need in check.needs) for need in wanted}
    setting = replace(located(setting, wanted), askers=asking)
    backend, built = setting.subject.backend, setting.subject.built
    if isinstance(backend, Accounting) and (to_come := builds_of(checks)):
        setting.progress.note(f"builds to come: {spoken(to_come)}")
    evidence = trial(setting, wanted)
    findings = judge(checks, evidence)
    closer = split_layers(setting, checks, evidence, findings)
    if closer is not evidence:
        evidence, findings = closer, judge(checks, closer)
    closer = keep_wide(setting, evidence, findings)
    if closer is not evidence:
        evidence, findings = closer, judge(checks, closer)
    report, ordered = candidate_report(setting.subject, checks, evidence, _doubted(doubt, findings))
    made = backend.made(built) if isinstance(backend, Accounting) else ()
    return Measured(report.model_copy(update={"builds": made, "seconds": _seconds(checks, evidence)}), ordered)


def _seconds(checks: Sequence[Check], evidence: Evidence) -> dict[str, float]:
    """Seconds by check: what several asked for is shared out equally, and so is the plain run."""
    asking = Counter(need for check in checks for need in set(check.needs))
    served = sum(evidence.times.milliseconds) / 1000 / max(len(checks), 1)
    found: dict[str, float] = {}
    for check in checks:
        own = sum(evidence.seconds.get(need, 0.0) / asking[need] for need in set(check.needs))
        found[check.name] = round(found.get(check.name, 0.0) + served + own, 3)
    return found


def _doubted(doubt: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, one of them in doubt, which is enough for the verdict: of outputs where there is one that passes.

    What holds for all of them is said once.
    """
    passing = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    chosen = next((finding for finding in passing if finding.check == OutputDrift.name), next(iter(passing), None))
    return [inconclusive_if(doubt, finding) if finding is chosen else finding for finding in findings]


def _check_outputs(checks: Iterable[Check], outputs: Sequence[str]) -> None:
    for check in checks:
        for name in check.outputs_read:
            if name not in outputs:
                raise InvalidInput(
                    f"{check.name} names output {name!r}, but the model's outputs are {', '.join(outputs)}"
                )
