"""The part of a sweep's page about an upgrade: per model and GPU product whether it may go ahead, and why."""

from __future__ import annotations

from typing import Final

from assay_api.gate import Gate, Judged, Row
from assay_api.legs import NOTHING, Leg
from assay_runner.report.markup import Html, el, row, table

MOST_ROWS: Final = 500
TITLES: Final = {
    "NoGo": "No go", "Inconclusive": "Inconclusive", "GoWithRemedy": "Go with a remedy", "Go": "Go",
}  # fmt: skip
_HEADS: Final = ("Model", "GPU", "Candidate", "Decision", "Old engine", "New engine", "Why", "Its page")


def gate_section(gate: Gate, images: tuple[str, str], drivers: str, namespace: str) -> Html:
    """The gate: its counts, and every candidate of every row, the worst first.

    Args:
        gate: the gate.
        images: the old image and the new one.
        drivers: of the GPU products, in words, or nothing.
        namespace: of the sweep.
    """
    shown = gate.rows[:MOST_ROWS]
    more = len(gate.rows) - len(shown)
    plans = [(each, judged) for each in shown for judged in each.judged if judged.plan]
    engines = [(each, judged) for each in shown for judged in each.judged if not judged.plan]
    return el(
        "section",
        {"aria-labelledby": "gate"},
        el("h2", {"id": "gate"}, f"Upgrade gate: {TITLES[gate.decision]}"),
        el("p", None, summary(gate)),
        [el("p", None, f"{sentence}.") for sentence in gate.missing],
        el("p", {"class": "quiet"}, f"Old image {images[0]}; new image {images[1]}.{drivers}"),
        table("Old engine and new engine", _HEADS, [_row(each, judged, namespace) for each, judged in engines])
        if engines
        else el("p", {"class": "quiet"}, "Nothing was audited yet."),
        [
            el("h3", None, "Existing plans as they are"),
            el("p", {"class": "quiet"}, "Run by the old image on the drivers of now: they say nothing of the new one."),
            table("Existing plans", _HEADS, [_row(each, judged, namespace) for each, judged in plans]),
        ]
        if plans
        else None,
        el("p", {"class": "quiet"}, f"{more} more: assay gate lists all.") if more > 0 else None,
    )


def summary(gate: Gate) -> str:
    """The gate in one sentence."""
    counts = [f"{gate.count(decision)} {title.lower()}" for decision, title in TITLES.items() if gate.count(decision)]  # type: ignore[arg-type]
    cured = f"; the upgrade cures something of {gate.cured}" if gate.cured else ""
    failed = gate.plans_failed
    plans = f"; {failed} existing plan{'s fail' if failed > 1 else ' fails'} as built" if failed else ""
    plans += "; emulated: ONNX Runtime stood in for the engines" if gate.emulated else ""
    return f"{', '.join(counts) or 'nothing'} of {len(gate.rows)} models times GPU products{cured}{plans}."


def engine_words(leg: Leg) -> str:
    """What an engine says, in few words."""
    if leg == NOTHING:
        return "-"
    return f"{leg.verdict or 'no answer'}{f', {leg.beside.lower()} beside the old one' if leg.beside else ''}"


def _row(of: Row, judged: Judged, namespace: str) -> Html:
    audit = judged.new.audit or judged.old.audit
    page = el("code", None, f"assay report {audit} -n {namespace}") if audit else "-"
    decision = el("b", None, TITLES[judged.decision])
    cured = el("span", {"class": "tag"}, "cured") if judged.cured else None
    old, new = engine_words(judged.old), engine_words(judged.new)
    return row((of.model, of.product or "any", judged.candidate, [decision, cured], old, new, judged.why, page))
