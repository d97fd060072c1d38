"""Repaired candidates among those that may be shipped: what they stand in for, and what is deployed of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from assay_api.repair import Deployable, RemedyEntry, RepairEntry
from assay_api.report import CandidateReport


def with_siblings(by_name: Mapping[str, list[CandidateReport]]) -> dict[str, list[CandidateReport]]:
    """Reports by name of the candidate; to a repair come those of what it repairs, on GPU products without a repair.

    A candidate that failed on one product only is repaired there only, and is as it was asked for on all others.
    """
    every = [candidate for group in by_name.values() for candidate in group]
    found: dict[str, list[CandidateReport]] = {}
    for name, group in by_name.items():
        repaired = {candidate.repaired for candidate in group} - {None}
        bases = {candidate.candidate for candidate in every if candidate.name in repaired}
        others = [c for c in every if c.repaired is None and c.candidate in bases and c.name not in repaired]
        found[name] = [*group, *others] if repaired else group
    return found


def unrepaired(groups: Mapping[str, Sequence[CandidateReport]]) -> list[str]:
    """Names of those that need no repair."""
    return [name for name, group in groups.items() if not any(candidate.repaired for candidate in group)]


def repair_clause(chosen: Iterable[CandidateReport], repairs: Iterable[RepairEntry]) -> list[str]:
    """What the chosen candidate is the repair of, and how; nothing where it needs none."""
    return [f"it is a repair of {each.candidate}: {each.message}" for each in _entries(chosen, repairs)]


def deploy_of(chosen: Iterable[CandidateReport], repairs: Iterable[RepairEntry]) -> Deployable | None:
    """What to deploy of the chosen candidate; None where it needs no repair, or has one for each of several products.

    Of several, each entry of the repairs says what belongs to its product.
    """
    found = [entry.deploy for entry in _entries(chosen, repairs)]
    return found[0] if len(found) == 1 else None


def _entries(chosen: Iterable[CandidateReport], repairs: Iterable[RepairEntry]) -> list[RemedyEntry]:
    keys = {candidate.name for candidate in chosen if candidate.repaired}
    return [entry for repair in repairs for entry in repair.remedies if entry.repaired in keys]
