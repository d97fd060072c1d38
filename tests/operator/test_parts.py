"""The parts that speak to the API server, each against a real one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from assay_api.model import to_wire
from assay_api.resources import AUDIT
from assay_api.status import AuditStatus
from assay_operator.audits import kind
from assay_operator.audits.observed import Audit
from assay_operator.cluster.api import Api, ApiError, Fenced
from assay_operator.cluster.cache import Cache
from assay_operator.cluster.crd import WrongDefinition, check_definition
from assay_operator.cluster.feed import Feed
from assay_operator.cluster.hints import Hints
from assay_operator.cluster.poster import Poster
from assay_operator.cluster.queue import WorkQueue
from assay_operator.cluster.resync import Resync
from assay_operator.kinds import KINDS
from assay_operator.objects.children import Job
from assay_operator.objects.events import Event
from assay_operator.objects.keys import Key
from assay_operator.objects.kind import Item
from assay_operator.objects.resources import JOBS, Resource
from assay_operator.process.fence import Fence
from assay_operator.process.metrics import Metrics
from tests.lab.apiserver import ApiServer
from tests.operator.lab import Namespace
from tests.operator.through import connected, through

AUDITS = kind.AUDITS.resource
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def queue() -> WorkQueue[Key]:
    return WorkQueue(lambda: 0.0, lambda: 0.5)


def test_a_cluster_without_our_definition_is_told_in_one_sentence() -> None:
    with ApiServer() as api, pytest.raises(WrongDefinition, match=r"has no accuracyaudits.assay.dev: install"):
        through(api.kubeconfig, lambda requests: check_definition(requests, AUDIT))


def test_our_definition_is_recognised(bare_api: ApiServer) -> None:
    through(bare_api.kubeconfig, lambda requests: check_definition(requests, AUDIT))


def test_a_status_is_written_only_to_what_was_observed(bare_api: ApiServer, namespace: Namespace) -> None:
    namespace.apply_audit("digits", suspend=True)
    before = Audit.of(namespace.audit("digits"))
    namespace("delete", "audit", "digits")
    namespace.apply_audit("digits", suspend=True)

    async def write(requests: Api) -> list[int]:
        codes = []
        for audit in (before, Audit.of(namespace.audit("digits"))):
            status = to_wire(AuditStatus(observed_generation=1, run=audit.uid))
            try:
                await requests.apply_status(AUDITS, namespace.name, "digits", audit.version, status)
                codes.append(200)
            except ApiError as error:
                codes.append(error.status)
        return codes

    assert through(bare_api.kubeconfig, write) == [409, 200]
    assert namespace.audit("digits")["status"]["run"] == namespace.audit("digits")["metadata"]["uid"]


def test_what_is_written_is_written_behind_the_fence(bare_api: ApiServer, namespace: Namespace) -> None:
    clock = [0.0]
    fence = Fence(10, lambda: (clock[0], clock[0]))

    async def write(requests: Api) -> None:
        fenced = Api(requests._client, requests._failed, fence)
        with pytest.raises(Fenced):
            await fenced.create(CONFIG_MAPS, namespace.name, {"metadata": {"name": "before"}})
        fence.renewed((0.0, 0.0))
        clock[0] = 9.0
        await fenced.create(CONFIG_MAPS, namespace.name, {"metadata": {"name": "within"}})
        clock[0] = 10.0
        for refused in (fenced.create(CONFIG_MAPS, namespace.name, {}),
                        fenced.patch(CONFIG_MAPS, namespace.name, "within", {}),
                        fenced.apply_status(AUDITS, namespace.name, "digits", "1", {}),
                        fenced.delete(CONFIG_MAPS, namespace.name, "within", "u")):  # fmt: skip
            with pytest.raises(Fenced):
                await refused
        assert (await fenced.read(CONFIG_MAPS, namespace.name, "within"))["metadata"]["name"] == "within"

    through(bare_api.kubeconfig, write)


def test_a_server_that_cannot_be_reached_is_an_api_error(bare_api: ApiServer) -> None:
    async def ask() -> list[tuple[str, int]]:
        async with ApiClient(Configuration(host="http://127.0.0.1:1")) as client:
            failed: list[tuple[str, int]] = []
            with pytest.raises(ApiError, match="GET /version"):
                await Api(client, lambda verb, code: failed.append((verb, code))).get("/version")
            return failed

    assert asyncio.run(ask()) == [("GET", 0)]


def test_a_listing_heals_what_the_watch_has_missed(bare_api: ApiServer, namespace: Namespace) -> None:
    namespace.apply_audit("known", suspend=True)
    namespace.apply_audit("missed", suspend=True)
    cache, line = Cache(KINDS), queue()
    feed = Feed(KINDS, cache, line)
    feed.take(AUDITS, namespace.audit("known"))
    ghost = Audit.of({"metadata": {"namespace": namespace.name, "name": "ghost", "uid": "g", "resourceVersion": "1"}})
    cache.put(Item(AUDITS, ghost.key.group, ghost, ghost.key))
    cache.put(Item(JOBS, ghost.key.group, Job("gone", "j", "1", owner="g", run="r", task="t", created=THEN)))

    async def heal(requests: Api) -> tuple[int, int]:
        resync = Resync(requests, KINDS, cache, feed, (namespace.name,))
        return await resync.heal(catch_up=0), await resync.heal(catch_up=0)

    assert through(bare_api.kubeconfig, heal) == (3, 0)
    assert sorted(audit.name for audit in cache.parents()) == ["known", "missed"]
    assert list(cache.children(JOBS)) == []
    assert line.depth >= 1


def test_the_first_listing_brings_everything_in_pages(bare_api: ApiServer, namespace: Namespace) -> None:
    for index in range(3):
        namespace.apply_audit(f"a{index}", suspend=True)
    cache = Cache(KINDS)

    async def fill(requests: Api) -> int:
        pages = [page async for page in requests.pages(AUDITS, namespace.name, {"limit": "2"})]
        await Resync(requests, KINDS, cache, Feed(KINDS, cache, queue()), (namespace.name,)).fill()
        return len(pages)

    assert through(bare_api.kubeconfig, fill) == 2
    assert len(list(cache.parents())) == 3


def warning(
    namespace: Namespace,
    uid: str,
    reason: str,
    message: str,
    kind: str = "Warning",
    when: str = "2026-01-01T00:00:00Z",
    about: str = "Pod",
) -> None:
    namespace.kubectl.apply(
        {
            "apiVersion": "v1", "kind": "Event", "type": kind, "reason": reason, "message": message,
            "metadata": {"name": f"{reason.lower()}-{uid}", "namespace": namespace.name},
            "involvedObject": {"kind": about, "uid": uid, "namespace": namespace.name},
            "lastTimestamp": when,
        }
    )  # fmt: skip


def test_hints_are_the_newest_warnings_that_tell_something(bare_api: ApiServer, namespace: Namespace) -> None:
    warning(namespace, "pod-1", "FailedMount", 'configmap "ca" not found')
    warning(namespace, "pod-1", "FailedScheduling", "known from the status")
    warning(namespace, "pod-2", "Pulled", "no warning", kind="Normal")
    one, two = (Key("AccuracyAudit", namespace.name, name) for name in ("one", "two"))
    looked: list[Key] = []

    async def ask(requests: Api) -> None:
        hints = Hints(requests, lambda: 0.0, looked.append, lambda key: True)
        assert hints.of(one, ("pod-1",)) == hints.of(two, ("pod-2",)) == {}
        await hints.ask(namespace.name)
        assert looked == [one]
        assert hints.of(one, ("pod-1",)) == {"pod-1": 'FailedMount: configmap "ca" not found'}
        warning(namespace, "pod-1", "FailedCreate", "older", when="2025-01-01T00:00:00Z")
        warning(namespace, "pod-2", "FailedCreate", "exceeded quota")
        await hints.ask(namespace.name)
        assert looked == [one, two]
        assert hints.of(one, ("pod-1",)) == {"pod-1": 'FailedMount: configmap "ca" not found'}
        assert hints.of(two, ("pod-2",)) == {"pod-2": "FailedCreate: exceeded quota"}
        assert hints.of(two, ()) == {}

    through(bare_api.kubeconfig, ask)


def test_a_quota_that_one_job_ran_into_holds_for_all_without_a_pod(bare_api: ApiServer, namespace: Namespace) -> None:
    words = 'pods "a-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9'
    warning(namespace, "job-1", "FailedCreate", f"Error creating: {words}", about="Job")
    warning(namespace, "job-2", "FailedCreate", "serviceaccount not found", about="Job")
    keys = {name: Key("AccuracyAudit", namespace.name, name) for name in ("one", "two", "three")}

    async def ask(requests: Api) -> dict[str, str]:
        hints = Hints(requests, lambda: 0.0, lambda key: None, lambda key: True)
        hints.of(keys["one"], ("job-1",))
        await hints.ask(namespace.name)
        return {**hints.of(keys["one"], ("job-1",)), "another": hints.of(keys["three"], ("job-3",))[""]}

    quota = "FailedCreate: exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9"
    assert through(bare_api.kubeconfig, ask) == {"": quota, "job-1": quota, "another": quota}


def test_one_listing_answers_for_a_namespace_and_none_is_made_for_those_that_are_gone(
    bare_api: ApiServer, namespace: Namespace
) -> None:
    asked: list[str] = []

    class Counting(Api):
        def pages(self, resource: Resource, namespace: str | None, query: Any = None, **more: Any) -> Any:
            asked.append(namespace or "")
            return super().pages(resource, namespace, query, **more)

    keys = [Key("AccuracyAudit", namespace.name, f"a{index}") for index in range(400)]
    for index in range(400):
        if index % 40 == 0:
            warning(namespace, f"job-{index}", "FailedCreate", "exceeded quota")
    looked: list[Key] = []
    there = set(keys)

    async def ask(requests: Api) -> None:
        clock = [0.0]
        counting = Counting(requests._client, requests._failed)
        hints = Hints(counting, lambda: clock[0], looked.append, there.__contains__)
        for index, key in enumerate(keys):
            hints.of(key, (f"job-{index}",))
        working = asyncio.create_task(hints.work())
        while len(looked) < 10:
            await asyncio.sleep(0.01)
        assert asked == [namespace.name]
        assert {key.name for key in looked} == {f"a{index}" for index in range(0, 400, 40)}
        there.clear()
        for seconds, elsewhere in ((1000.0, "second"), (2000.0, "third")):
            clock[0] = seconds
            there.add(Key("AccuracyAudit", elsewhere, "a"))
            hints.of(Key("AccuracyAudit", elsewhere, "a"), ("job",))
            while elsewhere not in asked:
                await asyncio.sleep(0.01)
        assert asked.count(namespace.name) == 1
        working.cancel()

    through(bare_api.kubeconfig, ask)


def test_an_event_is_told_once(bare_api: ApiServer, namespace: Namespace) -> None:
    namespace.apply_audit("digits", suspend=True)
    audit = Audit.of(namespace.audit("digits"))
    metrics = Metrics()

    async def post() -> list[tuple[str, int]]:
        async with connected(bare_api.kubeconfig) as (requests, failed):
            poster = Poster(requests, KINDS, metrics, lambda: True)
            same = Event("Warning", "Retrying", "fp16: try 1 failed")
            poster.post(audit, (same, same, Event("Normal", "Started", "Run 1")), THEN)
            await poster.flush(10)
            return failed

    assert asyncio.run(post()) == [], "an event that is there already is no error of the API server's"
    assert sorted(namespace.events()) == ["Retrying: fp16: try 1 failed", "Started: Run 1"]
    assert 'assay_events_total{result="known"} 1.0' in metrics.text().decode()
    assert "fp16: try 1 failed" in namespace("describe", "audit", "digits")
