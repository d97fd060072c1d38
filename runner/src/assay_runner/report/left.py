"""What was left for the GPU: named wherever a verdict is, so that a pass claims no more than was measured."""

from __future__ import annotations

from collections.abc import Sequence

from assay_api.report import CandidateReport, LeftForGpu, Report

LEFT = "left for the GPU"


def left_whole(candidate: CandidateReport) -> bool:
    """Whether nothing of a candidate was judged, because only an engine can answer what is asked of it."""
    return any(entry.check is None for entry in candidate.left)


def judged(candidates: Sequence[CandidateReport]) -> tuple[CandidateReport, ...]:
    """Those whose verdicts count: all but the ones left whole, unless nothing else was asked for."""
    return tuple(c for c in candidates if not left_whole(c)) or tuple(candidates)


def told_left(report: Report) -> list[tuple[str, tuple[str, ...], str]]:
    """(what, names of candidates, why) of everything that is left, equal things once."""
    found: dict[tuple[str, str], list[str]] = {}
    for candidate in report.candidates:
        for entry in _worth(candidate):
            found.setdefault((entry.check or "all", entry.message), []).append(candidate.name)
    return [(what, tuple(names), why) for (what, why), names in found.items()]


def left_in_short(report: Report) -> str:
    """The same in one sentence that may follow a verdict; empty where nothing is left."""
    parts: dict[str, list[str]] = {}
    for what, names, _why in told_left(report):
        parts.setdefault(what, []).extend(names)
    if not parts:
        return ""
    said = "; ".join(f"{what} of {_names(list(dict.fromkeys(names)), report)}" for what, names in parts.items())
    return f"Not judged here, left for the GPU: {said}."


def limits_held(words: str, *, left: bool) -> str:
    """Words for limits that were held, and of which ones that is said where some are `left`."""
    return f"{words} that {'is' if words.endswith('limit') else 'are'} judged here" if left else words


def _worth(candidate: CandidateReport) -> tuple[LeftForGpu, ...]:
    """Where the whole candidate is left, what else is left of it goes without saying."""
    whole = tuple(entry for entry in candidate.left if entry.check is None)
    return whole or candidate.left


def _names(names: Sequence[str], report: Report) -> str:
    if len(report.candidates) == len(names) > 1:
        return f"all {len(names)} candidates"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
