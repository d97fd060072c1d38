"""What Prometheus is told to scrape and when it calls for help."""

from __future__ import annotations

import re
from typing import Any

import pytest

from assay_operator.process.metrics import Metrics
from tests.chart.conftest import Chart, kinds, named

BOTH = "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true"


@pytest.fixture(scope="module")
def monitored(chart: Chart) -> list[dict[str, Any]]:
    labels = "metrics.serviceMonitor.labels.release=prom,metrics.prometheusRule.alertLabels.team=ml"
    return chart.render("--set", f"{BOTH},{labels}")


def test_monitoring_is_asked_for(default: list[dict[str, Any]]) -> None:
    assert not {"ServiceMonitor", "PrometheusRule"} & set(kinds(default))


def test_service_monitor_finds_the_service_and_its_port(monitored: list[dict[str, Any]]) -> None:
    monitor, service = named(monitored, "ServiceMonitor"), named(monitored, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["spec"]["endpoints"]] == [p["name"] for p in service["spec"]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prom"
    pods = named(monitored, "Deployment")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()


def test_no_service_without_metrics(chart: Chart) -> None:
    assert not {"Service", "ServiceMonitor"} & set(kinds(chart.render("--set", f"{BOTH},metrics.enabled=false")))


def alerts_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in named(objects, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]


def test_alerts_speak_of_metrics_that_there_are(monitored: list[dict[str, Any]]) -> None:
    metrics = Metrics()
    metrics.watch(dict.fromkeys(("audit", "sweep", "screening"), tuple), lambda: (), lambda: 0.0)
    served = set(re.findall(r"# TYPE (assay_\w+)", metrics.text().decode()))
    rules = alerts_of(monitored)
    assert rules
    for rule in rules:
        assert set(re.findall(r"assay_\w+", rule["expr"])) <= served
        assert 'namespace="assay-system",job="assay-metrics"' in rule["expr"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["labels"]["team"] == "ml"
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize(("resync", "late"), [("300", 1200), ("20", 360)])
def test_lateness_follows_the_resync(chart: Chart, resync: str, late: int) -> None:
    rule = named(chart.render("--set", f"{BOTH},resyncSeconds={resync}"), "PrometheusRule")
    (alert,) = [r for r in alerts_of([rule]) if r["alert"] == "AssayOperatorNotProgressing"]
    assert alert["expr"].endswith(f"> {late}")
