"""What came of repairs, in words that page, terminal, status and recommendation share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from assay_api.repair import RemedyEntry, RepairEntry
from assay_api.report import Report

OUTCOMES: Final = {
    "Cured": "cured",
    "SearchOnly": "passes on the samples it was searched with only",
    "OutOfBudget": "not cured within the budget",
    "Inconclusive": "could not be judged",
    "NotCured": "not cured",
    "DoesNotApply": "no remedy applies",
}
"""Every outcome of a remedy in a few words, what is worth most first."""
_WORTH: Final = tuple(OUTCOMES)


def best_remedies(repairs: Iterable[RepairEntry]) -> tuple[RemedyEntry, ...]:
    """For each candidate that failed the remedy that came to most, in the order of the candidates."""
    found: dict[str, RemedyEntry] = {}
    for entry in (entry for repair in repairs for entry in repair.remedies):
        before = found.get(entry.candidate)
        if before is None or _WORTH.index(entry.outcome) < _WORTH.index(before.outcome):
            found[entry.candidate] = entry
    return tuple(found.values())


def told(repairs: Iterable[RepairEntry]) -> str:
    """What came of every candidate that failed, in one sentence; empty where none was looked at."""
    return "; ".join(f"{entry.candidate}: {_said(entry)}" for entry in best_remedies(repairs))


def _said(entry: RemedyEntry) -> str:
    if entry.outcome == "DoesNotApply":
        return OUTCOMES[entry.outcome]
    how = f" by {entry.remedy} as {entry.repaired}" if entry.outcome == "Cured" else f" ({entry.remedy})"
    return f"{OUTCOMES[entry.outcome]}{how}"


def repair_of(report: Report, key: str) -> RemedyEntry | None:
    """The remedy that made a repaired candidate."""
    entries = (entry for repair in report.repair for entry in repair.remedies)
    return next((entry for entry in entries if entry.repaired == key), None)
