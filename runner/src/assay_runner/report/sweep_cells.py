"""The cells of a sweep as its audits tell of them: the answer that each place has, and what was said before.

Which answer a place has, the operator has marked in the audits at the end of the run: a younger one may be of a model
that has changed since, one audit answers for equal models, and a cell that the run has may have no answer at all. Read
from resources as the API server has them, in which anything may be missing; whatever cannot be read is left out and
counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from assay_api.baseline import MATTERS, cause_of, joined
from assay_api.gate import WORST_FIRST, Decision, Gate, Shown, gate_of
from assay_api.legs import NOTHING, Leg, leg_of
from assay_api.names import ANNOTATION_CELLS
from assay_api.report import Verdict
from assay_runner.raw import Raw, mapping
from assay_runner.report.sweep_advice import Advice, Answered, advice_of
from assay_runner.report.sweep_planned import ENDED, NOT_AUDITED, At, Column, Run, missing, number, why_missing

__all__ = ["UNJUDGED", "CellShown", "Column", "Run", "SweepShown", "sweep_shown"]

UNJUDGED: Final = "no answer"


@dataclass(frozen=True, slots=True)
class CellShown:
    """One cell.

    Attributes:
        model: name of the model.
        column: its candidate, with the GPU product, and image.
        verdict: its verdict; None: it has none.
        regressed: it is worse than what was accepted; where that does not tell, it failed, and passed when it was
            audited before.
        message: its worst figure, or why there is none.
        cause: what failed and where it starts, for cells to be grouped by.
        audit: its audit; empty where none tells of it.
        going: its audit has not ended.
        state: what it is beside its baseline, or nothing.
        beside: why, in one sentence.
        accepted: who accepted the baseline and when, or nothing.
        causes: the parts of its cause, by each of which cells may be accepted.
    """

    model: str
    column: Column
    verdict: Verdict | None
    regressed: bool
    message: str
    cause: str
    audit: str
    going: bool = False
    state: str = ""
    beside: str = ""
    accepted: str = ""
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SweepShown:
    """All that a page tells of a sweep.

    Attributes:
        name: `namespace/name`.
        run: name of the run.
        cells: the cells, by model and column.
        unread: audits that could not be read.
        status: the sweep's status.
        gate: whether its upgrade may go ahead; None: it has none.
        images: of the upgrade, the old one and the new one.
        unseen: cells of the run that neither an audit nor a name is known of.
        run_of: where the run stands that the status tells of.
        advice: what to ship, by model and target.
    """

    name: str
    run: str
    cells: tuple[CellShown, ...]
    unread: int
    status: Raw
    gate: Gate | None = None
    images: tuple[str, str] = ("", "")
    unseen: int = 0
    run_of: Run = ENDED
    advice: tuple[Advice, ...] = ()

    @property
    def doubts(self) -> list[str]:
        """Why the cells that are shown are not all there is to be said, a sentence each."""
        found = [self.run_of.trouble.rstrip(".")] if self.run_of.trouble else []
        counts = mapping(self.status.get("counts"))
        if self.unseen:
            over = number(counts.get("overBudget"))
            few = f" ({over} are over the budget)" if over else ""
            found.append(f"{self.unseen} cells have no audit{few}")
        passed = sum(cell.verdict is Verdict.PASSED for cell in self.cells)
        if self.run_of.ended and number(counts.get("cells")) and passed > number(counts.get("passed")):
            found.append(
                f"{passed} cells passed by their audits, and {number(counts.get('passed'))} by the sweep's status: an "
                "audit has changed since the run ended, which the next run takes up"
            )
        return found

    @property
    def models(self) -> list[str]:
        """Every model, by name."""
        return sorted({cell.model for cell in self.cells})

    @property
    def columns(self) -> list[Column]:
        """Every column, in its order."""
        return sorted({cell.column for cell in self.cells})

    @property
    def verdict(self) -> Verdict:
        """The worst cell's; a cell without one, or whatever else is in doubt, makes it Inconclusive at best."""
        verdicts = {cell.verdict for cell in self.cells}
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.PASSED if verdicts == {Verdict.PASSED} and not self.doubts else Verdict.INCONCLUSIVE

    def by_cause(self) -> list[tuple[str, list[CellShown]]]:
        """Cells that regressed or did not pass by their cause: causes of regressions first, then of most cells."""
        groups: dict[str, list[CellShown]] = {}
        for cell in self.cells:
            if cell.regressed or (cell.verdict is not Verdict.PASSED and not cell.going):
                groups.setdefault(cell.cause, []).append(cell)
        return sorted(groups.items(), key=lambda item: (-sum(c.regressed for c in item[1]), -len(item[1]), item[0]))


@dataclass(frozen=True, slots=True)
class _Said:
    """What an audit says of a cell; `past`: no more of this place."""

    audit: Raw
    entry: Raw
    past: bool = False


def sweep_shown(sweep: Raw, audits: Iterable[Raw], run: Run = ENDED) -> SweepShown:
    """What a sweep and its audits tell.

    Args:
        sweep: the sweep.
        audits: its audits, and whatever else has its label.
        run: where its run stands.
    """
    meta = mapping(sweep.get("metadata"))
    said: dict[At, list[_Said]] = {}
    unread = 0
    newest_first = sorted(audits, key=_made_at, reverse=True)
    for audit in newest_first:
        if mapping(audit.get("metadata")).get("deletionTimestamp"):
            continue
        found = _said(audit, str(meta.get("uid", "")))
        unread += found is None
        for place, each in found or ():
            said.setdefault(place, []).append(each)
    # What was said before the answer that counts says what regressed; what is younger says nothing.
    answers = {place: live for place, found in said.items() if (live := _from_the_live_one(found))}
    spec, status = mapping(sweep.get("spec")), mapping(sweep.get("status"))
    lacking = missing(spec, status, answers, (model for model, _ in said))
    cells = [_cell(place, found) for place, found in answers.items()]
    cells += [_lacking(place, status, run, said.get(place, ())) for place in lacking.cells]
    name = f"{meta.get('namespace', 'default')}/{meta.get('name', '')}"
    shown = SweepShown(
        name, str(status.get("run") or ""), tuple(sorted(cells, key=lambda cell: (cell.model, cell.column))), unread,
        status, unseen=lacking.more, run_of=run,
    )  # fmt: skip
    gate, images = _gate(spec, shown, answers)
    advice = advice_of(
        Answered(place, found[0].audit, str(found[0].entry.get("name") or place[1].candidate))
        for place, found in answers.items()
    )
    return replace(shown, gate=gate, images=images, advice=advice)


def _gate(spec: Raw, sweep: SweepShown, answers: Mapping[At, Sequence[_Said]]) -> tuple[Gate | None, tuple[str, str]]:
    """What the answers come to, where the sweep has an upgrade, and its images."""
    upgrade = mapping(spec.get("upgrade"))
    old, new = str(upgrade.get("fromImage") or ""), str(upgrade.get("toImage") or "")
    if not (old and new):
        return None, ("", "")
    candidates = map(mapping, mapping(spec.get("template")).get("candidates") or ())
    plans = {each.get("name") for each in candidates if each.get("engine")}
    shown = []
    for cell in sweep.cells:
        if cell.column.image in (old, new):
            found = answers.get((cell.model, cell.column))
            leg = _leg(found[0]) if found else (NOTHING if cell.going else Leg(message=cell.message))
            plan = cell.column.candidate.partition("@")[0] in plans
            shown.append(Shown(cell.model, cell.column.candidate, cell.column.image == new, plan, leg))
    gate = gate_of(shown)
    decision, told = _decision_of_status(sweep, gate.decision)
    return replace(gate, said=decision, missing=(*sweep.doubts, *told)), (old, new)


def _leg(said: _Said) -> Leg:
    repairs = [mapping(each) for each in mapping(said.audit.get("status")).get("repairs") or ()]
    leg = leg_of(said.entry, repairs, _name(said.audit))
    if not leg.verdict and (ended := _ended(said.audit)).get("status") == "True":
        return replace(leg, message=leg.message or str(ended.get("message") or ""))
    return leg


def _decision_of_status(sweep: SweepShown, rows: Decision) -> tuple[Decision, list[str]]:
    """What the status says of the upgrade, and why, where that is worse than what the rows say.

    The operator knows all cells: without its word, or with that of another run, there is no go-ahead.
    """
    gate = mapping(sweep.status.get("gate"))
    known = next((each for each in WORST_FIRST if each == gate.get("decision") and sweep.run_of.gated), None)
    decision: Decision = known or "Inconclusive"
    if WORST_FIRST.index(decision) >= WORST_FIRST.index(rows):
        return decision, []
    if known is None:
        return decision, [] if sweep.doubts else ["the sweep's status does not tell of the upgrade"]
    listed = [mapping(each) for each in gate.get("worst") or () if mapping(each).get("decision") == decision]
    names = [f"{each.get('model')}{f' on {on}' if (on := each.get('gpuProduct')) else ''}" for each in listed]
    why = f" ({', '.join(names)})" if names else ""
    return decision, [f"the sweep's status says {decision}{why}"]


def _said(audit: Raw, uid: str) -> list[tuple[At, _Said]] | None:
    """What an audit says of its cells; None where it cannot be read, or is another sweep's."""
    meta = mapping(audit.get("metadata"))
    owners = [mapping(owner) for owner in meta.get("ownerReferences") or ()]
    try:
        made = json.loads(mapping(meta.get("annotations")).get(ANNOTATION_CELLS, ""))
        place, keys = str(made["place"]), [str(key) for key in made["cells"]]
        past, also = frozenset(made.get("past") or ()), mapping(made.get("also"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not any(owner.get("uid") == uid for owner in owners):
        return None
    entries = {entry.get("name"): entry for entry in map(mapping, mapping(audit.get("status")).get("candidates") or ())}
    found = [(_at(place, key), _Said(audit, entries.get(key, {}), key in past)) for key in keys]
    for key in keys:
        others = also.get(key)
        for text in others if isinstance(others, list) else ():
            where, _, candidate = str(text).rpartition("\n")
            found.append((_at(where, candidate), _Said(audit, entries.get(key, {}))))
    return found


def _at(place: str, key: str) -> At:
    model, _, image = place.partition("\n")
    return model, Column(key, image)


def _from_the_live_one(found: Sequence[_Said]) -> Sequence[_Said]:
    """What is said of a place, from the answer on that counts; nothing where none does."""
    return next((found[at:] for at, each in enumerate(found) if not each.past), ())


def _lacking(place: At, status: Raw, run: Run, said: Sequence[_Said]) -> CellShown:
    """A cell of the run of which no audit tells."""
    why = why_missing(place, status, run)
    before = f"; audit {_name(said[0].audit)} is of what it was before" if said else ""
    return CellShown(
        *place, None, False, f"{why}{before}", why.partition(":")[0], "", not run.ended, causes=(NOT_AUDITED,)
    )


def _cell(place: At, said: Sequence[_Said]) -> CellShown:
    audit, entry = said[0].audit, said[0].entry
    verdict = _verdict(entry)
    before = next((old for each in said[1:] if (old := _verdict(each.entry))), None)
    worst = mapping(entry.get("worst"))
    ended = _ended(audit)
    going = ended.get("status") != "True"
    message = str(worst.get("message") or entry.get("message") or (ended.get("message") if not going else "") or "")
    told = mapping(entry.get("baseline"))
    state = next((each for each in MATTERS if each == told.get("state")), "")
    regressed = verdict is Verdict.FAILED and before is Verdict.PASSED
    if state in ("Unchanged", "Changed", "Improved", "Regressed"):
        regressed = state == "Regressed"
    causes = tuple(str(cause) for cause in told.get("causes") or ()) or (_cause(worst, message),)
    return CellShown(
        *place, verdict, regressed, message, joined(causes), _name(audit), going and verdict is None,
        state=state, beside=str(told.get("message") or ""), accepted=str(told.get("accepted") or ""), causes=causes,
    )  # fmt: skip


def _name(audit: Raw) -> str:
    return str(mapping(audit.get("metadata")).get("name", ""))


def _ended(audit: Raw) -> Raw:
    """The condition Complete of an audit."""
    conditions = map(mapping, mapping(audit.get("status")).get("conditions") or ())
    return next((each for each in conditions if each.get("type") == "Complete"), {})


def _cause(worst: Raw, message: str) -> str:
    """What failed and where, as far as that is told; else the words that were said, without figures' digits."""
    return cause_of(worst.get("check"), worst.get("node") or worst.get("tensor"), message) or UNJUDGED


def _verdict(entry: Raw) -> Verdict | None:
    told = entry.get("verdict")
    return Verdict(told) if told in tuple(Verdict) else None


def _made_at(audit: Raw) -> tuple[str, str]:
    meta = mapping(audit.get("metadata"))
    return str(meta.get("creationTimestamp", "")), str(meta.get("name", ""))
