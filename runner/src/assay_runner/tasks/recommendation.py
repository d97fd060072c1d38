"""Which candidate to ship: the fastest that passed, as far as latencies can be compared.

Latencies compare only between real runs of one batch. Of an emulation they say nothing about the engine, so there the
narrowest precision that passed is named instead, its most accurate candidate, and the sentence says so. Where one
precision was reached both after training and by training for it, the message also names the more accurate way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from assay_api.audit import Candidate
from assay_api.report import CandidateReport, Recommendation, Verdict, worst
from assay_runner.tasks.training import most_accurate, trained_or_not

_WIDTH: Final = {"int8": 0, "fp8": 1, "fp16": 2, "bf16": 3, "tf32": 4, "fp32": 5}


def recommend(candidates: tuple[CandidateReport, ...], asked: tuple[Candidate, ...] = ()) -> Recommendation:
    """The candidate to ship, or why there is none.

    A candidate audited on several GPU products must have passed on all of them.

    Args:
        candidates: what was measured.
        asked: the candidates as the audit asks for them.
    """
    by_name: dict[str, list[CandidateReport]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate.name.partition("@")[0], []).append(candidate)
    found = _fastest(by_name)
    message = "; ".join([found.message, *trained_or_not(by_name, asked)])
    return found.model_copy(update={"message": message})


def _fastest(by_name: dict[str, list[CandidateReport]]) -> Recommendation:
    passed = {n: group for n, group in by_name.items() if worst(c.verdict for c in group) == Verdict.PASSED}
    if not passed:
        return Recommendation(message=f"no candidate passed, so there is none to ship: see {_list(by_name)}")
    if len(passed) == 1:
        [(name, group)] = passed.items()
        return Recommendation(candidate=_key(name, group), message=f"{name} is the only candidate that passed")
    if _comparable(passed.values()):
        name = min(passed, key=lambda n: _latency(passed[n]))
        figure = f"{_latency(passed[name]):.3g} ms for a batch of {_batch(passed[name])}"
        return Recommendation(
            candidate=_key(name, passed[name]),
            message=f"{name} is the fastest of the candidates that passed ({_list(passed)}): {figure}",
        )
    widths = {n: _WIDTH.get(group[0].precision or "", len(_WIDTH)) for n, group in passed.items()}
    narrowest = [n for n in passed if widths[n] == min(widths.values())]
    better = most_accurate(passed, narrowest) if len(narrowest) > 1 else None
    name = better or narrowest[0]
    why = "emulated" if any(c.emulated for group in passed.values() for c in group) else "not comparable"
    what = "the most accurate in the narrowest precision" if better else "the narrowest precision"
    return Recommendation(
        candidate=_key(name, passed[name]),
        message=(
            f"{name} is {what} that passed ({_list(passed)}); the latencies are {why}, "
            "so measure them on the target before shipping"
        ),
    )


def _comparable(groups: Iterable[list[CandidateReport]]) -> bool:
    every = [c for group in groups for c in group]
    batches = {c.latency.batch for c in every if c.latency}
    return (
        all(c.latency and not c.emulated for c in every) and len(batches) == 1 and len({c.backend for c in every}) == 1
    )


def _latency(group: list[CandidateReport]) -> float:
    """The slowest product decides."""
    return max(c.latency.median_ms for c in group if c.latency)


def _batch(group: list[CandidateReport]) -> int:
    return next(c.latency.batch for c in group if c.latency)


def _key(name: str, group: list[CandidateReport]) -> str:
    return group[0].name if len(group) == 1 else name


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
