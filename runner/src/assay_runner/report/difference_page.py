"""The page of `assay diff`: what changed between two reports, in the frame of a report's page."""

from __future__ import annotations

from collections.abc import Sequence

from assay_api.report import Report, Verdict
from assay_runner.report.difference_words import (
    Rows,
    conclusion,
    sides,
    tables_of,
)
from assay_runner.report.differences import Differences
from assay_runner.report.frame import framed
from assay_runner.report.markup import Html, badge, data_block, el, icon, join, row, table, tone

_WORDS = {"worse": Verdict.FAILED, "better": Verdict.PASSED}
_PARTS = (("verdicts", "Verdicts"), ("figures", "Figures"), ("inputs", "What differs"))


def render_differences(old: Report, new: Report, found: Differences) -> bytes:
    """The differences as one self-contained HTML page in UTF-8; everything is in it, what stayed as it was as well."""
    verdict, tables = found.verdict(), tables_of(found, everything=True)
    return framed(
        title=join([f"{_TITLES[verdict]}: {new.audit} · Assay"]),
        verdict=verdict,
        links=join(el("a", {"href": f"#{target}"}, text) for target, text in _PARTS),
        main=join(
            [
                _hero(old, new, found, verdict),
                _part("verdicts", tables["verdicts"]),
                _part("figures", tables["figures"], found.apart),
                _part("inputs", tables["inputs"], "Nothing that the reports tell differs."),
            ]
        ),
        data=data_block({}),
    )


_TITLES = {
    Verdict.FAILED: "Worse",
    Verdict.INCONCLUSIVE: "No longer judged",
    Verdict.PASSED: "No worse",
}


def _hero(old: Report, new: Report, found: Differences, verdict: Verdict) -> Html:
    return el(
        "section",
        {"class": f"hero {tone(verdict)}", "aria-label": "Verdict"},
        el("p", {"class": "audit"}, f"{new.audit}: two reports compared"),
        el("h1", None, icon(verdict), el("span", None, _TITLES[verdict])),
        [el("p", None, sentence) for sentence in conclusion(found)],
        [el("p", {"class": "quiet"}, line) for line in sides(old, new)],
    )


def _part(key: str, shown: Rows, nothing: str = "None.") -> Html:
    """What changed, and behind it, folded, what stayed as it was: a row whose last cell is empty."""
    title, (heads, told) = dict(_PARTS)[key], shown
    changed, same = ([row for row in told if bool(row[-1]) is wanted] for wanted in (True, False))
    none = el("p", {"class": "quiet"}, "No change." if same else nothing)
    folded = el("summary", None, f"{len(same)} as before")
    return el(
        "section",
        {"aria-labelledby": key},
        el("h2", {"id": key}, title),
        table(title, heads, map(_row, changed)) if changed else none,
        el("details", None, folded, table(f"{title} as before", heads, map(_row, same))) if same else None,
    )


def _row(texts: Sequence[str]) -> Html:
    return row(map(_cell, texts))


def _cell(text: str) -> Html | str:
    if text in tuple(Verdict):
        return badge(Verdict(text))
    return el("b", {"class": tone(_WORDS[text])}, text) if text in _WORDS else text
