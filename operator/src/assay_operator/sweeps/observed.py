"""What the operator knows of one sweep at one moment: itself, its audits, and the Jobs that look at its models.

An audit answers for a cell only where the sweep owns it, by UID, and its spec still is the one it was made with: it was
never changed, or what it means has the digest that stands in the annotation which names its cells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, Final

from assay_api.baseline import asked_digest, cause_of
from assay_api.legs import NOTHING, Leg, leg_of
from assay_api.made_for import MadeFor, made_for
from assay_api.names import (
    ANNOTATION_ACCEPT,
    API_VERSION,
    KIND,
    PLURAL,
    Condition,
    Reason,
)
from assay_api.prices import Taken, gpu_cells_of, gpu_seconds_of
from assay_api.result import shorten
from assay_operator.objects.raw import Raw, condition, owner, time
from assay_operator.objects.resources import Resource
from assay_operator.objects.seen import Seen
from assay_operator.sweeps.sweep import Sweep

__all__ = ["AUDITS", "Answer", "Sweep", "SweepAudit", "own_audits"]

AUDITS: Final = Resource(API_VERSION, KIND, PLURAL)
MESSAGE: Final = 240


@dataclass(frozen=True, slots=True)
class Answer:
    """What an audit says of one cell.

    Attributes:
        verdict: Passed, Failed, Inconclusive, or nothing.
        message: its worst figure, or what it says of itself.
        baseline: what it is beside its baseline, or nothing.
        causes: what has changed, where it regressed; else what failed.
        leg: all that an upgrade gate asks of it, where it was held against another engine's or may be.
    """

    verdict: str
    message: str
    baseline: str = ""
    causes: tuple[str, ...] = ()
    leg: Leg = NOTHING


@dataclass(frozen=True, slots=True)
class SweepAudit:
    """An audit of a sweep.

    Attributes:
        made: what it was made for; None: that cannot be read, or its spec is another one now.
        answers: what it says, by the key of the candidate.
        gpu_seconds: what it took so far.
        gpu_cells: candidates that need a GPU.
        for_sweep: digest of the sweep's annotation for which it is asked to accept answers, or nothing.
        asked_of: how many of them.
        dealt_with: whether that is done.
        accepted: how many were accepted.
        refusal: why others were not.
        report: URI and SHA-256 of its report, once there is one.
        product: the GPU product that it is on, or nothing.
        ready: reason of its condition Ready, or nothing.
        at_work: whether a candidate or a repair of it runs.
        unplaced: whether it says that no node can take it, and nothing of it runs.
    """

    name: str
    uid: str
    version: str
    owner: str
    created: datetime
    made: MadeFor | None
    deleting: bool = False
    suspended: bool = False
    phase: str = ""
    complete: bool = False
    reason: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    gpu_seconds: int = 0
    gpu_cells: int = 0
    for_sweep: str = ""
    asked_of: int = 0
    dealt_with: bool = False
    accepted: int = 0
    refusal: str = ""
    report: tuple[str, str] | None = None
    product: str = ""
    ready: str = ""
    at_work: bool = False
    unplaced: bool = False

    @property
    def active(self) -> bool:
        """Whether it has still to come to its end."""
        return not (self.complete or self.deleting)

    @property
    def taken(self) -> Taken:
        """What it took so far."""
        return Taken(self.made.model if self.made else "", self.gpu_seconds, self.gpu_cells)

    @staticmethod
    def of(raw: Raw) -> SweepAudit:
        """Read one from its raw form."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        complete = condition(status, Condition.COMPLETE)
        candidates, repairs = status.get("candidates") or (), status.get("repairs") or ()
        entries, report = (*candidates, *repairs), status.get("report") or {}
        ready, products = condition(status, Condition.READY), (spec.get("target") or {}).get("gpuProducts") or ("",)
        busy = _running(status.get("tasks") or ())
        return SweepAudit(
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            owner=owner(meta, "uid"),
            created=time(meta["creationTimestamp"]),
            made=made_for(meta, spec),
            deleting="deletionTimestamp" in meta,
            suspended=bool(spec.get("suspend")),
            phase=status.get("phase") or "",
            complete=complete.get("status") == "True",
            reason=complete.get("message") or "",
            answers={each["name"]: _answer(each, repairs, meta["name"]) for each in candidates},
            gpu_seconds=gpu_seconds_of(status),
            gpu_cells=gpu_cells_of(spec),
            report=(report["uri"], report["sha256"]) if report.get("uri") and report.get("sha256") else None,
            product=intern(products[0]),
            ready=intern(ready.get("reason") or ""),
            at_work=_running(entries),
            unplaced=ready.get("reason") == Reason.UNSCHEDULABLE and not (busy or _running(entries)),
            **_acceptance(meta, status),
        )


def own_audits(seen: Seen) -> tuple[SweepAudit, ...]:
    """The audits that a sweep owns, the newest first."""
    mine = (each for each in seen.children[AUDITS] if each.owner == seen.parent.uid)
    return tuple(sorted(mine, key=lambda each: (each.created, each.name), reverse=True))


def _running(entries: Iterable[Raw]) -> bool:
    return any(each.get("state") == "Running" for each in entries)


def _answer(entry: Mapping[str, Any], repairs: Iterable[Mapping[str, Any]], audit: str) -> Answer:
    worst = entry.get("worst") or {}
    said = worst.get("message") or entry.get("message") or ""
    verdict, baseline = entry.get("verdict") or "", entry.get("baseline") or {}
    causes = tuple(baseline.get("causes") or ())
    if not causes and verdict != "Passed":
        causes = (cause_of(worst.get("check"), worst.get("node") or worst.get("tensor"), said),)
    leg = leg_of(entry, repairs, audit)
    return Answer(verdict, shorten(said, MESSAGE), intern(baseline.get("state") or ""), causes, leg)


def _acceptance(meta: Raw, status: Raw) -> dict[str, Any]:
    """What a sweep asked an audit to accept, and what came of it."""
    text = (meta.get("annotations") or {}).get(ANNOTATION_ACCEPT)
    if not text or not text.startswith("{"):
        return {}
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(asked, dict) or not isinstance(asked.get("sweep"), str):
        return {}
    found = status.get("accepted") or {}
    return {
        "for_sweep": asked["sweep"],
        "asked_of": len(asked.get("candidates") or ()),
        "dealt_with": found.get("asked") == asked_digest(text) and not found.get("waiting"),
        "accepted": int(found.get("accepted") or 0),
        "refusal": shorten(found.get("message") or "", MESSAGE),
    }
