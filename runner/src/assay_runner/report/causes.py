"""What may have made a candidate's answer another one: where its error starts, the tactic there, versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from assay_api.baseline import MOST_CAUSES, cause_of
from assay_api.report import CandidateReport, Finding, Report, Verdict
from assay_runner.report.wording import first

MOST_TACTICS: Final = 20_000
NOTHING_ELSE: Final = "nothing else that reports tell has changed"


def runtime_of(candidate: CandidateReport) -> str | None:
    """What ran it, with its version."""
    made = candidate.provenance
    return f"{made.runtime} {made.version}" if made and made.version else None


def tactics_of(candidate: CandidateReport) -> dict[str, str]:
    """The kernel chosen for each layer of its engine, as far as that is told."""
    layers = candidate.engine_layers[:MOST_TACTICS]
    return {layer.name: layer.tactic for layer in layers if layer.tactic}


def causes(
    report: Report, candidate: CandidateReport, runtime: str | None, model: str | None, tactics: Mapping[str, str]
) -> tuple[str, ...]:
    """What has changed, the most telling first.

    Args:
        report: that has the answer.
        candidate: the candidate.
        runtime: what ran the answer that it is held against, with its version.
        model: identity of the model of that one.
        tactics: kernels of its engine's layers.
    """
    worst = first(f for f in report.findings if f.candidate == candidate.name and f.verdict != Verdict.PASSED)
    found = [cause_of(worst.check, worst.node or worst.tensor, worst.message)] if worst else []
    found += _tactics(worst, candidate, tactics)
    now = runtime_of(candidate)
    if runtime and now and now != runtime:
        same = runtime.partition(" ")[0] == now.partition(" ")[0]
        found.append(f"{runtime} -> {now.partition(' ')[2] if same else now}")
    if model and candidate.provenance and candidate.provenance.model not in (None, model):
        found.append("another model")
    return tuple(found[:MOST_CAUSES]) or (NOTHING_ELSE,)


def _tactics(worst: Finding | None, candidate: CandidateReport, before: Mapping[str, str]) -> Iterator[str]:
    """The tactic of the layer in which the error starts, where it is another one; else how many are."""
    if not before:
        return
    now = tactics_of(candidate)
    where = {worst.node, worst.tensor} - {None} if worst else set()
    for layer in candidate.engine_layers:
        old, new = before.get(layer.name), now.get(layer.name)
        if old and new and old != new and where & {layer.name, *layer.nodes}:
            yield f"tactic of {layer.name}: {old} -> {new}"
            return
    if any(before[name] != now[name] for name in before.keys() & now.keys()):
        yield "other tactics"
