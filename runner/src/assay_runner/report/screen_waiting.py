"""The page of a screening without a report yet: how far its run is, and which nodes wait or were skipped, and why.

Made of the status as the API server has it, in which anything may be missing. What was found of GPUs is not told: that
is judged once all nodes are held together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay_api.report import Verdict
from assay_runner.raw import Raw, mapping
from assay_runner.report.frame import framed
from assay_runner.report.markup import Html, data_block, el, facts, icon, join, row, table, tone
from assay_runner.report.screen_map import many
from assay_runner.report.screen_page import STYLES

_WIDE: Final = 32
"""Squares of a row."""
_STATES: Final = (
    ("scanned", "●", "screened, and not judged yet", "unjudged"), ("running", "▶", "being screened", "unjudged"),
    ("waiting", "…", "waiting for their GPUs to be free, or for their turn", "unjudged"),
    ("skipped", "–", "skipped", "inconclusive"), ("hung", "■", "did not come to an end", "failed"),
)  # fmt: skip
MOST: Final = 1000
"""Nodes that a screening takes at most, and that are drawn."""


def render_waiting(of: str, status: Raw, word: str, message: str) -> bytes:
    """A screening of which no run has ended, as one self-contained HTML page in UTF-8.

    Args:
        of: `namespace/name`.
        status: its status.
        word: what is being done, in one word.
        message: the same in a sentence.
    """
    counts = {name: _count(mapping(status.get("nodes")).get(name)) for name, *_ in _STATES}
    return framed(
        title=join([f"{word}: {of} · Assay"]),
        verdict=Verdict.INCONCLUSIVE,
        links=join([el("a", {"href": "#nodes"}, "Nodes")]),
        main=join([_hero(of, status, word, message), _nodes(status, counts)]),
        data=data_block({}),
        source="the status of the screening",
        styles=STYLES,
    )


def _hero(of: str, status: Raw, word: str, message: str) -> Html:
    return el(
        "section",
        {"class": f"hero {tone(Verdict.INCONCLUSIVE)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, f"{of}, a screening"),
        el("h1", None, icon(Verdict.INCONCLUSIVE), el("span", None, word)),
        el("p", {"class": "headline"}, "It has no report yet: no GPU is judged before all nodes are held together."),
        el("p", None, message) if message else None,
        facts(
            [
                ("Nodes that are done", _text(status.get("finished"))),
                ("Run", _text(status.get("run"))),
                ("Began", _text(status.get("startTime"))),
                ("As of", _text(status.get("updateTime"))),
                ("Next run", _text(status.get("nextScheduleTime"))),
            ]
        ),
    )


def _nodes(status: Raw, counts: Mapping[str, int]) -> Html:
    return el(
        "section",
        {"aria-labelledby": "nodes"},
        el("h2", {"id": "nodes"}, "Nodes"),
        *(_told(status, counts) if any(counts.values()) else [el("p", {"class": "quiet"}, "None is known yet.")]),
    )


def _told(status: Raw, counts: Mapping[str, int]) -> Iterator[Html]:
    said = [f"{mark} {counts[name]:,} {words}" for name, mark, words, _ in _STATES if counts[name]]
    yield el("p", None, f"{many(sum(counts.values()), 'node')}: {', '.join(said)}.")
    yield _map(counts)
    listed = [each for each in _list(status.get("unscanned")) if isinstance(each, Mapping)]
    if listed:
        rows = [row([_text(each.get("node")), _text(each.get("message"))]) for each in listed]
        yield table(
            "The first nodes that were skipped or wait", ("Node", "Why it was skipped, or waits"), rows, "narrow"
        )


def _map(counts: Mapping[str, int]) -> Html:
    """A square per node; which is which the status tells of few, so they have no names."""
    squares = [(mark, words, kind) for name, mark, words, kind in _STATES for _ in range(min(counts[name], MOST))]
    cells = [el("td", {"class": kind, "title": words}, mark) for mark, words, kind in squares]
    rows = (el("tr", None, cells[at : at + _WIDE]) for at in range(0, len(cells), _WIDE))
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Map of nodes"}
    caption = el("caption", {"class": "unseen"}, "Nodes by where they stand")
    return el("div", region, el("table", {"class": "heat"}, caption, el("tbody", None, rows)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
