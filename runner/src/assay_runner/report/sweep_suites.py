"""The cells of a sweep as suites of cases: a suite per model, a case per candidate, GPU product and image."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from assay_api.report import Verdict
from assay_runner.report.suites import OUTCOMES, Case, Results, Suite
from assay_runner.report.sweep_cells import CellShown, SweepShown

GOING: Final = "is still being audited"


def results_of_sweep(shown: SweepShown) -> Results:
    """The results of a sweep; all passed only where every cell did."""
    suites = [
        Suite(model, tuple(map(_case, cells))) for model, cells in groupby(shown.cells, key=lambda cell: cell.model)
    ]
    trouble = shown.run_of.trouble.rstrip(".")
    more = [Case("run", "error", "run.Inconclusive", trouble, trouble)] if trouble else []
    parts = [doubt for doubt in shown.doubts if doubt != trouble]
    if shown.unread:
        parts.append(f"{shown.unread} audits could not be read")
    if parts or not (shown.cells or trouble):
        # Cells of which nothing tells are no part of a green answer.
        told = "; ".join(parts) or "the sweep has no cell"
        more.append(Case("cells", "error", "cells.Inconclusive", told, told))
    if more:
        suites.append(Suite("sweep", tuple(more)))
    created = str(shown.status.get("completionTime") or shown.status.get("updateTime") or "")
    return Results(shown.name, tuple(suites), created, identity=shown.run)


def _case(cell: CellShown) -> Case:
    name = f"{cell.column.candidate} {cell.column.image}".strip()
    audit = f" (audit {cell.audit})" if cell.audit else ""
    told = f"{cell.message or cell.cause}{audit}"
    if cell.verdict is None:
        why = f"{GOING}{audit}" if cell.going and audit else told
        return Case(name, "error", "cell.Going" if cell.going else "cell.Error", why, why)
    if cell.regressed:
        # Within its limits or not: it is worse than what somebody accepted, and nothing else tells a pipeline so.
        why = _beside(cell) or f"regressed: {told}"
        kind = "regressed.Failed" if cell.verdict is Verdict.FAILED else "cell.Regressed"
        return Case(name, "failure", kind, why, f"{why}\n{cell.verdict}: {told}" if cell.state else why)
    if OUTCOMES[cell.verdict] == "passed":
        return Case(name, "passed", text=f"{told}\n{_beside(cell)}" if cell.state else told)
    return Case(name, OUTCOMES[cell.verdict], f"cell.{cell.verdict}", told, told)


def _beside(cell: CellShown) -> str:
    """What a cell is beside what was accepted of it, in one sentence; nothing where nothing tells."""
    if not cell.state:
        return ""
    why = f": {cell.beside}" if cell.beside else ""
    causes = f" ({cell.cause})" if cell.state == "Regressed" else ""
    accepted = f"; accepted by {cell.accepted}" if cell.accepted else ""
    return f"{cell.state} beside what was accepted{why}{causes}{accepted}"
