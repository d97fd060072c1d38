"""When a sweep runs, by tables: what is due, what is dropped, and what both changes of the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_api.schedule import Due, due, run_name, schedule_problems
from assay_api.sweep import Schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def schedule(
    cron: str = "0 2 * * *", zone: str = "Etc/UTC", missed: str = "RunLatest", deadline: int | None = None
) -> Schedule:
    return Schedule.model_validate(
        {"cron": cron, "timeZone": zone, "missedRuns": missed, "startingDeadlineSeconds": deadline}, strict=False
    )


RUNS = [
    # (schedule, dealt with last, now, free) -> (run, dealt with, dropped)
    (schedule(), "03-01T02:00", "03-01T12:00", True, (None, None, 0)),
    (schedule(), "03-01T02:00", "03-02T02:00", True, ("03-02T02:00", "03-02T02:00", 0)),
    (schedule(), "03-01T02:00", "03-02T01:59:59", True, (None, None, 0)),
    # Nobody was there for three nights: the latest runs, two are dropped.
    (schedule(), "03-01T02:00", "03-04T09:00", True, ("03-04T02:00", "03-04T02:00", 2)),
    # The run before goes on: the time stays to be dealt with, and the latest runs once it has ended.
    (schedule(), "03-01T02:00", "03-02T02:00", False, (None, None, 0)),
    (schedule(), "03-01T02:00", "03-03T05:00", True, ("03-03T02:00", "03-03T02:00", 1)),
    (schedule(deadline=600), "03-01T02:00", "03-02T02:10", True, ("03-02T02:00", "03-02T02:00", 0)),
    (schedule(deadline=600), "03-01T02:00", "03-02T02:11", True, (None, "03-02T02:00", 1)),
    # Skipping: what comes while another goes on is dropped at once, and what is late after ten minutes.
    (schedule(missed="Skip"), "03-01T02:00", "03-02T02:00", False, (None, "03-02T02:00", 1)),
    (schedule(missed="Skip"), "03-01T02:00", "03-02T02:09", True, ("03-02T02:00", "03-02T02:00", 0)),
    (schedule(missed="Skip"), "03-01T02:00", "03-04T09:00", True, (None, "03-04T02:00", 3)),
    (schedule(missed="Skip", deadline=86_000), "03-01T02:00", "03-04T09:00", True, ("03-04T02:00", "03-04T02:00", 2)),
    # A month's schedule after a year's silence, and one of every minute, of which no more than 1,000 are counted.
    (schedule("0 0 1 * *"), "01-01T00:00", "12-31T00:00", True, ("12-01T00:00", "12-01T00:00", 10)),
    (schedule("* * * * *"), "01-01T00:00", "12-31T00:00", True, ("12-31T00:00", "12-31T00:00", 999)),
]  # fmt: skip


@pytest.mark.parametrize(("plan", "since", "now", "free", "wanted"), RUNS)
def test_what_is_due(
    plan: Schedule, since: str, now: str, free: bool, wanted: tuple[str | None, str | None, int]
) -> None:
    found = due(plan, at(since), at(now), free=free)
    run, dealt, dropped = wanted
    assert (found.run, found.dealt, found.dropped) == (run and at(run), dealt and at(dealt), dropped)
    assert found.next is not None
    assert found.next > at(now)


CLOCKS = [
    # Berlin puts clocks forward on 29 March at 02:00 (01:00 UTC) and back on 25 October at 03:00 (01:00 UTC).
    ("30 2 * * *", "03-28T12:00", "03-30T12:00", ["03-29T01:00", "03-30T00:30"]),
    ("30 2 * * *", "10-24T12:00", "10-26T12:00", ["10-25T00:30", "10-26T01:30"]),
    ("15 2,3 * * *", "03-28T12:00", "03-29T12:00", ["03-29T01:00", "03-29T01:15"]),
    ("0 * * * *", "10-24T23:30", "10-25T03:30", ["10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00"]),
    ("*/30 * * * *", "03-29T00:20", "03-29T01:40", ["03-29T00:30", "03-29T01:00", "03-29T01:30"]),
]


def walked(plan: Schedule, since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """The runs that begin where somebody looks every `step`."""
    begun, dealt, now = [], since, since
    while now <= until:
        found = due(plan, dealt, now, free=True)
        if found.run:
            begun.append(found.run)
        dealt = found.dealt or dealt
        now += step
    return begun


@pytest.mark.parametrize(("cron", "since", "until", "runs"), CLOCKS)
@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(minutes=7), timedelta(minutes=15)])
def test_clocks_that_change_begin_each_run_once(
    cron: str, since: str, until: str, runs: list[str], step: timedelta
) -> None:
    assert walked(schedule(cron, "Europe/Berlin"), at(since), at(until), step) == [at(run) for run in runs]


@pytest.mark.parametrize("restart", ["00:25", "00:35", "01:05", "01:35", "02:05"])
def test_a_restart_in_the_hour_that_comes_twice_begins_nothing_again(restart: str) -> None:
    plan = schedule("30 2 * * *", "Europe/Berlin")
    first = due(plan, at("10-24T12:00"), at("10-25T00:30"), free=True)
    assert first.run == at("10-25T00:30")
    again = due(plan, at("10-25T00:30"), at(f"10-25T{restart}"), free=True)
    assert (again.run, again.dealt) == (None, None)
    assert again.next == at("10-26T01:30") or restart < "00:30"


ZONES = ["Etc/UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
CRONS = ["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "0 0 1 * *", "15 3 * * SUN", "5 2 29 3 *", "0 0,12 25 10 *"]


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(
    cron=st.sampled_from(CRONS), zone=st.sampled_from(ZONES), start=st.integers(0, 366 * 24 * 60),
    looks=st.lists(st.integers(1, 600), min_size=1, max_size=60),
)  # fmt: skip
def test_however_somebody_looks_no_run_begins_twice_or_early(
    cron: str, zone: str, start: int, looks: list[int]
) -> None:
    plan, now = schedule(cron, zone), at("01-01T00:00") + timedelta(minutes=start)
    dealt, begun = now, []
    seen: list[Due] = []
    for minutes in looks:
        now += timedelta(minutes=minutes)
        found = due(plan, dealt, now, free=True)
        assert found.run is None or dealt < found.run <= now
        # What was told to be next is what comes, or one behind it, where it is past.
        if seen and (told := seen[-1].next) and told <= now:
            assert found.run is not None
            assert found.run >= told
        begun += [run_name(found.run)] if found.run else []
        dealt = found.dealt or dealt
        seen.append(found)
    assert len(begun) == len(set(begun))


PROBLEMS = [
    ("61 * * * *", "Etc/UTC", "spec of no minute 61", "bad minute"),
    ("0 0 30 2 *", "Etc/UTC", "no 30 February", "bad day-of-month"),
    ("0 0 * * FOO", "Etc/UTC", "no such day", "bad day-of-week"),
    ("0 0 * * *", "Mars/Base", "no such zone", "no time zone 'Mars/Base'"),
    ("0 0 * * *", "America", "a folder of zones", "no time zone 'America'"),
    ("0 0 * * *", "Europe/Berlin", "right", None),
    ("0 0 29 2 *", "Etc/UTC", "right every four years", None),
]


@pytest.mark.parametrize(("cron", "zone", "_why", "told"), PROBLEMS)
def test_what_no_pattern_tells_is_told(cron: str, zone: str, _why: str, told: str | None) -> None:
    found = schedule_problems(schedule(cron, zone))
    assert (told is None) == (found == ())
    assert all(told and told in sentence for sentence in found)


def test_a_run_is_named_by_its_time_in_utc() -> None:
    assert run_name(at("10-25T00:30").astimezone()) == "20261025T0030Z"
