"""The Grafana dashboard: every panel asks what Prometheus understands, and gets an answer from what is served."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assay_operator.audits.observed import Audit
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.kind import Item
from assay_operator.objects.resources import JOBS
from assay_operator.process.metrics import Metrics
from assay_operator.sweeps.observed import Sweep
from tests.chart.alerts import OF
from tests.chart.conftest import Chart, kinds, named
from tests.chart.test_alerts import promtool

ON = "metrics.dashboard.enabled=true"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
SCRAPED = f'{OF},pod="assay-0"'


@pytest.fixture(scope="module")
def dashboard(chart: Chart) -> dict[str, Any]:
    made = named(chart.render("--set", ON), "ConfigMap")
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    return dict(json.loads(made["data"]["assay.json"]))


def questions(dashboard: dict[str, Any]) -> list[str]:
    """Every expression of every panel, its variables replaced as Grafana does."""
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    values = {"$namespace": "assay-system", "$job": "assay-metrics", "$__rate_interval": "2m"}
    for name, value in values.items():
        asked = [expr.replace(name, value) for expr in asked]
    return asked


def served() -> str:
    """What an operator serves that has seen a little of everything."""
    metrics = Metrics({"default": 2.0})
    raw: dict[str, Any] = {"metadata": {"namespace": "team", "name": "a", "uid": "u", "resourceVersion": "1"},
           "status": {"phase": "Running", "conditions": [{"type": "Ready", "reason": "Running"}]}}  # fmt: skip
    audit = Audit.of(raw)
    pod = Pod("p", "p", "1", job="j", task="t", created=THEN, kind="golden", phase="Running")
    job = Job("j", "j", "1", owner="u", run="r", task="t", created=THEN, kind="golden", started=THEN)
    meta: dict[str, Any] = {**raw["metadata"], "creationTimestamp": "2026-01-01T00:00:00Z"}
    sweep = Sweep.of({**raw, "metadata": meta})
    spent = {"candidates": [{"name": "fp16@NVIDIA-L4", "verdict": "Passed", "gpuSeconds": 60}]}
    metrics.watch({"audit": lambda: [audit], "sweep": lambda: [sweep]}, lambda: [(pod, False)], lambda: 0.0)
    item = Item(JOBS, audit.key.group, job)
    metrics.outcomes.saw(item, pod, replace(pod, phase="Failed"))
    metrics.outcomes.saw(item, job, replace(job, succeeded=True, ended=THEN + timedelta(seconds=20)))
    over = replace(audit, complete=True, until=audit.since + 30, reason="Passed", status=json.dumps(spent).encode())
    metrics.outcomes.saw(item, audit, over)
    metrics.reconciles.labels("ok").inc()
    metrics.seconds.observe(0.01)
    metrics.jobs.labels("golden").inc()
    metrics.statuses.labels("written").inc()
    metrics.events.labels("posted").inc()
    metrics.failed("GET", 500)
    return metrics.text().decode()


def series_of(text: str) -> list[dict[str, str]]:
    """The exposition as promtool's series, as scraped each minute while all of it grows."""
    found = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = "".join(f',{name}="{value}"' for name, value in sample.labels.items())
            found.append({"series": f"{sample.name}{{{SCRAPED}{labels}}}", "values": f"{sample.value:.0f}+1x120"})
    return found


def test_it_is_asked_for(default: list[dict[str, Any]], chart: Chart) -> None:
    assert "ConfigMap" not in kinds(default)
    assert "ConfigMap" not in kinds(chart.render("--set", f"{ON},metrics.enabled=false"))
    made = named(chart.render("--set", f"{ON},metrics.dashboard.annotations.grafana_folder=Models"), "ConfigMap")
    assert made["metadata"]["annotations"] == {"grafana_folder": "Models"}


def test_every_panel_is_laid_out_and_told_of(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith(".")


def test_every_query_speaks_of_metrics_that_there_are(dashboard: dict[str, Any]) -> None:
    text = served()
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    for query in [
        *questions(dashboard),
        *(v["definition"] for v in dashboard["templating"]["list"] if "definition" in v),
    ]:
        asked = set(re.findall(r"\b(?:assay|process)_\w+(?=[{,])", query))
        assert asked, query
        assert asked <= names, query


def test_every_query_gets_an_answer(dashboard: dict[str, Any], tmp_path: Path) -> None:
    asked = questions(dashboard)
    assert len(asked) >= 20
    expected = [{"labels": "{}", "value": 1}]
    tests = [{"expr": f"count({expr}) > bool 0", "eval_time": "100m", "exp_samples": expected} for expr in asked]
    story = {"interval": "1m", "input_series": series_of(served()), "promql_expr_test": tests}
    (tmp_path / "rules.yaml").write_text("groups: []")
    (tmp_path / "tests.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": [story]}))
    assert "SUCCESS" in promtool("test", "rules", "tests.yaml", cwd=tmp_path)
