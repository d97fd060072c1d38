"""Answers of a sweep that are accepted as baselines: its annotation becomes one of each audit that it is about.

Who is asked is settled once, by the answers there are; what audits answer later is not accepted for it. Each audit has
it done by a Job of its own, and tells in its status what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assay_api.baseline import AcceptedStatus, Ask, ask_of, asked_digest
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_ACCEPT
from assay_api.result import shorten
from assay_operator.objects.raw import Manifest, compact, timestamp
from assay_operator.objects.resources import Ref
from assay_operator.sweeps.answers import JUDGED, CellState
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit

AT_ONCE: Final = 64
"""Audits that are annotated in one pass."""
SOON: Final = 1.0
WORDS: Final = 480
NAMED: Final = 3


@dataclass(frozen=True)
class Accepting:
    """What an acceptance comes to now.

    Attributes:
        status: what is told of it; None: none was ever asked for.
        patch: audits that are to be annotated.
        wait: seconds after which to go on.
    """

    status: AcceptedStatus | None
    patch: tuple[tuple[Ref, Manifest], ...] = ()
    wait: float | None = None


def accepting(
    sweep: Sweep, old: AcceptedStatus | None, states: Iterable[CellState], audits: Sequence[SweepAudit], now: datetime
) -> Accepting:
    """What comes of a sweep's annotation.

    Args:
        sweep: the sweep.
        old: what is on record of the acceptance asked for last.
        states: where its cells stand.
        audits: its audits.
        now: the time.
    """
    asked = asked_digest(sweep.accept)
    if old is not None and (old.asked == asked or not asked):
        return Accepting(_counted(old, audits) if old.waiting else old)
    if not asked:
        return Accepting(None)
    ask = ask_of(sweep.accept, of_sweep=True)
    at = timestamp(now)
    if isinstance(ask, str):
        return Accepting(AcceptedStatus(asked=asked, time=at, message=ask))
    known = AcceptedStatus(asked=asked, time=at, who=ask.who, why=ask.why)
    wanted, same = _wanted(ask, states)
    begun = {audit.name for audit in audits if audit.for_sweep == asked}
    if not wanted and not begun:
        said = f"all {same} of them are equal to what is accepted" if same else _nobody(ask)
        return Accepting(known.model_copy(update={"unchanged": same, "message": said}))
    left = {name: keys for name, keys in wanted.items() if name not in begun}
    part = dict(list(left.items())[:AT_ONCE])
    patch = tuple((Ref(AUDITS, name), _annotation(ask, asked, keys)) for name, keys in part.items())
    if len(part) < len(left):
        return Accepting(old, patch, SOON)
    counted = _counted(known.model_copy(update={"unchanged": same, "waiting": 1}), audits)
    more = sum(map(len, part.values()))
    return Accepting(counted.model_copy(update={"waiting": counted.waiting + more}), patch)


def _wanted(ask: Ask, states: Iterable[CellState]) -> tuple[dict[str, tuple[str, ...]], int]:
    """Keys of the candidates that are to be accepted, by audit; how many are what is accepted already."""
    found: dict[str, list[str]] = {}
    same: set[tuple[str, str]] = set()
    judged = frozenset(JUDGED.values())
    for state in states:
        place, said = state.cell.place, state.said
        if said is None or state.state not in judged or said.audit.deleting:
            continue
        if ask.model not in (None, place.model) or ask.image not in (None, place.image):
            continue
        if not ask.wants(place.key, state.causes):
            continue
        if state.baseline == "Unchanged":
            same.add((said.audit.name, said.candidate))
        elif said.candidate not in found.setdefault(said.audit.name, []):
            found[said.audit.name].append(said.candidate)
    return {name: tuple(keys) for name, keys in found.items() if keys}, len(same)


def _nobody(ask: Ask) -> str:
    named = {"model": ask.model, "candidate": ask.candidate, "image": ask.image, "cause": ask.cause}
    said = ", ".join(f"{what} {text!r}" for what, text in named.items() if text)
    return (
        f"no cell with an answer has {said}: look at the sweep's page for those there are"
        if said
        else "no cell has an answer yet"
    )


def _annotation(ask: Ask, asked: str, keys: tuple[str, ...]) -> Manifest:
    told = Ask(why=ask.why, who=ask.who, candidates=keys, sweep=asked)
    return {"metadata": {"annotations": {ANNOTATION_ACCEPT: compact(to_wire(told)).decode()}}}


def _counted(known: AcceptedStatus, audits: Sequence[SweepAudit]) -> AcceptedStatus:
    """What the audits that were asked have made of it so far."""
    mine = [audit for audit in audits if audit.for_sweep == known.asked and not audit.deleting]
    over = [audit for audit in mine if audit.dealt_with]
    refused = [f"{audit.name}: {audit.refusal}" for audit in over if audit.refusal]
    more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
    return known.model_copy(
        update={
            "waiting": sum(audit.asked_of for audit in mine if not audit.dealt_with),
            "accepted": sum(audit.accepted for audit in over),
            "refused": sum(audit.asked_of - audit.accepted for audit in over),
            "message": shorten("; ".join(refused[:NAMED]) + more, WORDS) or None,
        }
    )
