"""What came of repairs, in words that page, terminal, status and recommendation share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from assay_api.repair import RemedyEntry, RepairEntry
from assay_api.report import Report, Verdict
from assay_runner.report.figures import count

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
_VERDICTS: Final = {"Cured": Verdict.PASSED, "SearchOnly": Verdict.FAILED, "NotCured": Verdict.FAILED}


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


def verdict_of(entry: RemedyEntry) -> Verdict:
    """The verdict that an outcome amounts to."""
    return _VERDICTS.get(entry.outcome, Verdict.INCONCLUSIVE)


def budget_words(report: Report, entry: RepairEntry) -> str:
    """What a repair has cost, of what it might."""
    budget = report.spec.remedies.budget if report.spec and report.spec.remedies else None
    of = (
        (f" of {count(budget.builds)}", f" of {count(budget.proposals)}", f" of {budget.minutes} min")
        if budget
        else ("",) * 3
    )
    more = max(0, entry.builds - budget.builds) if budget else 0
    audits = f" and {count(more)} more to audit what was found" if more else ""
    return (
        f"{count(entry.builds - more)}{of[0]} builds{audits}, {count(entry.proposals)}{of[1]} emulations, "
        f"{duration(entry.seconds)}{of[2]}"
    )


def duration(seconds: float) -> str:
    """A time that people wait."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
