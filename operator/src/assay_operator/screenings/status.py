"""From where the nodes of a screening stand to its status, which stays below 16 KiB however many there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from assay_api.gpu_screening_status import (
    NAMED,
    UNSCANNED,
    GpuCounts,
    GpuStatus,
    NodeStatus,
    ScreenReportRef,
    ScreenStatus,
)
from assay_api.model import to_wire
from assay_api.names import STATUS_BYTES, Condition, Phase, Reason
from assay_api.result import TaskResult, shorten
from assay_api.schedule import Due
from assay_api.screen_orders import WORDS
from assay_api.status import ConditionStatus
from assay_operator.audits.conditions import Setting, ended, find, in_progress, recorded_end, stalls
from assay_operator.audits.outcome import Outcome
from assay_operator.objects.decision import Decision
from assay_operator.objects.events import NORMAL, WARNING, Event
from assay_operator.objects.raw import compact, time, timestamp
from assay_operator.objects.resources import Ref
from assay_operator.screenings.run import Now
from assay_operator.screenings.screening import Screening
from assay_operator.screenings.standing import NodeState, counts

WRITE_SECONDS: Final = 10.0
"""While only counts change, a status is written so often at most."""
LONGEST_WAIT: Final = 3_600.0
BUDGET: Final = STATUS_BYTES - 1024
_NOTHING: Final[dict[str, object]] = {"gpus": None, "worst": (), "excludes": None, "report": None, "emulated": None}
RECORD: Final = "answers.json"


@dataclass(frozen=True)
class Writer:
    """Makes the statuses of one pass.

    Attributes:
        screening: whose they are.
        at: the run there is now.
        old: the status on record.
        now: the time.
        on_breach: whether a GPU that is named fails the screening.
    """

    screening: Screening
    at: Now
    old: ScreenStatus
    now: datetime
    on_breach: str

    def going(self, states: Sequence[NodeState], reason: Reason, message: str) -> ScreenStatus:
        """The status of a run that goes on."""
        found = counts(states)
        begun = found.nodes > found.waiting
        phase = Phase.SUSPENDED if reason is Reason.SUSPENDED else Phase.RUNNING if begun else Phase.PENDING
        return fitted(self._status(phase, in_progress(self._setting, reason, message), states))

    def done(self, states: Sequence[NodeState], end: Outcome, result: TaskResult | None) -> ScreenStatus:
        """The status of a run that ends now."""
        phase = Phase.STALLED if stalls(end, self.on_breach) else Phase.COMPLETE
        status = self._status(phase, ended(self._setting, end, self.on_breach), states)
        verdict = end.verdict.value if end.verdict else None
        update: dict[str, object] = {"verdict": verdict, "completion_time": timestamp(self.now)}
        return fitted(status.model_copy(update=update | (_of_fleet(result) if result else _NOTHING)))

    def resting(self) -> ScreenStatus:
        """The status between runs, or after the only one."""
        end = recorded_end(self.old.conditions, self.old.verdict)
        clock = self._clock()
        update: dict[str, object] = {"observed_generation": self.screening.generation, **clock}
        if end is None or self.old.run is None:
            when = f" The next run begins at {clock['next_schedule_time']}." if clock["next_schedule_time"] else ""
            conditions = in_progress(self._setting, Reason.SCHEDULED, f"Nothing has run yet.{when}")
            update |= {"phase": Phase.PENDING.value, "conditions": _settled(conditions, self._setting)}
        else:
            phase = Phase.STALLED if stalls(end, self.on_breach) else Phase.COMPLETE
            update |= {"phase": phase.value, "conditions": ended(self._setting, end, self.on_breach)}
        return self.old.model_copy(update=update)

    def written(
        self, new: ScreenStatus, delete: tuple[Ref, ...] = (), wait: float | None = None
    ) -> Decision[ScreenStatus]:
        """The decision that has a status written where that is due."""
        waits = [] if wait is None else [wait]
        if self.at.due and self.at.due.next:
            waits.append(min(max((self.at.due.next - self.now).total_seconds(), 0.0) + 0.5, LONGEST_WAIT))
        edited = self.screening.record is not None
        before, after = (_without_time(each) for each in (self.old, new))
        write: ScreenStatus | None = new
        if before == after and not edited and json.loads(self.screening.status):
            write = None
        elif _only_counts(self.old, new) and not edited and (left := _fresh_for(self.old, self.now)) > 0:
            write = None
            waits.append(left)
        events = _events(self.old, new) if write else ()
        return Decision(
            status=write, replace=edited, delete=delete, events=events, requeue_after=min(waits, default=None)
        )

    @property
    def _setting(self) -> Setting:
        return Setting(self.screening.generation, timestamp(self.now), self.old.conditions)

    def _status(
        self, phase: Phase, conditions: tuple[ConditionStatus, ...], states: Sequence[NodeState]
    ) -> ScreenStatus:
        same, found = self.old.run == self.at.run, counts(states)
        return ScreenStatus(
            observed_generation=self.screening.generation,
            phase=phase.value,
            conditions=conditions,
            run=self.at.run,
            asked=(self.old.asked if same else self.screening.asked(self.old.asked)) or None,
            start_time=(self.old.start_time if same else None) or timestamp(self.now),
            nodes=found,
            # Until this run has ended, what the last one found stands.
            gpus=self.old.gpus,
            worst=self.old.worst,
            excludes=self.old.excludes,
            report=self.old.report,
            emulated=self.old.emulated,
            finished=f"{found.scanned + found.skipped + found.hung}/{found.nodes}",
            unscanned=_unscanned(states),
            update_time=timestamp(self.now),
        ).model_copy(update=self._clock())

    def _clock(self) -> dict[str, object]:
        """What the status says of the schedule."""
        due: Due | None = self.at.due
        if due is None:
            return {"last_schedule_time": None, "next_schedule_time": None, "missed_runs": None}
        return {
            "last_schedule_time": timestamp(due.dealt) if due.dealt else self.old.last_schedule_time,
            "next_schedule_time": timestamp(due.next) if due.next else None,
            "missed_runs": (self.old.missed_runs or 0) + due.dropped or None,
        }


def invalid(screening: Screening, sentences: Sequence[str], old: ScreenStatus, now: datetime) -> ScreenStatus:
    """The status of a screening whose spec cannot be run; what earlier runs came to stays."""
    end = Outcome(Reason.INVALID_INPUT, Reason.INVALID_INPUT, "; ".join(sentences), None)
    setting = Setting(screening.generation, timestamp(now), old.conditions)
    update = {
        "observed_generation": screening.generation, "phase": Phase.STALLED.value, "verdict": None, "run": None,
        "conditions": ended(setting, end, "Fail"), "next_schedule_time": None,
    }  # fmt: skip
    return old.model_copy(update=update)


def fitted(status: ScreenStatus) -> ScreenStatus:
    """The status, made small enough: names of nodes may have 253 characters, so the last that it tells of go."""
    while len(compact(to_wire(status))) > BUDGET and (status.unscanned or status.worst):
        longer = "unscanned" if len(status.unscanned) >= len(status.worst) else "worst"
        status = status.model_copy(update={longer: getattr(status, longer)[:-1]})
    return status


def _of_fleet(result: TaskResult) -> dict[str, object]:
    """What the comparison told."""
    fleet, report = result.fleet, result.report
    if fleet is None:
        return {}
    worst = [(each, "Failed") for each in fleet.wrong] + [(each, "Inconclusive") for each in fleet.doubtful]
    record = f"{report.uri.rpartition('/')[0]}/{RECORD}" if report and fleet.recorded else None
    return {
        "gpus": GpuCounts(scanned=fleet.scanned, named=fleet.named, inconclusive=fleet.unclear, skipped=fleet.skipped),
        "worst": tuple(
            GpuStatus.model_validate(
                {"node": each.node, "device": each.device, "verdict": verdict, "message": shorten(each.message, WORDS)}
            )
            for each, verdict in worst[:NAMED]
        ),
        "excludes": fleet.excludes,
        "report": ScreenReportRef(uri=report.uri, sha256=report.sha256, page=report.page, record=record)
        if report
        else None,
        "emulated": result.emulated or None,
    }


def _unscanned(states: Sequence[NodeState]) -> tuple[NodeStatus, ...]:
    """The first nodes that were not screened, then those that wait."""
    ranked = [s for s in states if s.state in ("Skipped", "Invalid", "Hung")]
    ranked += [s for s in states if s.state == "Pending" and s.message]
    words = {"Hung": "did not come to an end"}
    return tuple(
        NodeStatus(node=s.place.node, message=shorten(s.message or words.get(s.state, s.state), WORDS))
        for s in ranked[:UNSCANNED]
    )


def _settled(made: tuple[ConditionStatus, ...], setting: Setting) -> tuple[ConditionStatus, ...]:
    """Conditions of what waits for its time: it is as it should be."""
    turned = {Condition.READY: "True", Condition.RECONCILING: "False"}

    def fix(each: ConditionStatus) -> ConditionStatus:
        status = turned.get(Condition(each.type))
        if status is None:
            return each
        was = find(setting.before, Condition(each.type))
        since = was.last_transition_time if was and was.status == status else setting.now
        return each.model_copy(update={"status": status, "last_transition_time": since})

    return tuple(fix(each) for each in made)


def _events(old: ScreenStatus, new: ScreenStatus) -> tuple[Event, ...]:
    """What `kubectl describe` tells: that a run began, was held, ended."""
    found = []
    if new.run and new.run != old.run:
        found.append(Event(NORMAL, "Started", f"Run {new.run}."))
    if new.phase == Phase.SUSPENDED.value != old.phase:
        found.append(Event(NORMAL, Reason.SUSPENDED, "Suspended: no further node is begun."))
    before, now = find(old.conditions, Condition.COMPLETE), find(new.conditions, Condition.COMPLETE)
    if now and now.status == "True" and (old.run, before and before.message) != (new.run, now.message):
        kind = NORMAL if now.reason == Reason.PASSED else WARNING
        found.append(Event(kind, "Complete", f"Run {new.run or '-'}: {now.reason}: {now.message}"))
    return tuple(found)


def _only_counts(old: ScreenStatus, new: ScreenStatus) -> bool:
    """Whether nothing but figures and sentences differs, in a run that goes on."""
    same = old.run == new.run and old.phase == new.phase and old.observed_generation == new.observed_generation
    reasons = [[(c.type, c.status, c.reason) for c in status.conditions] for status in (old, new)]
    return same and reasons[0] == reasons[1] and new.completion_time is None and new.phase in ("Pending", "Running")


def _fresh_for(old: ScreenStatus, now: datetime) -> float:
    """Seconds for which the status on record is new enough."""
    if not old.update_time:
        return 0.0
    return (time(old.update_time) + timedelta(seconds=WRITE_SECONDS) - now).total_seconds()


def _without_time(status: ScreenStatus) -> dict[str, object]:
    return {key: value for key, value in to_wire(status).items() if key != "updateTime"}
