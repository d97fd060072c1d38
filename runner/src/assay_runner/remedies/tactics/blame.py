"""Which tactic, or which two together, go with builds that fail: statistics of what was seen, and nothing else.

A tactic is suspected where no build that has it passes. How likely that is by chance is Fisher's exact test, one-sided:
of all ways to choose as many builds as have it, the share in which all of them fail. Tactics that ran in just the same
builds cannot be told apart and are one question. The chance is multiplied by the number of questions about as many
tactics, and by two, for one and two tactics are asked about (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import Final

DECIDED: Final = 0.05
"""Chance, corrected, at or below which a suspect is blamed."""
SIZES: Final = 2
"""Tactics that are suspected together, at most; each size has its share of what may be blamed by chance."""
MOST_SETS: Final = 1_000
"""Most sets of builds that are combined to pairs: half a million of these."""
MOST_ALIKE: Final = 20
"""Most tactics that are told of those that cannot be told apart."""

Tactic = tuple[str, str]
"""Layer, and what runs in it."""


@dataclass(frozen=True)
class Seen:
    """One build.

    Attributes:
        tactics: by layer.
        bad: whether it fails.
    """

    tactics: Mapping[str, str]
    bad: bool


@dataclass(frozen=True)
class Suspect:
    """A tactic, or two together.

    Attributes:
        tactics: one or two.
        bad_with: builds that have them; all of these fail.
        bad: builds that fail.
        good: builds that pass.
        chance: see above; 1 at most.
        tried: sets of builds that were told apart by as many tactics.
        alike: others that were in just the same builds.
    """

    tactics: tuple[Tactic, ...]
    bad_with: int
    bad: int
    good: int
    chance: float
    tried: int
    alike: tuple[tuple[Tactic, ...], ...] = ()

    @property
    def decided(self) -> bool:
        """Whether chance is as good as excluded."""
        return self.chance <= DECIDED

    def within(self, tactics: Mapping[str, str]) -> bool:
        """Whether a build has them."""
        return within(self.tactics, tactics)


def suspected(seen: Sequence[Seen]) -> tuple[Suspect, ...]:
    """What to blame for the builds that fail: one suspect, and further ones for failing builds that it is not in.

    Returns:
        Decided ones, then at most one that is not: the likeliest for the builds that are left. None where all builds
        fail or all pass, or nothing is only in builds that fail.
    """
    left, found = list(seen), []
    while (best := likeliest(left)) is not None:
        found.append(best)
        if not best.decided:
            break
        left = [build for build in left if not best.within(build.tactics)]
    return tuple(found)


def explained(seen: Iterable[Seen], suspects: Sequence[Suspect]) -> bool:
    """Whether every build that fails has a suspect, and every suspect is decided."""
    bad = [build for build in seen if build.bad]
    return all(each.decided for each in suspects) and all(any(s.within(b.tactics) for s in suspects) for b in bad)


def likeliest(seen: Sequence[Seen], harmless: Sequence[Mapping[str, str]] = ()) -> Suspect | None:
    """The likeliest suspect; None where all builds fail or all pass, or nothing is only in builds that fail.

    Args:
        seen: builds as they happened.
        harmless: tactics of builds that were made to pass, and clear what they have without being counted.
    """
    bad = sum(1 << place for place, build in enumerate(seen) if build.bad)
    good = (1 << len(seen)) - 1 - bad
    if not bad or not good:
        return None
    singles = _singles(seen)
    alone = _best(singles, {mask: group for mask, group in singles.items() if not mask & good}, bad, good, harmless)
    if alone and alone.decided:
        return alone
    pairs = {mask: sets for mask, sets in _pairs(singles, good).items() if mask not in singles}
    clean = {mask: _both(sets, singles) for mask, sets in pairs.items() if not mask & good}
    found = [each for each in (alone, _best(pairs, clean, bad, good, harmless)) if each]
    return min(found, key=lambda suspect: suspect.chance, default=None)


def _best(
    told: Sized,
    clean: Mapping[int, Sequence[tuple[Tactic, ...]]],
    bad: int,
    good: int,
    harmless: Sequence[Mapping[str, str]],
) -> Suspect | None:
    """The likeliest of those that no passing build has; `told`: all that builds tell apart of this size."""
    builds = bad.bit_count() + good.bit_count()
    for mask in sorted(clean, key=lambda mask: (_chance(mask, bad, builds), mask)):
        group = [each for each in clean[mask] if not any(within(each, tactics) for tactics in harmless)]
        if group:
            chance = min(1.0, SIZES * len(told) * _chance(mask, bad, builds))
            counts = mask.bit_count(), bad.bit_count(), good.bit_count()
            return Suspect(group[0], *counts, chance, len(told), tuple(group[1 : MOST_ALIKE + 1]))
    return None


def _singles(seen: Sequence[Seen]) -> dict[int, list[tuple[Tactic, ...]]]:
    """Tactics that some builds have and some have not, by the builds that have them: a bit each."""
    masks: dict[Tactic, int] = {}
    for place, build in enumerate(seen):
        for each in build.tactics.items():
            masks[each] = masks.get(each, 0) | 1 << place
    everywhere = (1 << len(seen)) - 1
    groups: dict[int, list[tuple[Tactic, ...]]] = {}
    for each, mask in masks.items():
        if mask != everywhere:
            groups.setdefault(mask, []).append((each,))
    return groups


def _pairs(singles: Mapping[int, object], good: int) -> dict[int, list[tuple[int, int]]]:
    """Pairs of sets of builds, by the builds in both; only of tactics that are in builds that pass, each alone."""
    harmless = [mask for mask in singles if mask & good][:MOST_SETS]
    groups: dict[int, list[tuple[int, int]]] = {}
    for one, two in combinations(harmless, 2):
        if one & two:
            groups.setdefault(one & two, []).append((one, two))
    return groups


def _both(
    sets: Iterable[tuple[int, int]], singles: Mapping[int, Sequence[tuple[Tactic, ...]]]
) -> list[tuple[Tactic, ...]]:
    found = (tuple(sorted(first + second)) for one, two in sets for first in singles[one] for second in singles[two])
    return list(islice(found, MOST_ALIKE + 1))


def within(suspects: Iterable[Tactic], tactics: Mapping[str, str]) -> bool:
    """Whether a build has all of these."""
    return all(tactics.get(layer) == tactic for layer, tactic in suspects)


def _chance(mask: int, bad: int, builds: int) -> float:
    """Share of the ways to choose as many builds, in which all of them fail."""
    having, failing = mask.bit_count(), bad.bit_count()
    return comb(failing, having) / comb(builds, having)
