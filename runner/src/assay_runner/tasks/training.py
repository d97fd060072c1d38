"""Which way to 8 bits is the more accurate: calibrated here, by Q/DQ pairs of the model's own, or weights alone.

A team that has both a post-training candidate (PTQ: with calibration) and a model that brings its own Q/DQ pairs
(trained for it or not, which no graph tells) in one precision wants to know what that bought; where a repair has tried
8-bit weights alone, that too. So the best of each are compared, repaired candidates among them: by the label metric
where all have one, else by the signal-to-noise ratio of the worst sample's worst output. Those that were judged on
different samples, as repaired ones are, are compared by what they keep of golden's metric on their own. A share is no
more exact than its samples make it: within the 95 % interval of a difference nothing is ranked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from assay_api.audit import Candidate
from assay_api.report import CandidateReport

Groups = Mapping[str, Sequence[CandidateReport]]
Kind = Literal["own Q/DQ", "PTQ", "weights alone"]
KINDS: Final[tuple[Kind, ...]] = ("own Q/DQ", "PTQ", "weights alone")
METRICS: Final = ("top1", "top5")
KEPT: Final = "Kept"
_SURE: Final = 1.96
"""Standard errors that a difference must have to be one, with 95 % confidence."""


@dataclass(frozen=True)
class _Best:
    """The most accurate of some candidates: its name, its figure, how many there were, and what it is."""

    name: str
    figure: float
    of: int
    repaired: bool = False
    kind: Kind = "PTQ"
    samples: int = 0

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
    """The one with the best accuracy; of those that a metric cannot tell apart the best by the next one.

    None where they cannot be compared; the first where nothing tells them apart.
    """
    left, compared = list(names), False
    for metric in _metrics(groups, names):
        best = _best(groups, left, metric)
        if best is None:
            continue
        compared = True
        each = [found for name in left if (found := _best(groups, [name], metric))]
        left = [found.name for found in each if found.figure == best.figure or _alike(best, found, metric)]
    return left[0] if compared else None


def _asked(name: str, groups: Groups) -> str:
    """Name of the candidate that the audit asks for, of which this one may be a repair."""
    repaired = next((each.repaired for each in groups.get(name, ()) if each.repaired), None)
    return repaired.partition("@")[0] if repaired else name


def _kind(spec: Candidate, group: Sequence[CandidateReport]) -> Kind:
    if any(each.weights_only for each in group):
        return "weights alone"
    return "own Q/DQ" if spec.calibration is None and spec.model is not None else "PTQ"


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
        top = max(bests, key=lambda best: best.figure)
        first = _said(top.figure, metric)
        equal = [best for best in bests if _said(best.figure, metric) == first]
        equal += [best for best in bests if best not in equal and _alike(top, best, metric)]
        others = sorted((best for best in bests if best not in equal), key=lambda best: -best.figure)
        names = _all(best.told for best in equal)
        label = {"snr": "worst output SNR"}.get(metric, metric.replace(KEPT, " kept of golden's"))
        if {_said(best.figure, metric) for best in equal} != {first}:
            told = _all(_said(best.figure, metric) for best in equal)
            worse = f"; {_all(best.told for best in others)} less so" if others else ""
            return f"in {what}, {names} cannot be ranked, {label} {told} being within their 95 % interval{worse}"
        if not others:
            return f"in {what}, {names} are equally accurate: {label} {first}"
        less = f"{_all(best.told for best in others)}: {label} {first} against "
        less += _all(_said(best.figure, metric) for best in others)
        if len(equal) > 1:
            return f"in {what}, {names} are equally accurate, and more so than {less}"
        return f"in {what}, {names} is more accurate than {less}"
    return None


def _alike(best: _Best, other: _Best, metric: str) -> bool:
    """Whether a difference of two shares lies within its 95 % interval, as if the samples were not the same ones.

    Shares of the same samples differ by less than that, so nothing is ranked that is not sure.
    """
    if metric == "snr" or not (best.samples and other.samples):
        return False
    spread = sum(min(max(b.figure * (1 - b.figure), 0.0), 0.25) / b.samples for b in (best, other))
    return best.figure - other.figure <= _SURE * math.sqrt(spread)


def _best(groups: Groups, names: Sequence[str], metric: str, kind: Kind = "PTQ") -> _Best | None:
    """The most accurate; None where one that was measured at all lacks this metric, or none was."""
    measured = [name for name in names if all(c.error is None for c in groups[name])]
    figures = {name: min(_figure(c, metric) for c in groups[name]) for name in measured}
    if not figures or any(math.isnan(figure) for figure in figures.values()):
        return None
    found = [_one(groups, name, figures[name], len(figures), kind) for name in figures]
    return max(found, key=lambda best: best.figure)


def _one(groups: Groups, name: str, figure: float, of: int, kind: Kind) -> _Best:
    group = groups[name]
    return _Best(name, figure, of, any(each.repaired for each in group), kind, min(each.samples for each in group))


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
