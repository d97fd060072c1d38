"""Where an audit or a sweep of a cluster stands, read off the resource as the API server has it.

What counts is what the status says of this spec and of this rerun: the verdict of an earlier one is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from assay_api.asked import MOST_TOKEN, answered
from assay_api.names import (
    ANNOTATION_RERUN,
    ANNOTATION_RERUN_FAILED,
    MANAGED_BY,
    SCREENING_KIND,
    SWEEP_KIND,
    Condition,
    ExitCode,
    Reason,
)
from assay_api.report import Verdict
from assay_runner.raw import Raw, mapping

_UNSEEN: Final = "the operator has not looked at this spec yet"
_UNTAKEN: Final = "the operator has not taken the rerun up yet"
_CODES: Final = {
    Reason.PASSED: ExitCode.PASSED,
    Reason.BREACHED: ExitCode.BREACHED,
    Reason.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Reason.OVER_BUDGET: ExitCode.INCONCLUSIVE,
    Reason.INVALID_INPUT: ExitCode.INVALID_INPUT,
}


@dataclass(frozen=True)
class Standing:
    """Where it stands.

    Attributes:
        code: the exit code that says how its run ended; None: it has not ended.
        word: the verdict, or what is being done, in one word.
        reason: why it ended, for machines; empty while it has not.
        message: one sentence.
        regressed: answers that are worse than what was accepted of them, of a run that has ended.
    """

    code: ExitCode | None
    word: str
    reason: str = ""
    message: str = ""
    regressed: int = 0


def standing(resource: Raw) -> Standing:
    """Where an audit or a sweep stands."""
    meta, status = mapping(resource.get("metadata")), mapping(resource.get("status"))
    if status.get("observedGeneration") != meta.get("generation"):
        return Standing(None, "Pending", message=_unseen(mapping(resource.get("spec")).get("managedBy")))
    if _asks(resource, mapping(meta.get("annotations")), status):
        return Standing(None, "Pending", message=_UNTAKEN)
    complete, ready = condition(status, Condition.COMPLETE), condition(status, Condition.READY)
    if complete.get("status") != "True":
        return Standing(None, str(status.get("phase") or "Pending"), message=_words(ready) or _UNSEEN)
    reason = str(complete.get("reason") or "")
    verdict = str(status.get("verdict") or "no verdict")
    code = _CODES.get(reason, ExitCode.UNAVAILABLE)  # type: ignore[call-overload]
    if verdict == Verdict.FAILED and code in (ExitCode.UNAVAILABLE, ExitCode.INCONCLUSIVE, ExitCode.PASSED):
        # Nothing that is missing beside it mends a breach.
        code = ExitCode.BREACHED
    return Standing(code, verdict, reason, _words(complete), _regressed(status))


def _regressed(status: Raw) -> int:
    """How many answers are worse than what was accepted: a sweep counts them, an audit's candidates say so each."""
    counted = mapping(status.get("counts")).get("regressed")
    candidates = status.get("candidates")
    entries = map(mapping, candidates if isinstance(candidates, list) else ())
    worse = [entry for entry in entries if mapping(entry.get("baseline")).get("state") == "Regressed"]
    return (counted if isinstance(counted, int) else 0) + len(worse)


def _unseen(managed_by: Any) -> str:
    """What to say of a spec that nobody has looked at."""
    if managed_by in (None, "", MANAGED_BY):
        return _UNSEEN
    return f"spec.managedBy is {managed_by}, so the operator leaves it alone, and {managed_by} has not taken it up"


def condition(status: Raw, kind: str) -> Raw:
    """The condition of a type; empty where there is none."""
    given = status.get("conditions")
    found = map(mapping, given if isinstance(given, list) else ())
    return next((each for each in found if each.get("type") == kind), {})


def _asks(resource: Raw, annotations: Raw, status: Raw) -> bool:
    """Whether an annotation asks for a run that the status does not tell of."""
    rerun = str(annotations.get(ANNOTATION_RERUN) or "")
    if resource.get("kind") == SWEEP_KIND:
        failed = str(annotations.get(ANNOTATION_RERUN_FAILED) or "")
        done = answered(rerun, failed, str(status.get("asked") or ""))
        return not (
            (done[0] or _told(rerun, status.get("rerun"))) and (done[1] or _told(failed, status.get("rerunFailed")))
        )
    if resource.get("kind") == SCREENING_KIND:
        return not answered(rerun, "", str(status.get("asked") or ""))[0]
    return not _told(rerun, status.get("rerun"))


def _told(token: str, said: Any) -> bool:
    """Whether a status tells of an annotation; of one that is too long it tells as much as it holds."""
    return token[:MOST_TOKEN] in ("", said)


def _words(condition: Raw) -> str:
    return " ".join(str(condition.get("message") or "").split())
