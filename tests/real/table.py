"""The tables of docs/real-models.md: written between two marks, the prose around them is by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.real.models import MODELS
from tests.real.opinion import Opinion
from tests.real.runs import Ran, decibels

__all__ = ["PAGE", "Row", "row", "rows_of", "write"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "real-models.md"
HEAD: Final = ("model", "candidate", "verdict", "second opinion", "cause", "seconds", "memory")
LONGEST: Final = 200
RANK: Final = {"Failed": 0, "Inconclusive": 1, "Passed": 2}


@dataclass(frozen=True)
class Row:
    """One candidate as the table shows it."""

    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {' | '.join(cell.replace('|', '/') for cell in self.cells)} |"


def row(ran: Ran, other: Opinion | None, wrong: Sequence[str]) -> Row:
    """What came out of one audit."""
    opinion = "–" if other is None else told(other)
    opinion += f"; **disagrees**: {'; '.join(wrong)}" if wrong else ""
    cells = (ran.name, ran.precision, ran.verdict, opinion, cause(ran))
    return Row((*cells, f"{ran.used.seconds:.1f} s", f"{ran.used.peak_mb:.0f} MB"))


def told(other: Opinion) -> str:
    """The worst output's figure, and what is not finite."""
    worst = min((*other.snr.values(), *other.of_parts.values()), default=math.inf)
    parts = [] if worst == math.inf else ["not finite" if worst == -math.inf else f"{worst:.2f} dB"]
    parts += [f"{', '.join(sorted(other.unlike))} differs"] if other.unlike else []
    parts += [f"`{other.not_finite}` not finite"] if other.not_finite else []
    return "; ".join(parts) or "equal"


def cause(ran: Ran) -> str:
    """The worst findings, each by its check and the beginning of its message; of a pass, how near it is."""
    if not ran.report:
        return shortened(ran.said)
    worst = [finding for finding in ran.findings if finding["verdict"] == ran.verdict]
    if ran.verdict == "Passed" or not worst:
        ratios = [decibels(metrics) for metrics in ran.outputs().values() if "snr" in metrics]
        if not ratios:
            return shortened(str(ran.report["candidates"][0].get("error") or ""))
        return "equal" if math.isinf(min(ratios)) else f"{min(ratios):.2f} dB"
    return shortened("; ".join(f"{finding['check']}: {finding['message']}" for finding in worst))


def shortened(text: str) -> str:
    """The text, or as much of it as a cell holds."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: text.rindex(" ", 0, LONGEST)] + " …"


def rows_of(text: str, mark: str) -> dict[tuple[str, str], str]:
    """The rows of a table of the page, by model and candidate."""
    lines = re.findall(r"^\| ([\w-]+) \| (fp32|fp16|bf16|int8) \|.*$", _between(text, mark), re.MULTILINE)
    whole = re.findall(r"^\| [\w-]+ \| (?:fp32|fp16|bf16|int8) \|.*$", _between(text, mark), re.MULTILINE)
    return dict(zip(lines, whole, strict=True))


def write(rows: Iterable[Row], mark: str, page: Path = PAGE, head: Sequence[str] = HEAD) -> None:
    """Put rows into the page's table; those of models that were not run stay as they are."""
    text = page.read_text()
    known = rows_of(text, mark)
    known |= {(row.cells[0], row.cells[1]): str(row) for row in rows}
    places = {name: place for place, name in enumerate(MODELS)}
    kept = [pair for pair in known if pair[0] in places]
    ordered = sorted(kept, key=lambda pair: (places[pair[0]], ("fp32", "fp16", "bf16", "int8").index(pair[1])))
    table = "\n".join([str(Row(tuple(head))), str(Row(("---",) * len(head))), *(known[pair] for pair in ordered)])
    # With its marks: two tables may hold the same, or nothing.
    old, new = (f"<!-- {mark} -->{held}<!-- /{mark} -->" for held in (_between(text, mark), f"\n{table}\n"))
    page.write_text(text.replace(old, new))


def _between(text: str, mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->(.*?)<!-- /{mark} -->", text, re.DOTALL)
    if found is None:
        raise LookupError(f"{PAGE.name} has no marks <!-- {mark} --> and <!-- /{mark} -->")
    return found[1]
