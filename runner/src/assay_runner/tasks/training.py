"""Which way to 8 bits is the more accurate: quantised after training, or trained for it.

A team that has both a post-training candidate (PTQ: with calibration) and a candidate trained for it (QAT: with a model
of its own) in one precision wants to know what the training bought. So the best of each are compared: by the label
metric where both have one, else by the signal-to-noise ratio of the worst sample's worst output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay_api.audit import Candidate
from assay_api.report import CandidateReport

Groups = Mapping[str, Sequence[CandidateReport]]
METRICS = ("top1", "top5")


@dataclass(frozen=True)
class _Best:
    """The most accurate of some candidates: its name, its figure, and how many there were."""

    name: str
    figure: float
    of: int


def trained_or_not(groups: Groups, asked: Iterable[Candidate]) -> tuple[str, ...]:
    """One clause per precision and backend that has both a PTQ and a QAT candidate that were measured.

    Args:
        groups: reports by the candidate's name; several where it was audited on several GPU products, of which the
            worst figure counts.
        asked: the candidates as the audit asks for them.
    """
    kinds: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for candidate in asked:
        if candidate.precision in ("int8", "fp8") and candidate.name in groups:
            trained = candidate.calibration is None and candidate.model is not None
            pair = kinds.setdefault((candidate.precision, candidate.backend), ([], []))
            pair[trained].append(candidate.name)
    several = len({precision for precision, _ in kinds}) < len(kinds)
    clauses = []
    for (precision, backend), (after, trained_for) in kinds.items():
        clause = _clause(f"{precision} on {backend}" if several else precision, groups, after, trained_for)
        clauses.extend([clause] if clause else [])
    return tuple(clauses)


def most_accurate(groups: Groups, names: Sequence[str]) -> str | None:
    """The one with the best accuracy; the first of equals; None where they cannot be compared."""
    for metric in (*METRICS, "snr"):
        if best := _best(groups, names, metric):
            return best.name
    return None


def _clause(what: str, groups: Groups, after: Sequence[str], trained: Sequence[str]) -> str | None:
    for metric in (*METRICS, "snr"):
        ptq, qat = _best(groups, after, metric), _best(groups, trained, metric)
        if ptq is None or qat is None:
            continue
        figures = [_said(best.figure, metric) for best in (qat, ptq)]
        label = "worst output SNR" if metric == "snr" else metric
        names = [f"{qat.name} (QAT{_of(qat)})", f"{ptq.name} (PTQ{_of(ptq)})"]
        if figures[0] == figures[1]:
            return f"in {what}, {names[0]} and {names[1]} are equally accurate: {label} {figures[0]}"
        if qat.figure < ptq.figure:
            names.reverse()
            figures.reverse()
        return f"in {what}, {names[0]} is more accurate than {names[1]}: {label} {figures[0]} against {figures[1]}"
    return None


def _best(groups: Groups, names: Sequence[str], metric: str) -> _Best | None:
    """The most accurate; None where one that was measured at all lacks this metric, or none was."""
    measured = [name for name in names if all(c.error is None for c in groups[name])]
    figures = {name: min(_figure(c, metric) for c in groups[name]) for name in measured}
    if not figures or any(math.isnan(figure) for figure in figures.values()):
        return None
    name = max(figures, key=lambda n: figures[n])
    return _Best(name, figures[name], len(figures))


def _figure(candidate: CandidateReport, metric: str) -> float:
    """More is better; NaN where it was not measured."""
    if metric != "snr":
        return candidate.accuracy.get(metric, math.nan)
    worst = [output.metrics["snr"].worst if "snr" in output.metrics else math.nan for output in candidate.outputs]
    return math.nan if not worst or any(map(math.isnan, worst)) else min(worst)


def _said(figure: float, metric: str) -> str:
    return f"{figure:.1f} dB" if metric == "snr" else f"{100 * figure:.2f} %"


def _of(best: _Best) -> str:
    return f", the best of {best.of}" if best.of > 1 else ""
