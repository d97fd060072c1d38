"""Tables of words on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_runner.report.wording import visible

INDENT: Final = "     "
GAP: Final = 2
LEAST_WIDTH: Final = 40


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their heads; what steers a terminal is made visible."""
    Console().print(_table(heads, [[visible(word) for word in row] for row in rows]))


def print_told(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows whose last word is a sentence: below its row and whole, where the terminal is too narrow for all.

    A column of sentences would get what the other columns leave, a word or two a line, and names in them would be cut.
    Other columns that do not fit stand below too, each with its head.
    """
    console = Console()
    shown = [[visible(word) for word in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *shown, strict=True)]
    if sum(width + GAP for width in widths) <= console.width:
        console.print(_table(heads, shown))
        return
    for line in _below(heads, shown, widths, console.width):
        print(line)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*heads, box=None)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _below(heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int], width: int) -> Iterator[str]:
    """Lines of a table of as many columns as fit, one at least; the others below each row."""
    ends = list(accumulate(wide + GAP for wide in widths[:-1]))
    beside = max(sum(end <= width for end in ends), 1)

    def line(words: Sequence[str]) -> str:
        padded = (word + " " * (wide - cell_len(word)) for word, wide in zip(words, widths, strict=False))
        return f" {(' ' * GAP).join(padded)}".rstrip()

    yield line(heads[:beside])
    for row in rows:
        yield line(row[:beside])
        named = zip(heads[beside:-1], row[beside:-1], strict=True)
        for text in ("; ".join(f"{head}: {word}" for head, word in named), row[-1]):
            # A name is copied from here: it is never broken.
            yield from textwrap.wrap(
                text, max(width, LEAST_WIDTH), initial_indent=INDENT, subsequent_indent=INDENT,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
