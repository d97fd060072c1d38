"""An audit of a sweep is one of ours and the child of another: what each place is told of it."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from assay_api.names import ANNOTATION_CELLS, LABEL_MANAGED, LABEL_SWEEP
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.queue import WorkQueue
from assay_operator.kinds import KINDS
from assay_operator.objects.keys import Group, Key
from assay_operator.objects.kind import Item
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit

Raw = dict[str, Any]
SWEEP = Key("AccuracySweep", "team", "nightly")
PASSED: Raw = {
    "phase": "Complete", "verdict": "Passed", "finished": "1/1",
    "candidates": [{"name": "fp16", "state": "Finished", "verdict": "Passed"}],
    "conditions": [
        {"type": kind, "status": "True", "reason": "Passed", "message": "", "observedGeneration": 1,
         "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Complete", "Passed", "Ready")
    ],
}  # fmt: skip
RUNNING: Raw = {"phase": "Running", "finished": "0/1", "candidates": [{"name": "fp16", "state": "Running"}]}


def audit(version: int, status: Raw, labels: bool = True) -> Raw:
    meta = {
        "namespace": "team", "name": "nightly-bert", "uid": "a", "resourceVersion": str(version), "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {LABEL_MANAGED: "true", LABEL_SWEEP: "nightly"} if labels else {},
        "annotations": {ANNOTATION_CELLS: "{}"},
        "ownerReferences": [{"kind": "AccuracySweep", "name": "nightly", "uid": "s", "controller": True}],
    }  # fmt: skip
    return {"metadata": meta, "spec": {}, "status": status}


def fed() -> tuple[Feed, Cache]:
    cache = Cache(KINDS)
    feed = Feed(KINDS, cache, WorkQueue(time.monotonic, random.random))
    meta = {"namespace": "team", "name": "nightly", "uid": "s", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
    sweep = Sweep.of({"metadata": meta})
    cache.put(Item(KINDS["AccuracySweep"].resource, SWEEP.group, sweep, SWEEP))
    return feed, cache


def told(cache: Cache) -> tuple[SweepAudit, ...]:
    seen = cache.seen(SWEEP)
    assert seen is not None
    return tuple(seen.children[AUDITS])


def test_what_owns_is_listed_before_what_it_owns() -> None:
    assert [(resource.kind, label) for resource, label in KINDS.watched.items()] == [
        ("AccuracyAudit", ""), ("AccuracySweep", ""), ("GpuScreening", ""), ("Job", LABEL_MANAGED),
        ("Pod", LABEL_MANAGED),
    ]  # fmt: skip


def test_one_telling_is_news_to_both() -> None:
    feed, cache = fed()
    assert feed.take(AUDITS, audit(2, RUNNING))
    assert not feed.take(AUDITS, audit(2, RUNNING))
    assert [(a.name, a.complete) for a in told(cache)] == [("nightly-bert", False)]
    assert cache.key_of(Group("AccuracyAudit", "team", "nightly-bert")) is not None


def test_a_status_that_another_hand_wrote_is_no_answer_to_the_sweep() -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, RUNNING))
    feed.take(AUDITS, audit(3, PASSED))
    (child,) = told(cache)
    assert (child.version, child.complete, child.answers["fp16"].verdict) == ("3", False, "")


@pytest.mark.parametrize("watch_first", [False, True])
def test_what_the_operator_wrote_is_an_answer_whichever_tells_first(watch_first: bool) -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, RUNNING))
    if watch_first:
        feed.take(AUDITS, audit(3, PASSED))
        assert not told(cache)[0].complete
    feed.wrote(Key("AccuracyAudit", "team", "nightly-bert"), AUDITS, audit(3, PASSED))
    assert not feed.take(AUDITS, audit(3, PASSED))
    (child,) = told(cache)
    assert (child.complete, child.answers["fp16"].verdict) == (True, "Passed")


def test_what_was_sent_is_the_operator_s_own_though_its_answer_was_lost() -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, RUNNING))
    (parent,) = cache.parents("AccuracyAudit")
    feed.sends(parent, PASSED | {"finished": "2/2"})
    feed.sends(parent, PASSED)
    assert feed.take(AUDITS, audit(3, PASSED))
    assert told(cache)[0].complete
    (parent,) = cache.parents("AccuracyAudit")
    assert parent.record is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("other", [{"finished": "9/9"}, {"verdict": "Failed"}])
def test_what_was_not_sent_is_another_hand_s(other: Raw) -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, RUNNING))
    (parent,) = cache.parents("AccuracyAudit")
    feed.sends(parent, PASSED)
    feed.take(AUDITS, audit(3, PASSED | other))
    assert not told(cache)[0].complete
    # What was sent may come to be written later.
    feed.take(AUDITS, audit(4, PASSED))
    assert told(cache)[0].complete


@pytest.mark.parametrize(
    ("change", "believed"),
    [({}, True), ({"candidates": []}, False), ({"finished": "1/2"}, False)],
)
def test_what_was_there_before_is_an_answer_only_where_it_agrees_with_itself(change: Raw, believed: bool) -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, PASSED | change))
    assert told(cache)[0].complete is believed


def test_an_audit_that_is_gone_is_gone_from_both() -> None:
    feed, cache = fed()
    feed.take(AUDITS, audit(2, PASSED))
    assert feed.lose(AUDITS, audit(3, PASSED))
    assert told(cache) == ()
    assert [parent.key for parent in cache.parents()] == [SWEEP]
