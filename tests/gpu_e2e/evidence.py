"""What was seen on the node, as few files for whoever was not there: `$ASSAY_GPU_OUT`, else nothing is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

__all__ = ["FIGURE", "Evidence", "figures"]

KEEP: Final = "ASSAY_GPU_OUT"
FIGURE: Final = "figure"
"""Property of a test's report: a line to print beneath the run, `name value goal ok|MISS`."""


class Evidence:
    """Facts by name, and texts by file; written at once whenever one is added, for the next test may be the last."""

    def __init__(self) -> None:
        named = os.environ.get(KEEP)
        self.folder = Path(named) if named else None
        self.facts: dict[str, Any] = {}

    def fact(self, name: str, value: Any) -> None:
        """Keep a value, in `facts.json`."""
        self.facts[name] = value
        self._write("facts.json", json.dumps(self.facts, indent=1, sort_keys=True, default=str))

    def text(self, file: str, title: str, body: str) -> None:
        """Add a text to a file, under its title."""
        if self.folder and (self.folder / file).exists():
            body = f"{(self.folder / file).read_text()}\n=== {title}\n{body}"
        else:
            body = f"=== {title}\n{body}"
        self._write(file, body)

    def blob(self, file: str, body: bytes) -> None:
        """Keep a file as it is."""
        self._write(file, body)

    def _write(self, file: str, body: str | bytes) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(body if isinstance(body, bytes) else body.encode())


def figures(reports: Iterable[object]) -> list[str]:
    """Lines that tests recorded under `FIGURE`, each once: a test has a report for its setup, its call and its end."""
    found = (line for report in reports for what, line in getattr(report, "user_properties", ()) if what == FIGURE)
    return list(dict.fromkeys(str(line) for line in found))
