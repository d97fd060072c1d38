from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay_api.result import Progress
from assay_operator.cache import Cache
from assay_operator.observed import Audit, Job, Pod
from assay_operator.refusals import Refusal

THEN = datetime(2026, 1, 1, tzinfo=UTC)
AUDIT = Audit("team", "digits", "u1", 1, "5", False, None, "", b"{}", b"{}", "", "", False)
JOB = Job("digits-golden", "j1", "6", owner="u1", audit="digits", run="r", task="t", created=THEN)
POD = Pod("digits-golden-1", "p1", "7", job="j1", audit="digits", task="t", created=THEN)


def filled() -> Cache:
    cache = Cache()
    cache.put_audit(AUDIT)
    cache.jobs.put("team", JOB)
    cache.put_pod("team", POD)
    return cache


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
    assert filled().put_audit(replace(AUDIT, uid=uid, version=version)) is new


def test_an_audit_is_seen_with_all_that_is_its_own() -> None:
    cache = filled()
    cache.jobs.put("team", replace(JOB, name="other", audit="other"))
    cache.jobs.put("elsewhere", JOB)
    observed = cache.observed(AUDIT.key)
    assert observed is not None
    assert (observed.jobs, observed.pods) == ((JOB,), (POD,))
    assert cache.key_of("team", POD) == AUDIT.key
    assert cache.key_of("elsewhere", POD) is None
    assert cache.observed(("team", "nobody")) is None


def test_what_is_gone_is_forgotten_but_not_its_successor() -> None:
    cache = filled()
    assert cache.drop_audit(replace(AUDIT, uid="other")) is False
    assert cache.jobs.drop("team", replace(JOB, uid="other")) is False
    assert cache.jobs.drop("team", JOB) is True
    assert cache.pods.drop("team", POD) is True
    assert cache.drop_audit(AUDIT) is True
    assert list(cache.jobs) == []
    assert cache.observed(AUDIT.key) is None


def test_an_answer_outlives_its_pod_until_the_run_is_over() -> None:
    cache = filled()
    done = replace(POD, version="8", phase="Succeeded", message='{"task": "t"}')
    cache.put_pod("team", done)
    cache.pods.drop("team", done)
    observed = cache.observed(AUDIT.key)
    assert observed is not None
    assert observed.results == {"j1": '{"task": "t"}'}
    cache.put_audit(replace(AUDIT, version="9", complete=True))
    observed = cache.observed(AUDIT.key)
    assert observed is not None
    assert observed.results == {}


def test_progress_ends_with_its_pod() -> None:
    cache = filled()
    cache.progress["team", "digits"] = {"j1": Progress(task="t", stage="infer")}
    cache.put_pod("team", replace(POD, version="8", phase="Failed"))
    observed = cache.observed(AUDIT.key)
    assert observed is not None
    assert observed.progress == {}


@pytest.mark.parametrize(
    ("phase", "complete", "kept"), [("Pending", False, True), ("Suspended", False, False), ("Stalled", True, False)]
)
def test_a_refusal_counts_while_its_job_is_tried(phase: str, complete: bool, kept: bool) -> None:
    cache = filled()
    cache.refused[AUDIT.key] = {"digits-golden": Refusal(403, "exceeded quota", THEN)}
    cache.put_audit(replace(AUDIT, version="6", phase=phase, complete=complete))
    observed = cache.observed(AUDIT.key)
    assert observed is not None
    assert bool(observed.refused) is kept


def test_a_job_refused_again_has_waited_since_the_first_time() -> None:
    first = Refusal(403, "exceeded quota: 1 of 1", THEN)
    again = Refusal(403, "exceeded quota: 2 of 1", THEN + timedelta(minutes=5)).after(first)
    assert (again.message, again.since) == ("exceeded quota: 2 of 1", THEN)
