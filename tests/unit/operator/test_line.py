"""Whose turn it is: the pure decision, and the count that it is made from."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_api.model import Model
from assay_api.names import KIND
from assay_operator.apply import ChildRefused
from assay_operator.audits.kind import AUDITS
from assay_operator.audits.observed import Audit
from assay_operator.cluster.api import ApiError
from assay_operator.cluster.turns import Turns
from assay_operator.objects.children import Job
from assay_operator.objects.decision import Decision
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.line import Claim, Limits, shares
from assay_operator.objects.resources import JOBS, Ref

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def key(name: str, namespace: str = "a") -> Key:
    return Key(KIND, namespace, name)


def test_the_oldest_goes_first() -> None:
    claims = [Claim(key("young"), 2, since=3), Claim(key("old"), 2, since=1), Claim(key("middle"), 2, since=2)]
    assert shares(claims, {}, Limits(3)) == {key("old"): 2, key("middle"): 1}
    assert shares(claims, {"a": 2}, Limits(3)) == {key("old"): 1}
    assert shares(claims, {"b": 3}, Limits(3)) == {}


def test_priority_goes_before_age_but_only_at_home() -> None:
    urgent = Claim(key("urgent"), 1, priority=10, since=9)
    assert shares([Claim(key("old"), 1, since=1), urgent], {}, Limits(1)) == {key("urgent"): 1}
    elsewhere = Claim(key("old", "b"), 1, since=1)
    # Neither namespace runs anything: the one whose next is older, whatever priority the other gives itself.
    assert shares([elsewhere, urgent], {}, Limits(1)) == {elsewhere.key: 1}


def test_a_thousand_audits_of_one_team_keep_nobody_else_waiting() -> None:
    many = [Claim(key(f"m{index}"), 4, since=index) for index in range(1000)]
    late = Claim(key("late", "b"), 2, since=5000)
    assert shares([*many, late], {"a": 3}, Limits(5))[late.key] == 2
    given = shares([*many, late], {}, Limits(6))
    assert given == {key("m0"): 4, late.key: 2}


def test_a_namespace_at_its_limit_holds_up_no_other() -> None:
    claims = [Claim(key("old"), 5, since=1), Claim(key("young", "b"), 5, since=2)]
    assert shares(claims, {"a": 2}, Limits(10, 2)) == {key("young", "b"): 2}
    assert shares(claims, {}, Limits(0, 3)) == {key("old"): 3, key("young", "b"): 3}


CLAIMS = st.lists(
    st.builds(
        Claim, st.builds(key, st.sampled_from("vwxyz"), st.sampled_from("abc")), st.integers(0, 5),
        st.integers(-2, 2), st.integers(0, 9).map(float),
    ),
    max_size=12, unique_by=lambda claim: claim.key,
)  # fmt: skip


@given(CLAIMS, st.dictionaries(st.sampled_from("abc"), st.integers(1, 6)), st.integers(0, 9), st.integers(0, 5))
def test_no_limit_is_passed_and_no_place_is_left_empty(
    claims: list[Claim], busy: dict[str, int], everywhere: int, namespace: int
) -> None:
    limits = Limits(everywhere, namespace)
    given = shares(claims, busy, limits)
    wants = {claim.key: claim for claim in claims}
    after = dict(busy)
    for whose, count in given.items():
        assert 0 < count <= wants[whose].wants
        after[whose.namespace] = after.get(whose.namespace, 0) + count
    assert not everywhere or sum(after.values()) <= max(everywhere, sum(busy.values()))
    for name, count in after.items():
        assert not namespace or count <= max(namespace, busy.get(name, 0))
    for claim in claims:
        if given.get(claim.key, 0) < claim.wants:
            assert limits.left(after, claim.key.namespace) == 0, "a place is left and somebody waits"
            behind = [c for c in claims if c.key.namespace == claim.key.namespace and c.order > claim.order]
            assert not any(given.get(c.key) for c in behind), "somebody was passed in the line"


@pytest.mark.parametrize(
    ("limits", "busy", "words"),
    [
        (Limits(3, 2), {"a": 2}, "at most 2 at once run in this namespace"),
        (Limits(3, 2), {"a": 1, "b": 2}, "at most 3 at once run in the whole cluster"),
        (Limits(0, 2), {"a": 2}, "at most 2 at once run in this namespace"),
        (Limits(3), {"b": 3}, "at most 3 at once run in the whole cluster"),
    ],
)
def test_which_limit_holds_is_named(limits: Limits, busy: dict[str, int], words: str) -> None:
    assert limits.words(busy, "a") == words


def audit(name: str, since: float = 0.0, **also: object) -> Audit:
    made = Audit("a", name, f"u-{name}", 1, "1", False, None, "", b"{}", b"{}", "", "", False, since=since)
    return replace(made, **also)  # type: ignore[arg-type]


def job(name: str, owner: str, **also: object) -> Job:
    made = Job(name, f"j-{name}", "1", owner=f"u-{owner}", run="r", task="t", created=THEN)
    return replace(made, **also)  # type: ignore[arg-type]


class Watched:
    """Turns, told of audits and Jobs."""

    def __init__(self, limits: Limits) -> None:
        self.turns = Turns(limits)

    def see(self, value: Audit | Job, before: Audit | Job | None = None, gone: bool = False) -> None:
        group = key("any").group
        own = value.key if isinstance(value, Audit) else None
        item = Item(AUDITS.resource if own else JOBS, own.group if own else group, value, own)
        self.turns.saw(item, value if gone else before, None if gone else value)

    def free(self, of: Audit) -> int:
        turn = self.turns.turn(of)
        assert turn is not None
        return turn.free


def created(count: int, waits: int = 0, priority: int = 0) -> Decision[Model]:
    return Decision(create=tuple({"kind": "Job"} for _ in range(count)), waits=waits, priority=priority)


def test_without_limits_nobody_counts() -> None:
    turns = Turns(Limits())
    assert turns.turn(audit("x")) is None
    with turns.taken(audit("x"), created(5)):
        assert turns.turn(audit("x")) is None


def test_two_passes_never_take_one_place() -> None:
    seen = Watched(Limits(2))
    with seen.turns.taken(audit("x"), created(1)):
        assert seen.free(audit("y")) == 1
        with seen.turns.taken(audit("y"), created(1)):
            assert seen.free(audit("z")) == 0
    assert seen.free(audit("z")) == 2


@pytest.mark.parametrize(
    ("also", "free"),
    [
        ({}, 0),
        ({"succeeded": True}, 1),
        ({"failure": "BackoffLimitExceeded"}, 1),
        ({"suspended": True}, 1),
        ({"queue": "gpus"}, 1),
    ],
)
def test_what_counts_is_a_job_that_may_run(also: dict[str, object], free: int) -> None:
    seen = Watched(Limits(1))
    seen.see(job("one", "x", **also))
    seen.see(job("one", "x", **also))
    assert seen.free(audit("y")) == free
    seen.see(job("one", "x"))
    seen.see(job("one", "x"), gone=True)
    assert seen.free(audit("y")) == 1


def test_an_audit_that_nobody_has_looked_at_keeps_its_place() -> None:
    seen = Watched(Limits(1))
    for each in (audit("old", 1), audit("young", 2)):
        seen.see(each)
    assert (seen.free(audit("young", 2)), seen.free(audit("old", 1))) == (0, 1)
    with seen.turns.taken(audit("old", 1), created(0)):
        pass
    assert seen.free(audit("young", 2)) == 1


@pytest.mark.parametrize("end", ["gone", "complete", "held", "broken"])
def test_who_wants_nothing_more_keeps_nobody_waiting(end: str) -> None:
    seen = Watched(Limits(1))
    old, young = audit("old", 1), audit("young", 2)
    seen.see(old)
    assert seen.free(young) == 0
    match end:
        case "gone":
            seen.see(old, gone=True)
        case "complete":
            seen.see(replace(old, complete=True), old)
        case "held":
            seen.see(replace(old, phase="Suspended"), old)
        case "broken":
            seen.turns.leave(old.key)
    assert seen.free(young) == 1
    assert seen.turns.waiting == 0


def test_a_job_that_is_resumed_takes_a_place() -> None:
    resume = Decision[Model](patch=((Ref(JOBS, "j"), {"spec": {"suspend": False}}),))
    hold = Decision[Model](patch=((Ref(JOBS, "j"), {"spec": {"suspend": True}}),))
    assert (resume.starts, hold.starts, created(3).starts) == (1, 0, 3)


async def any_of(looked: list[Key]) -> None:
    """Wait until one was looked at."""
    async with asyncio.timeout(60):
        while not looked:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("error", "told"), [(ApiError(0, "away"), False), (ChildRefused("quota"), True)])
def test_an_api_server_that_is_away_is_not_asked_again_at_once(error: Exception, told: bool) -> None:
    async def story() -> tuple[list[Key], int]:
        seen, looked = Watched(Limits(1)), list[Key]()
        with seen.turns.taken(audit("waits", 1), created(0, waits=1)):
            pass
        task = asyncio.create_task(seen.turns.work(looked.append))
        await asyncio.sleep(0.15)
        looked.clear()
        with pytest.raises(type(error)), seen.turns.taken(audit("fails", 2), created(1)):
            raise error
        await (any_of(looked) if told else asyncio.sleep(0.25))
        task.cancel()
        return looked, seen.free(audit("waits", 1))

    assert asyncio.run(story()) == ([key("waits")] if told else [], 1)


def test_those_whose_turn_it_has_become_are_looked_at() -> None:
    async def story() -> list[Key]:
        seen, looked = Watched(Limits(1)), list[Key]()
        running = job("one", "x")
        seen.see(running)
        for name, since in (("young", 2.0), ("old", 1.0)):
            with seen.turns.taken(audit(name, since), created(0, waits=2)):
                pass
        task = asyncio.create_task(seen.turns.work(looked.append))
        await asyncio.sleep(0.15)
        assert looked == []
        seen.see(replace(running, succeeded=True), running)
        await any_of(looked)
        task.cancel()
        return looked

    assert asyncio.run(story()) == [key("old")]
