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


@dataclass(frozen=True)
class Label:
    """A name, where it begins or ends (x from 0 to 1), its middle (y from 0 to 1, upwards), and its mark's place."""

    text: str
    x: float
    y: float
    leftwards: bool
    mark: tuple[float, float]


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


def labels(names: Sequence[str], marks: Sequence[tuple[float, float]], screen: Screen) -> list[Label]:
    """A label per mark, in the marks' order; where there is no free place left, one lies over another.

    Args:
        names: a name per mark.
        marks: x and y of each, from 0 to 1, y upwards.
        screen: what the labels are for.
    """
    half = screen.gap * 0.6
    taken = [_Box(x - half, x + half, y - _MARK / 2, y + _MARK / 2) for x, y in marks]
    placed: dict[int, Label] = {}
    # From the edges inwards: who lies in a crowd's middle has to go farther anyway.
    middle = sum(y for _, y in marks) / max(len(marks), 1)
    for index in sorted(range(len(marks)), key=lambda i: (-abs(marks[i][1] - middle), -marks[i][0], i)):
        label, box = _place(shortened(names[index], screen.longest), marks[index], taken, screen)
        placed[index] = label
        taken.append(box)
    return [placed[index] for index in range(len(marks))]


def _place(text: str, mark: tuple[float, float], taken: Sequence[_Box], screen: Screen) -> tuple[Label, _Box]:
    x, y = mark
    width = screen.letter * len(text)
    options: list[tuple[tuple[float, bool, float], Label, _Box]] = []
    for side, leftwards in enumerate((x > 0.5, x <= 0.5)):
        start = x - screen.gap if leftwards else x + screen.gap
        left = start - width if leftwards else start
        beyond = max(0.0, -left, left + width - 1.03)
        for step in range(-_STEPS, _STEPS + 1):
            at = y + step * _ROW / 2
            box = _Box(left, left + width, at - _ROW / 2 + 1e-9, at + _ROW / 2 - 1e-9)
            if 0 <= at <= 1:
                # First no name is cut at a side, then none lies over another, then it stands near; right before left.
                cost = (beyond, any(box.meets(other) for other in taken), abs(at - y) + side / 1e4)
                options.append((cost, Label(text, start, at, leftwards, mark), box))
    _, label, box = min(options, key=lambda option: option[0])
    return label, box
