from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay_api.names import KIND
from assay_api.result import Progress
from assay_operator.audits.kind import AUDITS
from assay_operator.audits.observed import Audit
from assay_operator.cluster.cache import Cache
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.refusals import Refusal
from assay_operator.objects.resources import JOBS, PODS, Ref
from assay_operator.objects.seen import Seen

THEN = datetime(2026, 1, 1, tzinfo=UTC)
AUDIT = Audit("team", "digits", "u1", 1, "5", False, None, "", b"{}", b"{}", "", "", False)
JOB = Job("digits-golden", "j1", "6", owner="u1", run="r", task="t", created=THEN)
POD = Pod("digits-golden-1", "p1", "7", job="j1", task="t", created=THEN)
GROUP = AUDIT.key.group


def of(value: Audit | Job | Pod, name: str = "digits", namespace: str = "team") -> Item:
    """An object as a watch brings it."""
    key = Key(KIND, namespace, name)
    if isinstance(value, Audit):
        return Item(AUDITS.resource, key.group, value, key)
    return Item(JOBS if isinstance(value, Job) else PODS, key.group, value)


def filled() -> Cache:
    cache = Cache(KINDS)
    for value in (AUDIT, JOB, POD):
        cache.put(of(value))
    return cache


def seen(cache: Cache) -> Seen:
    found = cache.seen(AUDIT.key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("uid", "version", "new"),
    [
        ("u1", "6", True),
        ("u1", "5", False),
        ("u1", "4", False),
        ("u1", "10", True),
        ("u2", "1", False),
        ("u2", "6", True),
    ],
)
def test_only_what_is_newer_counts(uid: str, version: str, new: bool) -> None:
    assert filled().put(of(replace(AUDIT, uid=uid, version=version))) is new


def test_an_audit_is_seen_with_all_that_is_its_own() -> None:
    cache = filled()
    cache.put(of(replace(JOB, name="other"), "other"))
    cache.put(of(JOB, namespace="elsewhere"))
    assert seen(cache).children == {JOBS: (JOB,), PODS: (POD,)}
    assert cache.key_of(GROUP) == AUDIT.key
    assert cache.key_of(Key(KIND, "elsewhere", "digits").group) is None
    assert cache.key_of(Key("Other", "team", "digits").group) is None
    assert cache.seen(Key(KIND, "team", "nobody")) is None


def test_what_is_gone_is_forgotten_but_not_its_successor() -> None:
    cache = filled()
    assert cache.drop(of(replace(AUDIT, uid="other"))) is False
    assert cache.drop(of(replace(JOB, uid="other"))) is False
    assert cache.drop(of(JOB)) is True
    assert cache.drop(of(POD)) is True
    assert cache.drop(of(AUDIT)) is True
    assert list(cache.items()) == []
    assert cache.seen(AUDIT.key) is None


def test_an_answer_outlives_its_pod_until_the_run_is_over() -> None:
    cache = filled()
    done = replace(POD, version="8", phase="Succeeded", message='{"task": "t"}')
    cache.put(of(done))
    cache.drop(of(done))
    assert seen(cache).results == {"j1": '{"task": "t"}'}
    cache.put(of(replace(AUDIT, version="9", complete=True)))
    assert seen(cache).results == {}


def test_progress_ends_with_its_pod() -> None:
    cache = filled()
    cache.memory(GROUP).progress["j1"] = Progress(task="t", stage="infer")
    cache.put(of(replace(POD, version="8", phase="Failed")))
    assert seen(cache).progress == {}


@pytest.mark.parametrize(
    ("phase", "complete", "kept"), [("Pending", False, True), ("Suspended", False, False), ("Stalled", True, False)]
)
def test_a_refusal_counts_while_its_job_is_tried(phase: str, complete: bool, kept: bool) -> None:
    cache = filled()
    cache.memory(GROUP).refused = {Ref(JOBS, "digits-golden"): Refusal(403, "exceeded quota", THEN)}
    cache.put(of(replace(AUDIT, version="6", phase=phase, complete=complete)))
    assert bool(seen(cache).refused) is kept


def test_a_job_refused_again_has_waited_since_the_first_time() -> None:
    first = Refusal(403, "exceeded quota: 1 of 1", THEN)
    again = Refusal(403, "exceeded quota: 2 of 1", THEN + timedelta(minutes=5)).after(first)
    assert (again.message, again.since) == ("exceeded quota: 2 of 1", THEN)


def test_what_nodes_keep_for_other_audits_is_known() -> None:
    cache = filled()
    assert seen(cache).crowded == frozenset()
    cache.put(of(replace(POD, version="8", phase="Running", node="n")))
    assert seen(cache).crowded == frozenset()
    other = replace(POD, name="other-1", uid="p2", job="j2", node="n")
    cache.put(of(other, "other"))
    assert seen(cache).crowded == {"cpu"}
    cache.put(of(replace(other, version="9", gpu=True, phase="Running"), "other"))
    assert seen(cache).crowded == {"gpu"}
    cache.put(of(replace(other, version="10", phase="Succeeded"), "other"))
    assert seen(cache).crowded == frozenset()
    third = replace(other, name="third-1", uid="p3", version="11")
    cache.put(of(third, "third"))
    assert seen(cache).crowded == {"cpu"}
    cache.drop(of(third, "third"))
    assert seen(cache).crowded == frozenset()


def audit_in(cache: Cache) -> Audit:
    found = seen(cache).parent
    assert isinstance(found, Audit)
    return found


def test_the_status_that_was_written_stays_on_record_where_another_hand_changes_it() -> None:
    cache = filled()
    mine = replace(AUDIT, version="6", status=b'{"phase":"Stalled"}', rerun="1")
    cache.put(of(mine), own=True)
    assert audit_in(cache).record is None
    cache.put(of(replace(mine, version="7", status=b'{"phase":"Complete"}', rerun="9")))
    assert (audit_in(cache).record, audit_in(cache).rerun) == (mine.status, "1")
    cache.put(of(replace(mine, version="8", status=b"{}", rerun="2", asked="2")))
    assert (audit_in(cache).record, audit_in(cache).rerun) == (mine.status, "2")
    cache.put(of(replace(mine, version="9")))
    assert audit_in(cache).record is None


def test_the_watch_may_tell_of_a_write_before_its_answer_comes() -> None:
    cache = filled()
    mine = replace(AUDIT, version="6", status=b'{"phase":"Running"}')
    cache.put(of(mine))
    assert audit_in(cache).record == AUDIT.status
    cache.put(of(mine), own=True)
    assert audit_in(cache).record is None
    cache.put(of(replace(mine, version="5", status=b"{}")), own=True)
    assert audit_in(cache).status == mine.status


def test_a_successor_of_the_same_name_has_no_record() -> None:
    cache = filled()
    cache.put(of(replace(AUDIT, uid="u2", version="6", status=b'{"observedGeneration":-1}')))
    assert audit_in(cache).record is None
