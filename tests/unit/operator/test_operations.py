"""docs/operations.md names every metric and every setting, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from assay_operator.kinds import KINDS
from assay_operator.process.metrics import Metrics

ROOT = Path(__file__).parents[3]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_metric_is_listed() -> None:
    metrics = Metrics()
    metrics.watch({kind.custom.word: lambda: () for kind in KINDS}, lambda: (), lambda: 0.0)
    families = re.findall(r"^# TYPE (assay_\w+) (\w+)$", metrics.text().decode(), re.MULTILINE)
    made = {name for name, kind in families if not name.endswith("_created") or kind == "counter"}
    assert set(re.findall(r"^\| `(assay_\w+)", OPERATIONS, re.MULTILINE)) == made


def test_every_setting_is_listed() -> None:
    source = (ROOT / "operator" / "src" / "assay_operator" / "settings.py").read_text()
    rows = [row.split("|")[1] for row in OPERATIONS.splitlines() if row.startswith("| `ASSAY_")]
    listed = [name for row in rows for name in re.findall(r"`(ASSAY_[A-Z_]+)`", row)]
    assert sorted(listed) == sorted(re.findall(r'"(ASSAY_[A-Z_]+)"', source))
