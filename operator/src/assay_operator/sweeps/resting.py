"""Which answers stand between two runs, when nobody knows of the models any more: the youngest of each place.

The youngest need not be the one that counts: a model may have gone back to what it was, be equal to another one, or
have lost a candidate. At its end a run marks the audits that would be taken for an answer and are none, and those that
answer for a cell of another place: one audit is made for equal models, and a renamed one keeps its answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from assay_api.cells import Cell, Place
from assay_api.made_for import MadeFor
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_CELLS
from assay_operator.objects.raw import Manifest, compact
from assay_operator.objects.resources import Ref
from assay_operator.sweeps.answers import JUDGED, Answers, CellState, Said, Where, place_of
from assay_operator.sweeps.observed import AUDITS, SweepAudit

MOST_ALSO: Final = 48 * 1024
"""Characters of one audit's annotation about cells of other places; one that is left out has no answer for a reader."""


def at_rest(answers: Answers) -> list[CellState]:
    """Where the cells stand, as far as audits tell."""
    found: dict[Where, list[Said]] = {}
    for where, here in answers.places():
        for each in here:
            if where[1] not in each.made.past:
                found.setdefault(where, []).append(each)
    for where, said in answers.others():
        # What the place has itself is as young, or another answer's by now.
        found.setdefault(where, [said, *(each for each in answers.at(*where) if each.audit is not said.audit)])
    return [_state(place, key, said) for (place, key), said in sorted(found.items())]


def marks(
    states: Iterable[CellState], answers: Answers, going: Iterable[SweepAudit], several: bool
) -> tuple[tuple[Ref, Manifest], ...]:
    """What audits must have said of them so that `at_rest`, and whoever reads them, tells of the same answers.

    Args:
        states: where the cells stand at the end of a run.
        answers: what the audits say.
        going: audits that are deleted now.
        several: whether the sweep has several images.
    """
    gone = {audit.uid for audit in going}
    own, also = _standing(states, several)
    told: dict[str, SweepAudit] = {}
    past: dict[str, set[str]] = {}
    for (_, key), found in answers.places():
        for said in found:
            if said.audit.uid in gone:
                continue
            told[said.audit.uid] = said.audit
            marked = past.setdefault(said.audit.uid, set(said.made.past))
            stands = (said.audit.uid, key) in own
            (marked.discard if stands else marked.add)(key)
            if stands:
                break
    for said in answers.all():
        if said.audit.uid not in gone and (said.made.also or said.audit.uid in also):
            told[said.audit.uid] = said.audit
    patches = []
    for uid, audit in told.items():
        assert audit.made is not None, "an audit that answers for nothing is not asked"
        keys = tuple(sorted(past.get(uid, audit.made.past)))
        made = audit.made.model_copy(update={"past": keys, "also": also.get(uid, {})})
        if (set(keys), made.also) != (set(audit.made.past), audit.made.also):
            patches.append(_patch(audit, made))
    return tuple(patches)


def _standing(states: Iterable[CellState], several: bool) -> tuple[set[Where], dict[str, dict[str, tuple[str, ...]]]]:
    """Answers that stand in their own place, by audit and candidate, and the cells of other places that some have."""
    own: set[Where] = set()
    also: dict[str, dict[str, tuple[str, ...]]] = {}
    left: Counter[str] = Counter()
    for state in states:
        if (said := state.said) is None:
            continue
        uid, where = said.audit.uid, (place_of(state.cell, several), state.cell.place.key)
        if where == (said.made.place, said.candidate):
            own.add(state.answer)
            continue
        text = "\n".join(where)
        left[uid] += len(text) + 4
        if left[uid] <= MOST_ALSO:
            mine = also.setdefault(uid, {})
            mine[said.candidate] = (*mine.get(said.candidate, ()), text)
    return own, also


def _patch(audit: SweepAudit, made: MadeFor) -> tuple[Ref, Manifest]:
    return Ref(AUDITS, audit.name), {"metadata": {"annotations": {ANNOTATION_CELLS: compact(to_wire(made)).decode()}}}


def _state(place: str, key: str, found: Sequence[Said]) -> CellState:
    (model, _, image), (candidate, _, product) = place.partition("\n"), key.partition("@")
    said = found[0]
    cell = Cell(Place(model, candidate, product, image), said.made.cells[said.candidate])
    before = next((each.verdict for each in found[1:] if each.verdict), "")
    words = (said.answer.message if said.answer else "") or said.audit.reason
    return CellState(cell, JUDGED.get(said.verdict, "errors"), said, words, before)
