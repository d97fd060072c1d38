"""When each alert fires and when it ends, as series that Prometheus' own promtool is fed.

A case is the series of one story, in steps of one minute, a minute at which the alert fires and one at which it has
ended. Values are promtool's: `0x10` is 0 eleven times, `0+60x10` grows by 60 ten times, `_x10` is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OF = 'namespace="assay-system",job="assay-metrics"'


@dataclass(frozen=True)
class Story:
    """What happens, and what of it calls for help.

    Attributes:
        series: values by metric and labels of its own.
        fires: a minute at which the alert fires.
        ended: a later minute at which it does not.
        quiet: minutes before, at which it does not either.
    """

    series: dict[str, str]
    fires: int
    ended: int
    quiet: tuple[int, ...] = (0,)


def counted(metric: str, at: int = 20) -> dict[str, str]:
    """A counter that one thing is counted by, `at` minutes in."""
    return {metric: f"0x{at - 1} 1x300"}


def aged(phase: str, late: int, more: int, word: str = "audit") -> dict[str, str]:
    """The oldest of a phase gets older by a minute a minute, then is done."""
    return {f'assay_oldest_{word}_seconds{{phase="{phase}"}}': f"0+60x{late // 60 + more} 0x60"}


STORIES = {
    "AssayOperatorDown": Story({"assay_operator_leader": "1x10 _x20 1x10"}, fires=25, ended=35, quiet=(5, 12)),
    "AssayTwoLeaders": Story(
        {'assay_operator_leader{pod="a"}': "1x40", 'assay_operator_leader{pod="b"}': "0x9 1x9 0x20"}, 15, 25, (5, 10)
    ),
    # Seconds since 1970 of a clock that starts there: it got on each minute, then for an hour not, then again.
    "AssayOperatorNotProgressing": Story(
        {"assay_operator_last_progress_timestamp_seconds": "0+60x20 1200x60 4920+60x20"}, 60, 95, (10, 30)
    ),
    "AssayQueueNotDraining": Story({"assay_queue_depth": "500x30 3x30"}, 25, 35, (0, 5, 12)),
    "AssayApiErrors": Story({'assay_api_errors_total{verb="GET",code="500"}': "0x9 0+120x40 4800x60"}, 35, 70, (5, 12)),
    "AssayPassesFail": Story(counted('assay_reconciles_total{result="exception"}'), 25, 40, (0, 15)),
    "AssayStatusRefused": Story(counted('assay_status_writes_total{result="refused"}'), 30, 90, (0, 15)),
    "AssayAuditsStalled": Story(counted('assay_runs_ended_total{reason="OutOfMemory"}'), 30, 90, (0, 15)),
    "AssayAuditsBreached": Story(counted('assay_runs_ended_total{reason="Breached"}'), 30, 90, (0, 15)),
    "AssayAuditPendingTooLong": Story(aged("Pending", 3600, 30), 70, 100, (30, 62)),
    "AssayAuditRunningTooLong": Story(aged("Running", 172800, 30), 2890, 2920, (2000, 2882)),
    "AssaySweepCellsFailed": Story(counted('assay_sweep_cells_total{ended="errors"}'), 30, 90, (0, 15)),
    "AssaySweepCellsRegressed": Story(counted('assay_sweep_cells_total{ended="regressed"}'), 30, 90, (0, 15)),
    "AssaySweepsStalled": Story(counted('assay_sweep_runs_ended_total{reason="InvalidInput"}'), 30, 90, (0, 15)),
    "AssaySweepOverBudget": Story(counted('assay_sweep_runs_ended_total{reason="OverBudget"}'), 30, 90, (0, 15)),
    "AssaySweepRunsMissed": Story(counted("assay_sweep_runs_missed_total"), 30, 90, (0, 15)),
    "AssaySweepRunningTooLong": Story(aged("Running", 172800, 30, "sweep"), 2890, 2920, (2000, 2882)),
    "AssayGpusNamed": Story(
        {'assay_screening_named_gpus{screening_namespace="ml",screening="h100"}': "0x9 2x30 0x60"}, 20, 45, (0, 8)
    ),
    "AssayScreeningRunningTooLong": Story(aged("Running", 86400, 30, "screening"), 1450, 1480, (1000, 1442)),
    "AssayStorageTrouble": Story({"assay_tasks_waiting_for_storage": "0x9 2x19 0x30"}, 20, 32, (5, 12)),
    "AssayJobsRefused": Story(counted('assay_jobs_refused_total{code="403"}'), 30, 45, (0, 15, 22)),
    "AssayTasksOutOfMemory": Story(
        counted('assay_task_pods_total{kind="candidate",ended="OutOfMemory"}'), 30, 90, (0, 15)
    ),
}  # fmt: skip
# One alert has a second cause.
MORE = [
    (
        "AssayStorageTrouble",
        Story(counted('assay_task_pods_total{kind="golden",ended="Outage"}'), 30, 40, (15, 22)),
    ),
    ("AssayAuditsStalled", Story(counted('assay_runs_ended_total{reason="Other"}'), 30, 90, (15,))),
    ("AssaySweepsStalled", Story(counted('assay_sweep_runs_ended_total{reason="Other"}'), 30, 90, (15,))),
    ("AssaySweepCellsFailed", Story(counted('assay_sweep_cells_total{ended="failed"}'), 30, 90, (15,))),
    ("AssaySweepCellsFailed", Story(counted('assay_sweep_cells_total{ended="inconclusive"}'), 30, 90, (15,))),
]
# What must call nobody: audits that passed, were breached long ago or go on as they should, and one short blip.
CALM = {
    'assay_runs_ended_total{reason="Passed"}': "0+1x200",
    'assay_sweep_runs_ended_total{reason="Passed"}': "0+1x200",
    'assay_sweep_cells_total{ended="passed"}': "0+9x200",
    'assay_sweep_cells_total{ended="unchanged"}': "0+9x200",
    'assay_sweep_cells_total{ended="failed"}': "7x200",
    'assay_oldest_sweep_seconds{phase="Running"}': "0+60x200",
    "assay_sweep_runs_missed_total": "3x200",
    'assay_screening_named_gpus{screening_namespace="ml",screening="h100"}': "0x200",
    'assay_oldest_screening_seconds{phase="Running"}': "0+60x200",
    'assay_runs_ended_total{reason="Error"}': "7x200",
    'assay_audits{phase="Stalled",verdict="Failed"}': "12x200",
    'assay_oldest_audit_seconds{phase="Running"}': "0+60x200",
    'assay_oldest_audit_seconds{phase="Pending"}': "30x200",
    'assay_task_pods_total{kind="candidate",ended="Disrupted"}': "0+1x200",
    'assay_task_pods_total{kind="candidate",ended="Succeeded"}': "0+1x200",
    'assay_task_pods_total{kind="golden",ended="Setup"}': "0+1x200",
    'assay_tasks_waiting_for_storage': "0x30 3x1 0x170",
    'assay_operator_leader{pod="a"}': "1x200",
    'assay_operator_leader{pod="b"}': "0x200",
    "assay_operator_last_progress_timestamp_seconds": "0+60x200",
    'assay_operator_last_progress_timestamp_seconds{pod="b"}': "0x200",
    'assay_api_errors_total{verb="PATCH",code="409"}': "0+5x200",
}  # fmt: skip


def _named(series: str) -> str:
    """The series with the labels that scraping gives it."""
    metric, _, labels = series.partition("{")
    own = labels.rstrip("}")
    return f"{metric}{{{OF}{',' if own else ''}{own}}}"


def checked(alert: str, story: Story) -> dict[str, Any]:
    """The story as a test of promtool's."""
    return {
        "interval": "1m",
        "name": alert,
        "input_series": [{"series": _named(name), "values": values} for name, values in story.series.items()],
        "promql_expr_test": [
            _expected(alert, minute, fires=minute == story.fires) for minute in (*story.quiet, story.fires, story.ended)
        ],
    }


def checked_calm(alerts: list[str]) -> dict[str, Any]:
    """That none of the alerts fires while all is well."""
    return {
        "interval": "1m",
        "name": "calm",
        "input_series": [{"series": _named(name), "values": values} for name, values in CALM.items()],
        "promql_expr_test": [_expected(alert, minute, fires=False) for alert in alerts for minute in range(0, 200, 5)],
    }


def _expected(alert: str, minute: int, *, fires: bool) -> dict[str, Any]:
    samples = [{"labels": "{}", "value": 1}] if fires else []
    expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}
