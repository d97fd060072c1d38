"""What was left for the GPU, on the page."""

from __future__ import annotations

from assay_api.report import CandidateReport, Report
from assay_runner.report.left import LEFT, left_whole, told_left
from assay_runner.report.markup import Html, el


def left_section(report: Report) -> Html | None:
    """What no verdict here says anything of, with the reason."""
    told = told_left(report)
    if not told:
        return None
    rows = [el("li", None, el("b", None, what), f" of {', '.join(names)}: {why}") for what, names, why in told]
    return el("div", {"class": "left", "role": "note"}, el("h2", None, "Left for the GPU"), el("ul", None, rows))


def left_tag(candidate: CandidateReport) -> Html | None:
    """Beside a verdict, what it says nothing of."""
    if not candidate.left:
        return None
    what = "" if left_whole(candidate) else ", ".join(entry.check or "" for entry in candidate.left) + " "
    return el("small", None, f"{what}{LEFT}")
