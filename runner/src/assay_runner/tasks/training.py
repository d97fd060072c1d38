"""Which way to 8 bits is the more accurate: quantised after training, trained for it, or weights alone.

A team that has both a post-training candidate (PTQ: with calibration) and a candidate trained for it (QAT: with a model
of its own) in one precision wants to know what the training bought; where a repair has tried 8-bit weights alone, that
too. So the best of each are compared, repaired candidates among them: by the label metric where all have one, else by
the signal-to-noise ratio of the worst sample's worst output. Those that were judged on different samples, as repaired
ones are, are compared by what they keep of golden's metric on their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from assay_api.audit import Candidate
from assay_api.report import CandidateReport

Groups = Mapping[str, Sequence[CandidateReport]]
Kind = Literal["QAT", "PTQ", "weights alone"]
KINDS: Final[tuple[Kind, ...]] = ("QAT", "PTQ", "weights alone")
METRICS: Final = ("top1", "top5")
KEPT: Final = "Kept"


@dataclass(frozen=True)
class _Best:
    """The most accurate of some candidates: its name, its figure, how many there were, and what it is."""

    name: str
    figure: float
    of: int
    repaired: bool = False
    kind: Kind = "PTQ"

    @property
    def told(self) -> str:
        """For people."""
        more = ", repaired" if self.repaired else ""
        return f"{self.name} ({self.kind}{more}{f', the best of {self.of}' if self.of > 1 else ''})"


def trained_or_not(groups: Groups, asked: Iterable[Candidate]) -> tuple[str, ...]:
    """One clause per precision and backend that was reached in more than one of these ways, and measured.

    Args:
        groups: reports by the candidate's name; several where it was audited on several GPU products, of which the
            worst figure counts.
        asked: the candidates as the audit asks for them.
    """
    specs = {candidate.name: candidate for candidate in asked}
    kinds: dict[tuple[str, str], dict[Kind, list[str]]] = {}
    for name in (*specs, *(name for name in groups if name not in specs)):
        spec = specs.get(_asked(name, groups))
        if spec is not None and spec.precision in ("int8", "fp8") and name in groups:
            ways = kinds.setdefault((spec.precision, spec.backend), {kind: [] for kind in KINDS})
            ways[_kind(spec, groups[name])].append(name)
    several = len({precision for precision, _ in kinds}) < len(kinds)
    clauses = []
    for (precision, backend), ways in kinds.items():
        clause = _clause(f"{precision} on {backend}" if several else precision, groups, ways)
        clauses.extend([clause] if clause else [])
    return tuple(clauses)


def most_accurate(groups: Groups, names: Sequence[str]) -> str | None:
    """The one with the best accuracy; the first of equals; None where they cannot be compared."""
    for metric in _metrics(groups, names):
        if best := _best(groups, names, metric):
            return best.name
    return None


def _asked(name: str, groups: Groups) -> str:
    """Name of the candidate that the audit asks for, of which this one may be a repair."""
    repaired = next((each.repaired for each in groups.get(name, ()) if each.repaired), None)
    return repaired.partition("@")[0] if repaired else name


def _kind(spec: Candidate, group: Sequence[CandidateReport]) -> Kind:
    if any(each.weights_only for each in group):
        return "weights alone"
    return "QAT" if spec.calibration is None and spec.model is not None else "PTQ"


def _metrics(groups: Groups, names: Iterable[str]) -> tuple[str, ...]:
    """What candidates can be compared by, the most telling first."""
    samples = {each.samples for name in names for each in groups[name] if each.error is None}
    labels = METRICS if len(samples) < 2 else tuple(f"{metric}{KEPT}" for metric in METRICS)
    return (*labels, "snr")


def _clause(what: str, groups: Groups, ways: Mapping[Kind, Sequence[str]]) -> str | None:
    for metric in _metrics(groups, [name for names in ways.values() for name in names]):
        bests = [best for kind in KINDS if (best := _best(groups, ways[kind], metric, kind))]
        if len(bests) < 2:
            continue
        first = _said(max(best.figure for best in bests), metric)
        equal = [best for best in bests if _said(best.figure, metric) == first]
        others = sorted((best for best in bests if best not in equal), key=lambda best: -best.figure)
        names = _all(best.told for best in equal)
        label = {"snr": "worst output SNR"}.get(metric, metric.replace(KEPT, " kept of golden's"))
        if not others:
            return f"in {what}, {names} are equally accurate: {label} {first}"
        less = f"{_all(best.told for best in others)}: {label} {first} against "
        less += _all(_said(best.figure, metric) for best in others)
        if len(equal) > 1:
            return f"in {what}, {names} are equally accurate, and more so than {less}"
        return f"in {what}, {names} is more accurate than {less}"
    return None


def _best(groups: Groups, names: Sequence[str], metric: str, kind: Kind = "PTQ") -> _Best | None:
    """The most accurate; None where one that was measured at all lacks this metric, or none was."""
    measured = [name for name in names if all(c.error is None for c in groups[name])]
    figures = {name: min(_figure(c, metric) for c in groups[name]) for name in measured}
    if not figures or any(math.isnan(figure) for figure in figures.values()):
        return None
    name = max(figures, key=lambda n: figures[n])
    return _Best(name, figures[name], len(figures), any(each.repaired for each in groups[name]), kind)


def _figure(candidate: CandidateReport, metric: str) -> float:
    """More is better; NaN where it was not measured."""
    if metric.endswith(KEPT):
        own = metric.removesuffix(KEPT)
        golden = candidate.accuracy.get(f"golden{own.capitalize()}", math.nan)
        return candidate.accuracy.get(own, math.nan) / golden if golden else math.nan
    if metric != "snr":
        return candidate.accuracy.get(metric, math.nan)
    worst = [output.metrics["snr"].worst if "snr" in output.metrics else math.nan for output in candidate.outputs]
    return math.nan if not worst or any(map(math.isnan, worst)) else min(worst)


def _said(figure: float, metric: str) -> str:
    return f"{figure:.1f} dB" if metric == "snr" else f"{100 * figure:.2f} %"


def _all(words: Iterable[str]) -> str:
    """A, B and C."""
    every = list(words)
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)
