"""Keeping a status below 16 KiB: sentences are shortened, then details go, then the candidates that matter least.

A status is read by every client that lists audits and is stored with each change; the whole story is in the report.
"""

from __future__ import annotations

from collections.abc import Callable

from assay_api.baseline import BaselineStatus
from assay_api.model import to_wire
from assay_api.names import STATUS_BYTES
from assay_api.result import shorten
from assay_api.status import AuditStatus, CandidateStatus, RepairStatus
from assay_operator.objects.raw import compact

# Room for what the API server adds: blanks, defaults, the conditions' own growth.
BUDGET = STATUS_BYTES - 1024
Step = Callable[[CandidateStatus], CandidateStatus]


def size(status: AuditStatus) -> int:
    """Bytes of the status as JSON."""
    return len(compact(to_wire(status)))


def fitted(status: AuditStatus) -> AuditStatus:
    """The status, made small enough; the worst candidates are kept longest and in their order."""
    if size(status) <= BUDGET:
        return status
    for number, step in enumerate(STEPS):
        repairs = tuple(_shorter_repair(repair, number) for repair in status.repairs)
        status = status.model_copy(update={"candidates": tuple(map(step, status.candidates)), "repairs": repairs})
        if size(status) <= BUDGET:
            return status
    keep = sorted(range(len(status.candidates)), key=lambda index: (_importance(status.candidates[index]), index))
    while keep and size(status) > BUDGET:
        keep = keep[: len(keep) * 9 // 10]
        chosen = tuple(status.candidates[index] for index in sorted(keep))
        status = status.model_copy(update={"candidates": chosen})
    return status


def _shorter_repair(repair: RepairStatus, number: int) -> RepairStatus:
    """Half as many words and cures as before; then where its report lies goes, whose digest is held against it."""
    message = shorten(repair.message, max(len(repair.message) // 2, 32)) if repair.message else None
    update: dict[str, object] = {"message": message, "cures": repair.cures[: len(repair.cures) // 2]}
    return repair.model_copy(update=update if number < 2 else {**update, "report_uri": None})


def _importance(candidate: CandidateStatus) -> int:
    if candidate.state == "Failed":
        return 0
    return {"Failed": 1, "Inconclusive": 2, None: 3, "Passed": 4}[candidate.verdict]


def _shorter(limit: int) -> Step:
    def step(candidate: CandidateStatus) -> CandidateStatus:
        update: dict[str, object] = {"message": shorten(candidate.message, limit) if candidate.message else None}
        if candidate.worst:
            texts = {key: shorten(text, limit) for key, text in candidate.worst if isinstance(text, str)}
            update["worst"] = candidate.worst.model_copy(update=texts)
        for name in ("baseline", "compared"):
            if found := getattr(candidate, name):
                causes = tuple(shorten(cause, limit) for cause in found.causes)
                said = shorten(found.message, limit) if found.message else None
                update[name] = found.model_copy(update={"message": said, "causes": causes})
        return candidate.model_copy(update=update)

    return step


def _bare_baseline(candidate: CandidateStatus) -> CandidateStatus:
    """The state of it alone, where nothing is wrong."""
    bare = {
        name: BaselineStatus(state=found.state)
        for name in ("baseline", "compared")
        if (found := getattr(candidate, name)) and found.state != "Regressed"
    }
    return candidate.model_copy(update=bare)


def _without(*fields: str, only_passed: bool) -> Step:
    def step(candidate: CandidateStatus) -> CandidateStatus:
        if only_passed and candidate.verdict != "Passed":
            return candidate
        return candidate.model_copy(update=dict.fromkeys(fields))

    return step


STEPS: tuple[Step, ...] = (
    _shorter(200),
    _bare_baseline,
    _without("worst", "accuracy", only_passed=True),
    _shorter(80),
    _without("report_uri", "report_sha256", "latency_ms", "typing", "achieved", only_passed=True),
    _without("accuracy", "report_uri", "report_sha256", only_passed=False),
    _without("worst", "baseline", "compared", only_passed=False),
    _shorter(32),
)
