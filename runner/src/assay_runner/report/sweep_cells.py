"""The cells of a sweep as its audits tell of them: the newest answer of each place, and what was said before.

Read from resources as the API server has them, in which anything may be missing; whatever cannot be read is left out
and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from assay_api.baseline import MATTERS, cause_of, joined
from assay_api.gate import Gate, Shown, gate_of
from assay_api.legs import leg_of
from assay_api.names import ANNOTATION_CELLS
from assay_api.report import Verdict
from assay_runner.raw import Raw, mapping

UNJUDGED: Final = "no answer"


class Column(NamedTuple):
    """What a column of the map is about; `image` is empty where the sweep has one."""

    candidate: str
    image: str = ""


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
        audit: its audit.
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
    """

    name: str
    run: str
    cells: tuple[CellShown, ...]
    unread: int
    status: Raw
    gate: Gate | None = None
    images: tuple[str, str] = ("", "")

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
        """The worst cell's; a cell without one makes it Inconclusive at best."""
        verdicts = {cell.verdict for cell in self.cells}
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.PASSED if verdicts == {Verdict.PASSED} else Verdict.INCONCLUSIVE

    def by_cause(self) -> list[tuple[str, list[CellShown]]]:
        """Cells that regressed or did not pass by their cause: causes of regressions first, then of most cells."""
        groups: dict[str, list[CellShown]] = {}
        for cell in self.cells:
            if cell.regressed or (cell.verdict is not Verdict.PASSED and not cell.going):
                groups.setdefault(cell.cause, []).append(cell)
        return sorted(groups.items(), key=lambda item: (-sum(c.regressed for c in item[1]), -len(item[1]), item[0]))


def sweep_shown(sweep: Raw, audits: Iterable[Raw]) -> SweepShown:
    """What a sweep and its audits tell."""
    meta = mapping(sweep.get("metadata"))
    places: dict[tuple[str, Column], list[tuple[Raw, Raw]]] = {}
    unread = 0
    newest_first = sorted(audits, key=_made_at, reverse=True)
    for audit in newest_first:
        found = _said(audit, str(meta.get("uid", "")))
        unread += found is None
        for place, entry in (found or {}).items():
            places.setdefault(place, []).append((audit, entry))
    cells = tuple(_cell(place, said) for place, said in sorted(places.items()))
    status = mapping(sweep.get("status"))
    name = f"{meta.get('namespace', 'default')}/{meta.get('name', '')}"
    gate, images = _gate(mapping(sweep.get("spec")), places)
    return SweepShown(name, str(status.get("run") or ""), cells, unread, status, gate, images)


def _gate(
    spec: Raw, places: Mapping[tuple[str, Column], Sequence[tuple[Raw, Raw]]]
) -> tuple[Gate | None, tuple[str, str]]:
    """What the answers come to, where the sweep has an upgrade, and its images."""
    upgrade = mapping(spec.get("upgrade"))
    old, new = str(upgrade.get("fromImage") or ""), str(upgrade.get("toImage") or "")
    if not (old and new):
        return None, ("", "")
    candidates = map(mapping, mapping(spec.get("template")).get("candidates") or ())
    plans = {each.get("name") for each in candidates if each.get("engine")}
    shown = []
    for (model, column), ((audit, entry), *_) in places.items():
        if column.image in (old, new):
            repairs = [mapping(each) for each in mapping(audit.get("status")).get("repairs") or ()]
            leg = leg_of(entry, repairs, str(mapping(audit.get("metadata")).get("name", "")))
            if not leg.verdict and (ended := _ended(audit)).get("status") == "True":
                leg = replace(leg, message=leg.message or str(ended.get("message") or ""))
            plan = column.candidate.partition("@")[0] in plans
            shown.append(Shown(model, column.candidate, column.image == new, plan, leg))
    return gate_of(shown), (old, new)


def _said(audit: Raw, uid: str) -> dict[tuple[str, Column], Raw] | None:
    """What an audit says of its cells; None where it cannot be read, or is another sweep's."""
    meta = mapping(audit.get("metadata"))
    owners = [mapping(owner) for owner in meta.get("ownerReferences") or ()]
    try:
        made = json.loads(mapping(meta.get("annotations")).get(ANNOTATION_CELLS, ""))
        place, keys = str(made["place"]), list(made["cells"])
    except (ValueError, TypeError, KeyError):
        return None
    if not any(owner.get("uid") == uid for owner in owners):
        return None
    model, _, image = place.partition("\n")
    entries = {entry.get("name"): entry for entry in map(mapping, mapping(audit.get("status")).get("candidates") or ())}
    return {(model, Column(str(key), image)): entries.get(key, {}) for key in keys}


def _cell(place: tuple[str, Column], said: Sequence[tuple[Raw, Raw]]) -> CellShown:
    (audit, entry), *earlier = said
    verdict = _verdict(entry)
    before = next((old for _, past in earlier if (old := _verdict(past))), None)
    worst = mapping(entry.get("worst"))
    ended = _ended(audit)
    going = ended.get("status") != "True"
    message = str(worst.get("message") or entry.get("message") or (ended.get("message") if not going else "") or "")
    name = str(mapping(audit.get("metadata")).get("name", ""))
    told = mapping(entry.get("baseline"))
    state = next((each for each in MATTERS if each == told.get("state")), "")
    regressed = verdict is Verdict.FAILED and before is Verdict.PASSED
    if state in ("Unchanged", "Changed", "Improved", "Regressed"):
        regressed = state == "Regressed"
    causes = tuple(str(cause) for cause in told.get("causes") or ()) or (_cause(worst, message),)
    return CellShown(
        *place, verdict, regressed, message, joined(causes), name, going and verdict is None,
        state=state, beside=str(told.get("message") or ""), accepted=str(told.get("accepted") or ""), causes=causes,
    )  # fmt: skip


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
