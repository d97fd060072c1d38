"""How a run of a sweep ends, and its cells in words."""

from __future__ import annotations

from assay_api.names import Reason
from assay_api.sweep import SweepSpec
from assay_api.sweep_status import SweepCounts
from assay_operator.audits.outcome import Outcome
from assay_operator.sweeps.manifests import sentences
from assay_operator.sweeps.planning import HOUR, Plan
from assay_operator.sweeps.status import verdict_of


def outcome(spec: SweepSpec, plan: Plan, found: SweepCounts) -> Outcome:
    """How a run ends."""
    verdict, told = verdict_of(found), f"{said(found)} of {found.cells} cells"
    if plan.refused or plan.short:
        message = _too_dear(spec, plan) if plan.refused else _spent(spec, plan, found)
        return Outcome(Reason.OVER_BUDGET, Reason.OVER_BUDGET, f"{told}; {message}", verdict)
    if found.failed:
        return Outcome(Reason.BREACHED, Reason.BREACHED, told, verdict)
    if found.errors:
        ask = "the next run tries again, as a new annotation assay.dev/rerun-failed does"
        return Outcome(Reason.ERROR, Reason.ERROR, f"{told}; {ask}", verdict)
    reason = Reason.INCONCLUSIVE if found.inconclusive else Reason.PASSED
    return Outcome(reason, reason, told, verdict)


def said(found: SweepCounts) -> str:
    """Cells by what came of them, in words."""
    told = {
        "passed": found.passed, "failed": found.failed, "inconclusive": found.inconclusive,
        "without an answer": found.errors,
    }  # fmt: skip
    counted = ", ".join(f"{count} {word}" for word, count in told.items() if count) or "0 finished"
    return f"{counted} ({found.regressed} regressed)" if found.regressed else counted


def _too_dear(spec: SweepSpec, plan: Plan) -> str:
    cells, budget = sum(len(ask.cells) for ask in plan.short), spec.budget.gpu_hours if spec.budget else 0.0
    return (
        f"not begun: {cells} cells have changed and would take {(plan.estimated or 0) / HOUR:.3g} GPU hours by the "
        f"medians of earlier audits, more than the budget of {budget:g}: raise spec.budget.gpuHours, or set "
        "spec.budget.whenOver: Halt to audit the first ones"
    )


def _spent(spec: SweepSpec, plan: Plan, found: SweepCounts) -> str:
    budget = spec.budget.gpu_hours if spec.budget else 0.0
    return (
        f"{found.over_budget} not audited, for the budget of {budget:g} GPU hours is spent ({sentences(plan.short)}): "
        "the next run goes on with them, and so does this one once spec.budget.gpuHours is raised"
    )
