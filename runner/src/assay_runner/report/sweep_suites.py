"""The cells of a sweep as suites of cases: a suite per model, a case per candidate, GPU product and image."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from assay_runner.raw import mapping
from assay_runner.report.suites import OUTCOMES, Case, Results, Suite
from assay_runner.report.sweep_cells import CellShown, SweepShown

GOING: Final = "is still being audited"


def results_of_sweep(shown: SweepShown, trouble: str = "") -> Results:
    """The results of a sweep; all passed only where every cell did.

    Args:
        shown: the sweep and its cells.
        trouble: why the sweep has no answer as a whole; empty where its run ended as it should.
    """
    suites = [
        Suite(model, tuple(map(_case, cells))) for model, cells in groupby(shown.cells, key=lambda cell: cell.model)
    ]
    counts = mapping(shown.status.get("counts"))
    more = []
    if trouble:
        more.append(Case("run", "error", "run.Inconclusive", trouble, trouble))
    missing = _number(counts.get("cells")) - len(shown.cells)
    if missing > 0 or shown.unread or not (shown.cells or trouble):
        more.append(_unseen(max(missing, 0), shown))
    if more:
        suites.append(Suite("sweep", tuple(more)))
    created = str(shown.status.get("completionTime") or shown.status.get("updateTime") or "")
    return Results(shown.name, tuple(suites), created, identity=shown.run)


def _case(cell: CellShown) -> Case:
    name = f"{cell.column.candidate} {cell.column.image}".strip()
    told = f"{cell.message or cell.cause} (audit {cell.audit})"
    if cell.verdict is None:
        why = f"{GOING} (audit {cell.audit})" if cell.going else told
        return Case(name, "error", "cell.Going" if cell.going else "cell.Error", why, why)
    if OUTCOMES[cell.verdict] == "passed":
        return Case(name, "passed", text=told)
    told = f"regressed: {told}" if cell.regressed else told
    return Case(name, OUTCOMES[cell.verdict], f"{'regressed' if cell.regressed else 'cell'}.{cell.verdict}", told, told)


def _unseen(missing: int, shown: SweepShown) -> Case:
    """Cells of which no audit tells: they are no part of a green answer."""
    parts = []
    if missing:
        over = _number(mapping(shown.status.get("counts")).get("overBudget"))
        parts.append(f"{missing} cells have no audit" + (f" ({over} are over the budget)" if over else ""))
    if shown.unread:
        parts.append(f"{shown.unread} audits could not be read")
    told = "; ".join(parts) or "the sweep has no cell"
    return Case("cells", "error", "cells.Inconclusive", told, told)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
