"""The part of a sweep's page about what to ship: a map of models and targets, and what was repaired.

A square is a name, so that ten thousand cells stay a page; the sentences stand in the audits' own pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from assay_api.report import Verdict
from assay_runner.report.cures import OUTCOMES
from assay_runner.report.heat import heat_map
from assay_runner.report.markup import Html, el, row, table, tone
from assay_runner.report.sweep_advice import Advice, Cure, Target
from assay_runner.report.sweep_cells import SweepShown

MOST_CURES: Final = 200
MOST_WORDS: Final = 160
_HEADS: Final = ("Model", "GPU", "Image", "Failed", "Remedy", "What came of it", "Repaired", "To deploy", "Its page")


def advice_section(sweep: SweepShown, namespace: str) -> Html:
    """What to ship per model and target, and what repairs came to.

    Args:
        sweep: the sweep.
        namespace: of the sweep.
    """
    return el(
        "section",
        {"aria-labelledby": "advice"},
        el("h2", {"id": "advice"}, "Recommendations"),
        [el("p", None, _counted(sweep)), _map(sweep), *_cures(sweep.advice, namespace)]
        if sweep.advice
        else el("p", {"class": "quiet"}, "Nothing was audited yet."),
    )


def _counted(sweep: SweepShown) -> str:
    """How many places have something to ship."""
    some = [each for each in sweep.advice if each.candidates]
    cured = sum(bool(each.cured) for each in some)
    nothing = sum(not each.candidates and not each.going for each in sweep.advice)
    going = len(sweep.advice) - len(some) - nothing
    told = [f"To ship: {len(some)} of {len(sweep.advice)} audited models times targets"]
    told[0] += f", {cured} of them with a repaired candidate" if cured else ""
    told += [f"nothing to ship: {nothing}"] if nothing else []
    told += [f"being audited: {going}"] if going else []
    return f"{'; '.join(told)}."


def _map(sweep: SweepShown) -> Html:
    by_place = {(each.model, each.target): each for each in sweep.advice}
    targets = sorted({each.target for each in sweep.advice})
    keys = (
        "The fastest candidate that passed, as each audit recommends it; + cure marks a repaired one. none: nothing "
        "may be shipped; … being audited; – not audited"
    )
    rows = ((model, [_square(by_place.get((model, target))) for target in targets]) for model in sweep.models)
    captions = "Recommendations by model and target", "Candidates to ship by model and target"
    return el("div", None, el("p", {"class": "quiet"}, keys), heat_map(*captions, map(_head, targets), rows, "advice"))


def _head(target: Target) -> Iterator[Html | str]:
    yield target.product or "any"
    if target.image:
        yield el("small", None, target.image)


def _square(advice: Advice | None) -> Html:
    if advice is None or advice.going:
        return el("td", {"class": "unjudged"}, "–" if advice is None else "…")
    if not advice.candidates:
        return el("td", {"class": tone(Verdict.FAILED), "title": advice.why[:MOST_WORDS] or None}, "none")
    names = ", ".join(f"{name} + cure" if name in advice.cured else name for name in advice.candidates)
    return el("td", {"class": tone(Verdict.PASSED), "title": advice.why[:MOST_WORDS] if advice.cured else None}, names)


def _cures(advice: tuple[Advice, ...], namespace: str) -> Iterator[Html]:
    """What repairs came to, those that are recommended first."""
    found = [(each, cure) for each in advice for cure in each.cures]
    if not found:
        return
    found.sort(key=lambda pair: (not _shipped(*pair), pair[1].outcome != "Cured", pair[0].model, pair[0].target))
    yield el("h3", None, "Repairs")
    yield table("Repairs", _HEADS, [_row(each, cure, namespace) for each, cure in found[:MOST_CURES]])
    if more := max(len(found) - MOST_CURES, 0):
        yield el("p", {"class": "quiet"}, f"{more} more are in the pages of their audits.")


def _shipped(advice: Advice, cure: Cure) -> bool:
    return cure.repaired in advice.cured


def _row(advice: Advice, cure: Cure, namespace: str) -> Html:
    shipped = _shipped(advice, cure)
    repaired: list[Html | str] = [cure.repaired or "-"]
    if shipped:
        repaired.append(el("span", {"class": "tag ship"}, "recommended"))
    page = el("code", None, f"assay report {advice.audit} -n {namespace}")
    deploy: Html | str = el("code", None, advice.deploy) if shipped and advice.deploy else "-"
    target = advice.target
    cells = (
        advice.model,
        target.product or "any",
        target.image or "-",
        cure.candidate,
        cure.remedy,
        OUTCOMES.get(cure.outcome, cure.outcome),
    )
    return row((*cells, repaired, deploy, page))
