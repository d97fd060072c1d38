"""Which answers stand between two runs, when nobody knows of the models any more: the youngest of each place.

The youngest need not be the one that counts: a model may have gone back to what it was, be equal to another one, or
have lost a candidate. At its end a run marks the audits that would be taken for an answer and are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay_api.cells import Cell, Place
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_CELLS
from assay_operator.objects.raw import Manifest, compact
from assay_operator.objects.resources import Ref
from assay_operator.sweeps.answers import JUDGED, Answers, CellState, Said
from assay_operator.sweeps.observed import AUDITS, SweepAudit


def at_rest(answers: Answers) -> list[CellState]:
    """Where the cells stand, as far as audits tell."""
    found = []
    for (place, key), said in answers.places():
        live = [each for each in said if key not in each.made.past]
        if live:
            found.append(_state(place, key, live))
    return found


def marks(
    states: Iterable[CellState], answers: Answers, going: Iterable[SweepAudit]
) -> tuple[tuple[Ref, Manifest], ...]:
    """What audits must have said of them so that `at_rest` tells of the same answers as these states.

    Args:
        states: where the cells stand at the end of a run.
        answers: what the audits say.
        going: audits that are deleted now.
    """
    gone = {audit.uid for audit in going}
    current = {state.answer for state in states if state.said}
    past: dict[str, tuple[SweepAudit, set[str]]] = {}
    for (_, key), found in answers.places():
        for said in found:
            if said.audit.uid in gone:
                continue
            stands = (said.audit.uid, key) in current
            if stands == (key in said.made.past):
                _, keys = past.setdefault(said.audit.uid, (said.audit, set(said.made.past)))
                (keys.discard if stands else keys.add)(key)
            if stands:
                break
    return tuple(_patch(audit, keys) for audit, keys in past.values())


def _patch(audit: SweepAudit, keys: set[str]) -> tuple[Ref, Manifest]:
    assert audit.made is not None, "an audit that answers for nothing is not asked"
    made = audit.made.model_copy(update={"past": tuple(sorted(keys))})
    return Ref(AUDITS, audit.name), {"metadata": {"annotations": {ANNOTATION_CELLS: compact(to_wire(made)).decode()}}}


def _state(place: str, key: str, found: Sequence[Said]) -> CellState:
    (model, _, image), (candidate, _, product) = place.partition("\n"), key.partition("@")
    said = found[0]
    cell = Cell(Place(model, candidate, product, image), said.made.cells[key])
    before = next((each.verdict for each in found[1:] if each.verdict), "")
    words = (said.answer.message if said.answer else "") or said.audit.reason
    return CellState(cell, JUDGED.get(said.verdict, "errors"), said, words, before)
