"""AccuracyAudit as the operator's table of kinds has it: what is generic there, put in the words of audits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from assay_api.model import Model
from assay_api.names import LABEL_AUDIT
from assay_api.resources import AUDIT
from assay_api.status import AuditStatus
from assay_operator.audits import troubles
from assay_operator.audits.acceptance import pending
from assay_operator.audits.events import end_events
from assay_operator.audits.fitting import wants_nodes, with_fits
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.reconcile import reconcile
from assay_operator.audits.record import genuine, keep, read_status
from assay_operator.audits.status import unwritable_status
from assay_operator.objects.children import JOB, POD
from assay_operator.objects.decision import Decision
from assay_operator.objects.kind import Asks, Kind
from assay_operator.objects.seen import Seen
from assay_operator.settings import Settings


def decide(seen: Seen, now: datetime, settings: Settings) -> Decision[AuditStatus]:
    """What is to be done about an audit."""
    return reconcile(with_fits(Observed.of(seen), seen.nodes, settings), now, settings)


def unwritable(seen: Seen, decision: Decision[Model], message: str, now: datetime) -> Decision[Model]:
    """The decision with an end for a status, that the one decided upon could not be written."""
    observed, refused = Observed.of(seen), decision.status
    assert isinstance(refused, AuditStatus), "an audit's status was refused"
    old = read_status(observed.audit)
    least = unwritable_status(refused, message, observed, old, now)
    events = (event for event in decision.events if event.reason != "Complete")
    return replace(decision, status=least, events=(*events, *end_events(old, least)))


def silent(seen: Seen, now: datetime) -> tuple[str, ...]:
    """UIDs of Jobs and Pods that have not come up for a while and do not say why."""
    audit = seen.parent
    assert isinstance(audit, Audit), f"{audit.key.kind} is no audit"
    done = audit.complete and not (audit.accept and pending(audit, read_status(audit)))
    return () if done else troubles.silent(Observed.of(seen), now)


def nodes(seen: Seen, now: datetime) -> Asks:
    """What the next decision wants to know of the nodes."""
    return "" if seen.parent.complete else wants_nodes(Observed.of(seen))


AUDITS: Final = Kind(
    custom=AUDIT,
    label=LABEL_AUDIT,
    children=(JOB, POD),
    read=Audit.of,
    reconcile=decide,
    unwritable=unwritable,
    silent=silent,
    keep=keep,
    genuine=genuine,
    verbs=("delete",),
    nodes=nodes,
)
