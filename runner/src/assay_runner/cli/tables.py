"""Tables of words on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay_runner.report.wording import visible


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their heads; what steers a terminal is made visible."""
    table = Table(*heads, box=None)
    for row in rows:
        table.add_row(*(Text(visible(word)) for word in row))
    Console().print(table)
