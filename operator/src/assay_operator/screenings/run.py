"""Which run of a screening there is now: by its schedule, or by what its spec means and its annotation asks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from assay_api.gpu_screening import ScreenSpec
from assay_api.gpu_screening_status import ScreenStatus
from assay_api.model import problems, to_wire
from assay_api.names import Condition
from assay_api.schedule import Due, due, run_name
from assay_api.screening_rules import screening_problems
from assay_operator.audits.conditions import find
from assay_operator.objects.raw import time
from assay_operator.objects.recorded import recorded
from assay_operator.screenings.screening import Screening

STEERING: Final = ("suspend", "managedBy", "maxParallel", "onBreach")
"""Fields that steer a run and do not make it another one."""


@dataclass(frozen=True)
class Now:
    """The run there is now.

    Attributes:
        run: its name; nothing where none has begun yet.
        ended: whether it is on record as ended.
        due: what the schedule says; None where there is none.
    """

    run: str
    ended: bool = False
    due: Due | None = None


def read_status(screening: Screening) -> ScreenStatus:
    """The status on record; an empty one where it is none of ours."""
    try:
        return ScreenStatus.model_validate_json(recorded(screening))
    except ValidationError:
        return ScreenStatus()


def now_of(screening: Screening, spec: ScreenSpec, old: ScreenStatus, now: datetime) -> Now:
    """The run there is now."""
    complete = find(old.conditions, Condition.COMPLETE)
    ended = complete is not None and complete.status == "True"
    asked = screening.asked(old.asked)
    if spec.schedule is None:
        run = _meaning(spec, asked)
        return Now(run, ended=ended and old.run == run)
    going = old.run is not None and not ended
    since = time(old.last_schedule_time) if old.last_schedule_time else screening.created
    told = due(spec.schedule, since, now, free=not (going or spec.suspend))
    if told.run is not None:
        return Now(run_name(told.run), due=told)
    if not going and not spec.suspend and asked != (old.asked or ""):
        return Now(f"asked-{asked}", due=told)
    return Now(old.run or "", ended=ended, due=told)


@lru_cache(maxsize=64)
def parsed(spec_json: bytes) -> ScreenSpec | tuple[str, ...]:
    """The spec that some JSON holds, or why it cannot be run, one sentence per problem."""
    try:
        spec = ScreenSpec.model_validate_json(spec_json)
    except ValidationError as error:
        return tuple(f"spec.{sentence}" for sentence in problems(error))
    found = screening_problems(spec)
    return tuple(f"spec.{sentence}" for sentence in found) if found else spec


def _meaning(spec: ScreenSpec, asked: str) -> str:
    wire = {key: value for key, value in to_wire(spec).items() if key not in STEERING}
    text = json.dumps({"spec": wire, "asked": asked}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
