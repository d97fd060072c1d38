"""Every alert is seen to fire and to end, by Prometheus' own promtool."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.alerts import MORE, STORIES, checked, checked_calm
from tests.chart.conftest import ROOT, Chart, named
from tests.lab import toolchain


@pytest.fixture(scope="module")
def rules(chart: Chart, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as Prometheus reads them."""
    made = chart.render("--set", "metrics.prometheusRule.enabled=true")
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(json.dumps(named(made, "PrometheusRule")["spec"]))
    return path


def promtool(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [toolchain.promtool(), *arguments], text=True, capture_output=True, check=False, timeout=120, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(rules: Path) -> list[str]:
    return [rule["alert"] for group in json.loads(rules.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules(rules: Path) -> None:
    assert f"{len(names(rules))} rules found" in promtool("check", "rules", "--lint-fatal", str(rules))


def test_every_alert_has_its_story(rules: Path) -> None:
    assert sorted(STORIES) == sorted(names(rules))


def test_every_alert_is_documented(rules: Path) -> None:
    rows = re.findall(r"^\| `(Assay\w+)` \| (\w+) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    made = [rule for group in json.loads(rules.read_text())["groups"] for rule in group["rules"]]
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in made]


def told(rules: Path, *tests: dict[str, Any]) -> str:
    path = rules.with_name("tests.yaml")
    path.write_text(json.dumps({"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}))
    return promtool("test", "rules", path.name, cwd=rules.parent)


@pytest.mark.parametrize("alert", STORIES)
def test_an_alert_fires_and_ends(rules: Path, alert: str) -> None:
    stories = [STORIES[alert], *(story for name, story in MORE if name == alert)]
    assert "SUCCESS" in told(rules, *(checked(alert, story) for story in stories))


def test_nobody_is_called_while_all_is_well(rules: Path) -> None:
    assert "SUCCESS" in told(rules, checked_calm(names(rules)))


def test_an_alert_that_does_not_fire_is_noticed(rules: Path) -> None:
    with pytest.raises(AssertionError, match="FAILED"):
        told(rules, checked("AssayAuditsStalled", STORIES["AssayAuditsBreached"]))
