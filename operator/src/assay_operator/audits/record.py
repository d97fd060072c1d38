"""The status on record, as far as it can be the operator's own.

A status is the operator's memory once Jobs are gone, and whoever may write it can write anything. What the operator
wrote itself, or found when it started, counts; what another hand made of it since is put right. What was found is
believed only where it agrees with itself: a verdict that its own candidates do not make is nobody's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from assay_api.finding import Verdict, worst
from assay_api.model import to_wire
from assay_api.status import AuditStatus
from assay_operator.audits.observed import Audit
from assay_operator.objects.raw import Raw, unpacked
from assay_operator.objects.recorded import changed_by_others, recorded


def keep(new: Any, known: Any) -> Any:
    """An audit as a watch brings it, with the status that the operator has on record where it is another by now."""
    assert isinstance(new, Audit)
    assert isinstance(known, Audit)
    record = changed_by_others(new, known)
    return new if record is None else replace(new, record=record, rerun=new.asked or known.rerun)


def read_status(audit: Audit) -> AuditStatus:
    """The status on record; an empty one where it is none of ours."""
    try:
        status = AuditStatus.model_validate_json(unpacked(recorded(audit)))
    except ValidationError:
        return AuditStatus()
    return status if agrees(status) else AuditStatus()


def genuine(audit: Any, raw: Raw) -> Raw:
    """An audit's raw form with the status that is on record, whatever another hand has written meanwhile."""
    assert isinstance(audit, Audit)
    return {**raw, "status": to_wire(read_status(audit))}


def agrees(status: AuditStatus) -> bool:
    """Whether a verdict is one that its candidates make; a large status keeps no more than the worst of them."""
    said = {condition.type: condition for condition in status.conditions}
    passed, complete = said.get("Passed"), said.get("Complete")
    claims = status.verdict == "Passed" or (passed is not None and passed.status == "True")
    claims = claims or (complete is not None and (complete.status, complete.reason) == ("True", "Passed"))
    judged = [entry for entry in status.candidates if entry.verdict or entry.state == "Failed"]
    told = worst(Verdict(entry.verdict or Verdict.INCONCLUSIVE) for entry in judged)
    if claims:
        finished, _, of_all = (status.finished or "").partition("/")
        return bool(judged) and told is Verdict.PASSED and finished == of_all
    return not (judged and status.verdict == "Inconclusive" and told is Verdict.FAILED)
