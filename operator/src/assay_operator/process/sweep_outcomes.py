"""What runs of sweeps came to, counted when this process sees one end."""

from __future__ import annotations

import json
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter

from assay_api.names import Condition, Reason
from assay_operator.objects.raw import condition, unpacked

REASONS: Final = (
    Reason.PASSED, Reason.BREACHED, Reason.INCONCLUSIVE, Reason.INVALID_INPUT, Reason.ERROR, Reason.OVER_BUDGET,
)  # fmt: skip
OTHER: Final = "Other"
CELLS: Final = ("passed", "failed", "inconclusive", "errors", "overBudget", "unchanged", "regressed")
"""Counts of a status, by their names there."""


class SweepOutcomes:
    """Counters of runs of sweeps and of their cells.

    Args:
        registry: where they are served from.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "assay_sweep_runs_ended", "Runs of sweeps by the reason of their end.", ["reason"], registry=registry
        )
        self.cells = Counter(
            "assay_sweep_cells", "Cells of runs that ended, by what came of them.", ["ended"], registry=registry
        )
        self.missed = Counter("assay_sweep_runs_missed", "Scheduled runs that were dropped.", registry=registry)
        # There from the start, for Prometheus sees no increase in what was not there before.
        for reason in (*REASONS, OTHER):
            self.runs.labels(reason)
        for ended in CELLS:
            self.cells.labels(ended)

    def saw(self, before: bytes, now: bytes) -> None:
        """Count what happened between two statuses of a sweep, which may be packed."""
        if before == now:
            return
        old, new = json.loads(unpacked(before)), json.loads(unpacked(now))
        if (more := _number(new.get("missedRuns")) - _number(old.get("missedRuns"))) > 0:
            self.missed.inc(more)
        if new.get("completionTime") and new.get("completionTime") != old.get("completionTime"):
            self._ended(new)

    def _ended(self, status: dict[str, Any]) -> None:
        reason = condition(status, Condition.COMPLETE).get("reason")
        self.runs.labels(reason if reason in REASONS else OTHER).inc()
        counts = status.get("counts") or {}
        for ended in CELLS:
            self.cells.labels(ended).inc(max(_number(counts.get(ended)), 0))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
