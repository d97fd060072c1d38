"""What an engine tells of itself is asked once: loading an engine for it costs as much as a batch, or many."""

from __future__ import annotations

import json
from pathlib import Path

from assay_runner.backends.tensorrt.description import inspected


def test_what_was_told_once_needs_no_engine(tmp_path: Path) -> None:
    told = tmp_path / "inspected.json"
    told.write_text(json.dumps({"layers": "{}", "verbosity": "DETAILED", "memory": 7}))
    assert inspected(tmp_path / "there-is-no-plan", told) == {"layers": "{}", "verbosity": "DETAILED", "memory": 7}
