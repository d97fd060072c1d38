"""The Markdown table of the candidates of some reports, as it stands in the documentation.

python -m tests.gpu.table REPORT.json…
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from assay_api.model import parse
from assay_api.report import CandidateReport, Report

__all__ = ["table"]

HEAD = ("model", "candidate", "top-1", "golden", "verdict", "median of a batch", "engine", "layers ran in")


def row(audit: str, found: CandidateReport) -> tuple[str, ...]:
    """One candidate; what was not measured is a dash, or the reason."""
    if found.error:
        return (audit, found.name, "–", "–", found.verdict.value, "–", "–", found.error)
    latency = f"{found.latency.median_ms:.3f} ms of {found.latency.batch}" if found.latency else "–"
    layers = ", ".join(f"{count} {name}" for name, count in sorted(found.achieved.items())) or "–"
    size = f"{found.size / 1e6:.2f} MB" if found.size else "–"
    return (audit, found.name, *_accuracy(found), found.verdict.value, latency, size, layers)


def _accuracy(found: CandidateReport) -> tuple[str, str]:
    values = [found.accuracy.get(name) for name in ("top1", "goldenTop1")]
    first, second = ("–" if value is None else f"{100 * value:.2f} %" for value in values)
    return first, second


def table(reports: Iterable[Report]) -> str:
    """All candidates of all reports, in their order."""
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [row(report.audit, found) for report in reports for found in report.candidates]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    asked = parser.parse_args()
    if missing := [str(path) for path in asked.reports if not path.is_file()]:
        parser.error(f"{missing[0]} is no file: name report.json of one audit or several")
    print(table(parse(Report, json.loads(path.read_bytes())) for path in asked.reports))


if __name__ == "__main__":
    main()
