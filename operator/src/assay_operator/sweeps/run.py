"""Which run of a sweep there is now: by its schedule, or by what its spec means and its annotations ask.

A scheduled run is named by its time in UTC, any other by a digest: beginning it twice begins it once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from assay_api.model import problems, to_wire
from assay_api.names import ANNOTATION_RERUN, ANNOTATION_RERUN_FAILED, Condition, Reason
from assay_api.plan import OPERATIONAL
from assay_api.schedule import Due, due, run_name
from assay_api.sweep import SweepSpec
from assay_api.sweep_rules import sweep_problems
from assay_api.sweep_status import SweepStatus
from assay_operator.audits.conditions import find
from assay_operator.audits.run import not_in_a_cluster, tokens_too_long
from assay_operator.objects.raw import time
from assay_operator.sweeps.observed import Sweep

STEERING: Final = ("suspend", "managedBy", "maxParallel", "historyLimit", "budget")
"""Fields that steer a run and do not make it another one."""
# Beside the models that its Job is asked about, in what a Pod's environment takes.
TEMPLATE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Refused:
    """Why a spec cannot be run, one sentence per problem."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Now:
    """The run there is now.

    Attributes:
        run: its name; nothing where none has begun yet.
        begins: whether it is not on record yet.
        ended: whether it is on record as ended.
        due: what the schedule says; None where there is none.
    """

    run: str
    begins: bool = False
    ended: bool = False
    due: Due | None = None


def spec_of(sweep: Sweep) -> SweepSpec | Refused:
    """The spec of a sweep, or why it cannot be run."""
    tokens = {ANNOTATION_RERUN: sweep.rerun, ANNOTATION_RERUN_FAILED: sweep.rerun_failed}
    too_long = tokens_too_long(tokens)
    return Refused(too_long) if too_long else parsed(sweep.spec)


def now_of(sweep: Sweep, spec: SweepSpec, old: SweepStatus, now: datetime) -> Now:
    """The run there is now."""
    complete = find(old.conditions, Condition.COMPLETE)
    ended = complete is not None and complete.status == "True"
    if complete and ended and complete.reason == Reason.OVER_BUDGET and old.observed_generation != sweep.generation:
        # The budget may have been raised: the run goes on where it was halted.
        ended = False
    if spec.schedule is None:
        run = meaning(spec, sweep.asked(old.asked))
        return Now(run, begins=old.run != run, ended=ended and old.run == run)
    going = old.run is not None and not ended
    since = time(old.last_schedule_time) if old.last_schedule_time else sweep.created
    told = due(spec.schedule, since, now, free=not (going or spec.suspend))
    if told.run is not None:
        return Now(run_name(told.run), begins=True, due=told)
    asked = sweep.asked(old.asked)
    if not going and not spec.suspend and asked != (old.asked or ""):
        return Now(f"asked-{asked}", begins=True, due=told)
    return Now(old.run or "", ended=ended, due=told)


def meaning(spec: SweepSpec, asked: str = "") -> str:
    """Digest of what a spec and its annotations ask: 16 hexadecimal digits."""
    wire = {key: value for key, value in to_wire(spec).items() if key not in STEERING}
    wire["template"] = {key: value for key, value in wire["template"].items() if key not in OPERATIONAL}
    text = json.dumps({"spec": wire, "asked": asked}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


@lru_cache(maxsize=64)
def parsed(spec_json: bytes) -> SweepSpec | Refused:
    """The spec that some JSON holds, or why it cannot be run."""
    try:
        spec = SweepSpec.model_validate_json(spec_json)
    except ValidationError as error:
        return Refused(tuple(f"spec.{sentence}" for sentence in problems(error)))
    found = list(sweep_problems(spec))
    found += [f"template.{sentence}" for sentence in not_in_a_cluster(spec.template)]
    if len(spec.template.model_dump_json(by_alias=True, exclude_defaults=True)) > TEMPLATE_BYTES:
        found.append(f"template: is larger than {TEMPLATE_BYTES // 1024} KiB: split its candidates over two sweeps")
    for model in spec.models:
        if model.uri.startswith("file://") and not model.uri.startswith("file:///"):
            found.append(
                f"models[{model.name}].uri: {model.uri} is relative, which means nothing in a cluster: use s3://"
            )
    return Refused(tuple(f"spec.{sentence}" for sentence in found)) if found else spec
