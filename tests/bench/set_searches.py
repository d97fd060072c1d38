"""Searches that others do or published, counted on the same made-up models: what `assay_runner.search` is held against.

An oracle says whether a set of items that are kept wide passes. All but `bisect` end with a set from which nothing can
be left out, where having more wide never does harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["Passes", "bisect", "ddmin", "galloped", "halving", "quickxplain", "splitting"]

Passes = Callable[[frozenset[int]], bool]


def bisect(size: int, passes: Passes) -> frozenset[int]:
    """`polygraphy debug precision --mode bisect`: the shortest prefix, by one cut; its first build has all wide."""
    good, bad, wide = size + 1, 0, size
    while True:
        if passes(frozenset(range(wide))):
            good, following = wide, math.floor((wide + bad) / 2)
        else:
            bad, following = wide, math.ceil((good + wide) / 2)
        if following == wide or abs(good - bad) <= 1:
            return frozenset(range(min(good, size)))
        wide = following


def halving(size: int, passes: Passes) -> frozenset[int]:
    """`auto_convert_mixed_precision` of onnxconverter-common 1.16: the largest undecided segment is left out, or
    halved.

    It begins with all left out and ends with one more trial of the result.
    """
    segments, wide_for_good = [(0, size)], set[int]()
    while segments:
        begin, end = max(segments, key=lambda segment: segment[1] - segment[0])
        index = segments.index((begin, end))
        others = [item for first, last in segments if (first, last) != (begin, end) for item in range(first, last)]
        if passes(frozenset([*others, *wide_for_good])):
            del segments[index]
        elif end - begin == 1:
            del segments[index]
            wide_for_good.add(begin)
        else:
            middle = begin + (end - begin) // 2
            segments[index : index + 1] = [(begin, middle), (middle, end)]
    passes(frozenset(wide_for_good))
    return frozenset(wide_for_good)


def ddmin(items: Sequence[int], passes: Passes) -> frozenset[int]:
    """Zeller and Hildebrandt 2002, on all items."""
    left, pieces = list(items), 2
    while len(left) >= 2:
        size = len(left)
        cut = [left[piece * size // pieces : (piece + 1) * size // pieces] for piece in range(pieces)]
        rest = [[item for item in left if item not in set(part)] for part in cut] if pieces > 2 else []
        for index, part in enumerate([*cut, *rest]):
            if passes(frozenset(part)):
                left, pieces = part, 2 if index < len(cut) else max(pieces - 1, 2)
                break
        else:
            if pieces >= size:
                break
            pieces = min(size, 2 * pieces)
    return frozenset(left)


def quickxplain(items: Sequence[int], passes: Passes) -> frozenset[int]:
    """Junker 2004, without its first trial of all."""

    def explain(kept: list[int], grown: bool, choice: list[int]) -> list[int]:
        if grown and passes(frozenset(kept)):
            return []
        if len(choice) == 1:
            return choice
        first, second = choice[: len(choice) // 2], choice[len(choice) // 2 :]
        in_second = explain(kept + first, True, second)
        in_first = explain(kept + in_second, bool(in_second), first)
        return in_first + in_second

    return frozenset(explain([], False, list(items)))


def galloped(ranking: Sequence[int], passes: Passes) -> frozenset[int]:
    """QuickXplain inside the shortest of the prefixes of a ranking (4, 12, 36, ... items) that passes."""
    length = 4
    while length < len(ranking) and not passes(frozenset(ranking[:length])):
        length *= 3
    return quickxplain(ranking[:length][::-1], passes)


def splitting(items: Sequence[int], passes: Passes, expected: int) -> frozenset[int]:
    """Hwang 1972, generalised binary splitting, for so many needed items; where all are found, for one more."""
    free, needed = list(items), list[int]()
    everything, out = frozenset(items), set[int]()
    while free:
        more = max(expected - len(needed), 1)
        many = len(free) > 2 * more - 2
        group = free[: 2 ** int(math.log2(max(1, (len(free) - more + 1) / more)))] if many else free[:1]
        if passes(everything - out - set(group)):
            out |= set(group)
        else:
            while len(group) > 1:
                half = group[: len(group) // 2]
                if passes(everything - out - set(half)):
                    out |= set(half)
                    group = group[len(half) :]
                else:
                    group = half
            needed += group
            expected = max(expected, len(needed) + 1)
        free = [item for item in free if item not in out and item not in needed]
    return frozenset(needed)
