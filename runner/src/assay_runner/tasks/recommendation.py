"""Which candidate to ship: the fastest that passed, as far as latencies can be compared.

Latencies compare only between real runs of one batch, and no better than their noise: of those that are as fast as the
fastest within it, the most accurate is named, and the sentence says so. Of an emulation they say nothing about the
engine, so there the narrowest precision that passed is named instead, its most accurate candidate. Where one precision
was reached both after training and by training for it, the message also names the more accurate way.

A repaired candidate that passes counts as any other; only where one that needs no repair is as good, that one is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from assay_api.audit import Candidate
from assay_api.repair import RepairEntry
from assay_api.report import CandidateReport, Latency, Recommendation, Verdict, worst
from assay_runner.report.figures import milliseconds
from assay_runner.tasks.near_limits import near_limit
from assay_runner.tasks.repaired import deploy_of, repair_clause, unrepaired, with_siblings
from assay_runner.tasks.training import most_accurate, trained_or_not

_WIDTH: Final = {"int8": 0, "fp8": 1, "fp16": 2, "bf16": 3, "tf32": 4, "fp32": 5}

LISTED: Final = 3
"""Candidates that a sentence names."""
_DEVIATIONS: Final = 2.3263
"""Standard deviations between the median and the 99th percentile of a normal distribution."""
_MEDIAN: Final = math.sqrt(math.pi / 2)
"""Standard error of the median of normal samples, times the root of their number, in standard deviations."""
_SURE: Final = 1.96
"""Standard errors that a difference must have to be one, with 95 % confidence."""
MOST_NOISE: Final = 0.05
"""Share of the fastest latency beyond which a difference counts, whatever the noise: what was timed badly must not win
by it."""

Groups = Mapping[str, Sequence[CandidateReport]]


def recommend(
    candidates: tuple[CandidateReport, ...], asked: tuple[Candidate, ...] = (), repairs: tuple[RepairEntry, ...] = ()
) -> Recommendation:
    """The candidate to ship, or why there is none.

    A candidate audited on several GPU products must have passed on all of them; where one failed on some, its repair
    stands in for it there.

    Args:
        candidates: what was measured.
        asked: the candidates as the audit asks for them.
        repairs: what was done about those that failed.
    """
    by_name: dict[str, list[CandidateReport]] = {}
    for candidate in candidates:
        by_name.setdefault(_name(candidate), []).append(candidate)
    by_name = with_siblings(by_name)
    found = _fastest(by_name)
    chosen = [c for c in candidates if found.candidate in (c.name, _name(c))]
    little = next((said for c in chosen if (said := _little(c))), None)
    near = next((said for c in chosen if (said := near_limit(c))), None)
    untold = next((said for c in chosen if (said := _left(c))), None)
    clauses = [*repair_clause(chosen, repairs), *filter(None, (little, near, untold)), *trained_or_not(by_name, asked)]
    message = "; ".join([found.message, *clauses])
    return found.model_copy(update={"message": message, "deploy": deploy_of(chosen, repairs)})


def _name(candidate: CandidateReport) -> str:
    """Its name on whatever GPU product; its key where an earlier version made the report."""
    return candidate.candidate or candidate.name


def _fastest(by_name: dict[str, list[CandidateReport]]) -> Recommendation:
    passed = {n: group for n, group in by_name.items() if worst(c.verdict for c in group) == Verdict.PASSED}
    if not passed:
        own = unrepaired(by_name) or list(by_name)
        nor = "" if len(own) == len(by_name) else ", and no repair of one"
        return Recommendation(message=f"no candidate passed{nor}, so there is none to ship: see {_list(own)}")
    if len(passed) == 1:
        [(name, group)] = passed.items()
        return Recommendation(candidate=_key(name, group), message=f"{name} is the only candidate that passed")
    if _comparable(passed.values()):
        return _timed(passed)
    widths = {n: _width(group[0]) for n, group in passed.items()}
    narrowest = [n for n in passed if widths[n] == min(widths.values())]
    narrowest = unrepaired({n: passed[n] for n in narrowest}) or narrowest
    better = most_accurate(passed, narrowest) if len(narrowest) > 1 else None
    name = better or narrowest[0]
    why = "emulated" if any(c.emulated for group in passed.values() for c in group) else "not comparable"
    what = "the most accurate in the narrowest precision" if better else "the narrowest precision"
    return Recommendation(
        candidate=_key(name, passed[name]),
        message=(
            f"{name} is {what} of the {len(passed)} candidates that passed; the latencies are {why}, "
            "so measure them on the target before shipping"
        ),
    )


def _width(candidate: CandidateReport) -> float:
    """Less is faster. With weights alone in 8 bits, all arithmetic is FP32's."""
    return _WIDTH["fp32"] - 0.5 if candidate.weights_only else _WIDTH.get(candidate.precision or "", len(_WIDTH))


def _little(candidate: CandidateReport) -> str | None:
    """That most of the engine's layers ran in another precision than the one asked for."""
    asked, total = candidate.precision or "", sum(candidate.achieved.values())
    found = candidate.achieved.get(asked.upper(), 0)
    if asked in ("", "tf32", "fp32") or 2 * found >= total:
        return None
    return f"only {found} of the {total} layers of {candidate.name} ran in {asked}"


def _left(candidate: CandidateReport) -> str | None:
    """What nothing here says of it."""
    left = ", ".join(dict.fromkeys(entry.check for entry in candidate.left if entry.check))
    return f"{left} left for the GPU: nothing here says whether {candidate.name} passes there" if left else None


def _timed(passed: Groups) -> Recommendation:
    """The fastest; of those as fast within noise the most accurate."""
    ordered = sorted(passed, key=lambda n: _latency(passed[n]))
    fastest = ordered[0]
    equals = [n for n in ordered if n == fastest or _tied(_slowest(passed[fastest]), _slowest(passed[n]))]
    own = unrepaired({n: passed[n] for n in equals}) or equals
    name = (most_accurate(passed, own) if len(own) > 1 else None) or own[0]
    others = [f"{n} ({milliseconds(_latency(passed[n]))})" for n in equals if n != name]
    figure = f"{milliseconds(_latency(passed[name]))} for a batch of {_batch(passed[name])}"
    if name != fastest and fastest not in own:
        message = f"{name} needs no repair, and is as fast within noise as the fastest: {figure}; {_list(others)}"
    elif name != fastest:
        message = (
            f"{name} is the most accurate of the {len(equals)} fastest of {len(passed)} candidates that passed, which "
            f"are equally fast within noise: {figure}; {_list(others)}"
        )
    else:
        message = f"{name} is the fastest of the {len(passed)} candidates that passed: {figure}"
        message += f"; as fast within noise, and not more accurate: {_list(others)}" if others else ""
    return Recommendation(candidate=_key(name, passed[name]), message=message)


def _tied(fastest: Latency, other: Latency) -> bool:
    """Whether the difference of two medians lies within the noise of their measurement."""
    noise = _SURE * math.hypot(_error(fastest), _error(other))
    return other.median_ms - fastest.median_ms <= min(noise, MOST_NOISE * fastest.median_ms)


def _error(latency: Latency) -> float:
    """Standard error of a median, as if times were normal around it with the 99th percentile where it was measured."""
    spread = max(latency.p99_ms - latency.median_ms, 0.0) / _DEVIATIONS
    return _MEDIAN * spread / math.sqrt(max(latency.runs, 1))


def _comparable(groups: Iterable[Sequence[CandidateReport]]) -> bool:
    every = [c for group in groups for c in group]
    batches = {c.latency.batch for c in every if c.latency}
    return (
        all(c.latency and not c.emulated for c in every) and len(batches) == 1 and len({c.backend for c in every}) == 1
    )


def _slowest(group: Sequence[CandidateReport]) -> Latency:
    """The slowest product decides."""
    return max((c.latency for c in group if c.latency), key=lambda latency: latency.median_ms)


def _latency(group: Sequence[CandidateReport]) -> float:
    return _slowest(group).median_ms


def _batch(group: Sequence[CandidateReport]) -> int:
    return _slowest(group).batch


def _key(name: str, group: Sequence[CandidateReport]) -> str:
    return group[0].name if len(group) == 1 else name


def _list(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    every = list(names)
    more = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + more
