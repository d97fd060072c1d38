"""How a verdict came about, in two tables: golden's own noise, and what computed golden and candidates from what."""

from __future__ import annotations

from typing import Any

from assay_api.report import Report
from assay_runner.report.figures import figure

_AGAINST = {"fp64": "FP64", "reordered": "another order and batch", "unoptimised": "optimisations off"}


def noise(report: Report) -> list[dict[str, Any]]:
    """A row per output and run that golden was held against; nothing where none was."""
    rows = []
    for entry in report.golden.floors or ():
        values = entry.model_dump(by_alias=True)
        figures = {metric: figure(metric, values[metric]) for metric in ("snr", "psnr", "maxAbs", "maxRel", "cosine")}
        rows.append({"output": entry.output, "against": _AGAINST[entry.against], "samples": entry.samples, **figures})
    return rows


def provenance(report: Report) -> list[dict[str, Any]]:
    """A row for golden, where it was computed, and for each candidate that ran."""
    made = [("golden", report.golden.provenance), *((each.name, each.provenance) for each in report.candidates)]
    return [{"of": name, **entry.model_dump(by_alias=True, exclude_none=True)} for name, entry in made if entry]
