"""From an ask to the audit that answers it: named by its content, so that making it twice makes it once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from assay_api.audit import CompareWith
from assay_api.cells import Ask, audit_spec
from assay_api.made_for import MadeFor, spec_digest
from assay_api.model import problems, to_wire
from assay_api.names import (
    ANNOTATION_CELLS,
    API_VERSION,
    KIND,
    LABEL_MANAGED,
    LABEL_QUEUE,
    LABEL_QUEUE_PRIORITY,
    LABEL_SWEEP,
    LABEL_SWEEP_RUN,
    LABEL_TRACE,
    trace_of,
)
from assay_api.sweep import SweepSpec
from assay_operator.objects.keys import label_value
from assay_operator.objects.raw import Manifest, compact
from assay_operator.objects.seen import owner_reference
from assay_operator.sweeps.answers import Wish, place_of
from assay_operator.sweeps.observed import Sweep


@dataclass(frozen=True)
class Impossible:
    """Why no audit can be made for an ask."""

    message: str


def audit_manifest(
    sweep: Sweep, spec: SweepSpec, ask: Ask, wish: Wish, compare_with: CompareWith | None = None
) -> Manifest | Impossible:
    """The audit of an ask, or why there can be none; `compare_with` is the old engine's report, of an upgrade."""
    try:
        wire = to_wire(audit_spec(spec.template, ask, compare_with))
    except ValidationError as error:
        return Impossible("; ".join(problems(error)))
    made = MadeFor(
        cells={cell.place.key: cell.key for cell in ask.cells},
        place=place_of(ask.cells[0], len(spec.runner_images) > 1),
        spec=spec_digest(wire),
        run=wish.run,
        rerun=wish.rerun,
        rerun_failed=wish.rerun_failed,
    )
    labels = {LABEL_MANAGED: "true", LABEL_SWEEP: label_value(sweep.name), LABEL_SWEEP_RUN: wish.run}
    labels[LABEL_TRACE] = sweep.trace or trace_of(sweep.uid, wish.run)
    if sweep.queue:
        labels[LABEL_QUEUE] = sweep.queue
        if sweep.queue_priority:
            labels[LABEL_QUEUE_PRIORITY] = sweep.queue_priority
    metadata = {
        "name": audit_name(sweep, ask, made),
        "namespace": sweep.namespace,
        "labels": labels,
        "annotations": {ANNOTATION_CELLS: compact(to_wire(made)).decode()},
        "ownerReferences": [owner_reference(sweep)],
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": wire}


def audit_name(sweep: Sweep, ask: Ask, made: MadeFor) -> str:
    """Name of an audit: readable, unique by what it is made for and by whom, at most 63 characters.

    The run counts too: an audit of the same cells that failed without an answer is another one's predecessor. So does
    the sweep's UID: what a deleted sweep of the same name has left is none of this one's.
    """
    text = json.dumps({**to_wire(made), "sweep": sweep.uid}, sort_keys=True)
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]
    parts = (_cut(sweep.name, 24), _cut(ask.model.name.rsplit("/", 1)[-1], 24), digest)
    return "-".join(part for part in parts if part)


def suspended(sweep_held: bool, spec: SweepSpec) -> bool:
    """Whether the audits of a sweep are suspended."""
    return sweep_held or spec.template.suspend


def sentences(asks: Sequence[Ask], limit: int = 3) -> str:
    """The first few of some asks in words."""
    told = [f"{ask.model.name}{f' on {ask.product}' if ask.product else ''}" for ask in asks[:limit]]
    return ", ".join(told) + (f" and {len(asks) - limit} more" if len(asks) > limit else "")


def _cut(text: str, limit: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:limit].strip("-")
