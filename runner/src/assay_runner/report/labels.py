"""Names beside the marks of a plot, none over another nor over a mark.

Candidates of one model lie close together, so a name is put to the nearest free place left or right of its mark, and a
thin line leads to it. Places are shares of the plot; how wide a letter is in them depends on the screen, so a wide and
a narrow one have a layout each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay_runner.report.wording import shortened


@dataclass(frozen=True)
class Screen:
    """Sizes in shares of a plot's width and height, on the least wide screen of its kind.

    Attributes:
        name: CSS class of what is shown on it only.
        letter: width of a letter.
        gap: from the middle of a mark to its name.
        longest: letters of a name; longer ones are shortened.
    """

    name: str
    letter: float
    gap: float
    longest: int


SCREENS = (Screen("on-wide", 0.0135, 0.03, 24), Screen("on-narrow", 0.033, 0.07, 16))
_ROW = 0.056
"""Height of a name with the space above it."""
_MARK = 0.075
"""Height of a mark."""
_STEPS = 34
_ROUNDS = 3
_CROSSING = 0.2
"""How much farther a name may stand so that its line crosses one other less."""

Point = tuple[float, float]
Segment = tuple[Point, Point]


@dataclass(frozen=True)
class Label:
    """A name, where it begins or ends (x from 0 to 1), its middle (y from 0 to 1, upwards), and its mark's place."""

    text: str
    x: float
    y: float
    leftwards: bool
    mark: Point


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    bottom: float
    top: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    @property
    def diagonals(self) -> tuple[Segment, Segment]:
        return (
            ((self.left, self.bottom), (self.right, self.top)),
            ((self.left, self.top), (self.right, self.bottom)),
        )


_Place = tuple[Label, _Box]


def crosses(one: Segment, other: Segment) -> bool:
    """Whether two segments cross; those that only touch do not."""
    (a, b), (c, d) = one, other
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def labels(names: Sequence[str], marks: Sequence[Point], screen: Screen) -> list[Label]:
    """A label per mark, in the marks' order; where there is no free place left, one lies over another.

    Args:
        names: a name per mark.
        marks: x and y of each, from 0 to 1, y upwards.
        screen: what the labels are for.
    """
    half = screen.gap * 0.6
    circles = [_Box(x - half, x + half, y - _MARK / 2, y + _MARK / 2) for x, y in marks]
    options = [_places(shortened(name, screen.longest), mark, screen) for name, mark in zip(names, marks, strict=True)]
    placed: dict[int, tuple[Label, _Box]] = {}
    # From the edges inwards: who lies in a crowd's middle has to go farther anyway. Then again, knowing all others.
    middle = sum(y for _, y in marks) / max(len(marks), 1)
    order = sorted(range(len(marks)), key=lambda i: (-abs(marks[i][1] - middle), -marks[i][0], i))
    for index in order * _ROUNDS:
        others = [place for i, place in placed.items() if i != index]
        placed[index] = _best(options[index], others, circles)
    return [placed[index][0] for index in range(len(marks))]


def _leader(label: Label) -> Segment:
    return label.mark, (label.x, label.y)


def _places(text: str, mark: Point, screen: Screen) -> list[_Place]:
    """Where a name may stand, right of its mark before left of it, and how much room it takes there."""
    x, y = mark
    width, options = screen.letter * len(text), []
    for leftwards in (x > 0.5, x <= 0.5):
        start = x - screen.gap if leftwards else x + screen.gap
        left, room = (start - width if leftwards else start), screen.letter / 2
        for step in range(-_STEPS, _STEPS + 1):
            at = y + step * _ROW / 2
            box = _Box(left - room, left + width + room, at - _ROW / 2 + 1e-9, at + _ROW / 2 - 1e-9)
            if 0 <= at <= 1:
                options.append((Label(text, start, at, leftwards, mark), box))
    return sorted(options, key=lambda place: abs(place[0].y - y))


def _best(options: Sequence[_Place], others: Sequence[_Place], marks: Sequence[_Box]) -> _Place:
    """The cheapest place, the nearest of equals; the rest is not looked at once distance alone costs as much."""
    best, least = options[0], _cost(options[0], others, marks)
    for place in options[1:]:
        if (0.0, False, abs(place[0].y - place[0].mark[1])) >= least:
            break
        if (cost := _cost(place, others, marks)) < least:
            best, least = place, cost
    return best


def _cost(place: _Place, others: Sequence[_Place], marks: Sequence[_Box]) -> tuple[float, bool, float]:
    """First no name is cut at a side, then none lies over another, then none is far or has its line cross others."""
    label, box = place
    own = _leader(label)
    crossings = sum(crosses(own, _leader(other)) for other, _ in others)
    crossings += sum(any(crosses(own, side) for side in other.diagonals) for _, other in others)
    crossings += sum(any(crosses(_leader(other), side) for side in box.diagonals) for other, _ in others)
    beyond = max(0.0, -box.left - 0.03, box.right - 1.03)
    over = any(box.meets(other) for other in (*marks, *(other for _, other in others)))
    return beyond, over, abs(label.y - label.mark[1]) + _CROSSING * crossings
