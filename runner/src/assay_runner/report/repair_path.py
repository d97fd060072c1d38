"""The path of a repair: a mark per trial, how far it was from its limit, and what passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from assay_api.repair import TrialEntry
from assay_runner.report.drawing import percent_of
from assay_runner.report.figures import bound, figure
from assay_runner.report.markup import Html, el, icon, tone
from assay_runner.report.wording import strain

_DECADES: Final = 1.0
"""Powers of ten that the axis shows below and above the limit."""
_LABELS: Final = ((-1.0, "a tenth"), (0.0, "the limit"), (1.0, "ten times"))
_SIZES: Final = {"emulation": 12, "build": 20}


def path(trials: Sequence[TrialEntry], number: int) -> Html | None:
    """The figure; None where fewer than two trials have a figure to draw.

    Args:
        trials: those that are drawn, in order.
        number: of the repair, where a page shows several.
    """
    drawn = [trial for trial in trials if trial.value is not None and trial.limit is not None]
    if len(drawn) < 2:
        return None
    first, last = drawn[0].number, max(drawn[-1].number, drawn[0].number + 1)
    marks = [_mark(trial, (trial.number - first) / (last - first)) for trial in drawn]
    lines = [_line(at, "limit" if at == 0 else None) for at, _ in _LABELS]
    heights = [el("text", {"x": "100%", "y": percent_of(_place(at))}, text) for at, text in _LABELS]
    ends = [el("span", None, f"trial {first}"), el("span", None, f"trial {last}")]
    said = (
        "Each mark is a trial: its worst figure against that figure's limit, logarithmic; what lies above the line is "
        "beyond the limit. A circle passed, an octagon failed, a diamond is inconclusive. Small marks are emulations, "
        "large ones are builds; a ring was judged on samples that no search has seen."
    )
    return el(
        "figure",
        {"class": "chart tradeoff path", "id": f"path-{number}"},
        el("figcaption", None, el("h3", None, "The path to it"), el("p", {"class": "quiet"}, said)),
        el(
            "div",
            {"class": "plot"},
            el("p", {"class": "unit"}, "worst figure, as a share of its limit; lower is better"),
            el("svg", {"class": "labels", "aria-hidden": "true"}, heights),
            el(
                "div",
                {"class": "area"},
                el("svg", {"class": "marks", "role": "list", "aria-label": "Trials"}, lines, marks),
            ),
        ),
        el("p", {"class": "axis"}, ends),
    )


def _place(decades: float) -> float:
    """From the top, 0 to 1; what lies beyond the axis lies on its edge."""
    return 0.5 - min(max(decades, -_DECADES), _DECADES) / _DECADES / 2 * 0.9


def _line(at: float, kind: str | None) -> Html:
    y = percent_of(_place(at))
    return el("line", {"x1": "0", "x2": "100%", "y1": y, "y2": y, "class": kind, "aria-hidden": "true"})


def _mark(trial: TrialEntry, along: float) -> Html:
    share = strain(trial)
    y = percent_of(_place(math.log10(share) if 0 < share < math.inf else math.copysign(math.inf, share - 1)))
    edge = _SIZES[trial.oracle]
    value = f"{trial.metric or 'value'} {figure(trial.metric, trial.value)}, limit {bound(trial.metric, trial.limit)}"
    told = f"trial {trial.number}, {trial.oracle}: {trial.verdict}, {value}; {trial.words}"
    shape = {"x": -edge / 2, "y": -edge / 2, "width": edge, "height": edge}
    x = percent_of(along)
    ring = el("circle", {"class": "ring", "cx": x, "cy": y, "r": edge * 0.8}) if trial.split != "search" else None
    drawn = el(
        "svg", {"x": x, "y": y, "class": "place"}, icon(trial.verdict, {**shape, "class": f"icon {trial.oracle}"})
    )
    return el("g", {"role": "listitem", "class": tone(trial.verdict)}, el("title", None, told), ring, drawn)
