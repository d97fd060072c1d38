"""The operator at the size of a fleet: what it holds, how soon it is back, what it writes at rest, who takes over."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Figure, say
from tests.bench.finished import cpu_seconds, memory_mib, settled, writes
from tests.lab.apiserver import ApiServer
from tests.lab.processes import wait_until
from tests.operator.lab import Namespace, Operator, install
from tests.operator.player import ONE
from tests.soak.fleet import Fleet, looked, seed

MB = 1024 * 1024 / 1e6
EVERY, LISTINGS = 20.0, 4
USUAL = {"ASSAY_LEASE_SECONDS": "15", "ASSAY_RENEW_SECONDS": "10", "ASSAY_LEASE_RETRY_SECONDS": "2"}
"""The chart's defaults."""


@contextmanager
def at_work(api: ApiServer, folder: Path, name: str, **env: str) -> Iterator[Operator]:
    """An operator, not yet ready."""
    operator = Operator(api, folder / f"{name}.log", **{**USUAL, **env}).start()
    try:
        yield operator
    finally:
        operator.end()


def pid(operator: Operator) -> int:
    assert operator.process is not None
    return operator.process.pid


def in_sync(operator: Operator, objects: int, seconds: float = 600.0) -> None:
    """Wait until every object had its pass, and none waits for one."""

    def reached() -> bool:
        text = operator.scrape()
        done = sum(float(n) for n in re.findall(r'^assay_reconciles_total\{result="ok"\} (\S+)$', text, re.MULTILINE))
        return done >= objects and "assay_queue_depth 0.0" in text

    wait_until(reached, f"{objects} objects looked at", seconds, every=0.5)


def jobs_asked_for(namespace: Namespace) -> float:
    """Requests so far that make a Job, or would."""
    counted = re.findall(
        r"^apiserver_request_total\{(.*)\} (\S+)$", namespace.kube.raw("GET", "/metrics").decode(), re.M
    )
    wanted = ('resource="jobs"', 'subresource=""', 'verb="POST"')
    return sum(float(count) for labels, count in counted if all(each in labels for each in wanted))


def all_told(namespace: Namespace, seconds: float = 10.0) -> bool:
    """Whether no event is written for so long: the Job controller tells of some Pods a second, minutes after them."""
    before = writes(namespace.kube).get("events", 0)
    time.sleep(seconds)
    return writes(namespace.kube).get("events", 0) == before


def scale(fleet: Fleet) -> Iterator[Figure]:
    """Memory, restart, rest and failover beside a fleet."""
    with ApiServer(controllers=True) as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        began = time.perf_counter()
        namespace = seed(api.kubectl, "fleet", fleet)
        say(f"{fleet.ended} ended audits of {fleet.sweeps} sweeps made in {time.perf_counter() - began:.0f} s")
        yield from _measured(api, namespace, fleet, Path(folder))


def _measured(api: ApiServer, namespace: Namespace, fleet: Fleet, folder: Path) -> Iterator[Figure]:
    with at_work(api, folder, "first") as operator:
        operator.leading(600)
        began = time.perf_counter()
        looked(namespace, fleet)
        say(f"{fleet.active} more go on after {time.perf_counter() - began:.0f} s")
        spent = settled(pid(operator))
        say(f"{spent:.1f} s of processor time until it rests, {memory_mib(pid(operator)) * MB:.0f} MB")
        # As a rollout does; to follow one that died takes a Lease longer, see below.
        operator.stop()
    began = time.perf_counter()
    with at_work(api, folder, "second", ASSAY_RESYNC_SECONDS=f"{EVERY:g}") as operator:
        operator.leading(600)
        ready = time.perf_counter() - began
        in_sync(operator, fleet.audits + fleet.sweeps)
        synced = time.perf_counter() - began
        spent = settled(pid(operator))
        say(f"leads after {ready:.1f} s, in sync after {synced:.1f} s, {spent:.1f} s of processor time")
        # The API server closes a connection of which nothing was heard for minutes.
        namespace.disconnect()
        wait_until(lambda: all_told(namespace), "the Job controller to have told of every Pod it made", 600)
        before, begun = writes(namespace.kube), cpu_seconds(pid(operator))
        time.sleep(LISTINGS * EVERY)
        after, used = writes(namespace.kube), cpu_seconds(pid(operator)) - begun
        grown = {kind: n - before.get(kind, 0) for kind, n in after.items() if n > before.get(kind, 0)}
        say(f"in {LISTINGS} listings: {used:.1f} s of processor time; writes: {grown}")
        yield Figure("soak_memory", memory_mib(pid(operator)) * MB, 250, unit="MB")
        yield Figure("soak_restart_to_in_sync", synced, 30, unit="s")
        yield Figure("soak_writes_at_rest_but_lease", sum(n for kind, n in grown.items() if kind != "leases"), 0)
        yield from failover(api, namespace, operator, folder)


def failover(api: ApiServer, namespace: Namespace, leader: Operator, folder: Path) -> Iterator[Figure]:
    """From the leader's death by SIGKILL to the first Job of an audit that came meanwhile."""
    with at_work(api, folder, "standby") as standby:
        standby.ready()
        jobs = {job["metadata"]["uid"]: job["metadata"]["name"] for job in namespace.items("jobs")}
        namespace.disconnect()
        made = jobs_asked_for(namespace)
        began = time.perf_counter()
        leader.kill()
        namespace.apply_audit("meanwhile", candidates=ONE)
        path = namespace.path("jobs") + "?labelSelector=assay.dev%2Faudit%3Dmeanwhile"
        wait_until(lambda: namespace.kube.count(path) > 0, "the Job of an audit without a leader", 120, every=0.1)
        took = time.perf_counter() - began
        settled(pid(standby))
        namespace.disconnect()
        after = {job["metadata"]["uid"]: job["metadata"]["name"] for job in namespace.items("jobs")}
        # Of each that there was, the same; one more; and no request that would have made another. The Job controller
        # writes their statuses.
        same = all(after.get(uid) == name for uid, name in jobs.items())
        doubled = jobs_asked_for(namespace) - made - 1 if same else float("nan")
        say(f"{len(after) - len(jobs)} Job more after the failover")
        yield Figure("soak_failover", took, 20, unit="s")
        yield Figure("soak_failover_jobs_doubled", doubled + len(after) - len(jobs) - 1, 0)
