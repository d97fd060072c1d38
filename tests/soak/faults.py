"""Faults that last: what tests/operator tries for seconds, tried for minutes, at every write and a thousand times."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.figures import Figure, say
from tests.lab import toolchain
from tests.lab.apiserver import CONTROLLERS, ApiServer, start_controller_manager
from tests.lab.processes import wait_until
from tests.lab.proxy import Asked, Fault, Hang, Proxy
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import SPEC, Namespace, install, running
from tests.operator.mutations import SLOTS, ending_jobs, mutate, put_right, settled
from tests.operator.player import Lives, behind, over, play, tasks_done


def quota(audits: int) -> Iterator[Figure]:
    """From the creation of audits under one quota that is used up until all of them say so, by the Job controller."""
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        names = ",".join(CONTROLLERS)
        manager = start_controller_manager(toolchain.kubernetes(), api.folder, api.kubeconfig, api.credentials, names)
        api.servers.append(manager)
        namespace = Namespace(api.kubectl, "crowd")
        none = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "crowd"}}
        namespace.kubectl.apply({**none, "spec": {"hard": {"pods": "0"}}})
        used = '{"status":{"hard":{"pods":"0"},"used":{"pods":"0"}}}'
        namespace("patch", "resourcequota", "none", "--subresource=status", "--type=merge", "-p", used)
        with running(api, Path(folder)):
            yield Figure(f"soak_quota_told_by_{audits}", _told(namespace, audits), 60, unit="s")


def _told(namespace: Namespace, audits: int) -> float:
    """Create audits; the longest time that one took from its creation until it said that the quota is used up."""
    made: dict[str, float] = {}
    took: dict[str, float] = {}

    def create(index: int) -> None:
        named = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracyAudit", "metadata": {"name": f"a{index}"}}
        namespace.kube.request("POST", namespace.path("accuracyaudits"), {**named, "spec": SPEC})
        made[f"a{index}"] = time.perf_counter()

    def all_told() -> bool:
        items = namespace.items("accuracyaudits")
        now = time.perf_counter()
        for audit in items:
            ready = [c for c in audit["status"].get("conditions", ()) if c["type"] == "Ready"]
            if any("exceeded quota" in condition["message"] for condition in ready):
                name = audit["metadata"]["name"]
                took.setdefault(name, now - made[name])
        return len(took) == audits

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(audits)))
    wait_until(all_told, f"all of {audits} audits to say that the quota is used up", 600, 0.5)
    return max(took.values())


def kills() -> Iterator[Figure]:
    """Leaders killed at every write, events too: before the next one, and with its answer lost."""
    lost = doubled = killed = 0
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        for turn, (kind, after) in enumerate((kind, after) for kind in ("audit", "sweep") for after in (True, False)):
            namespace = Namespace(api.kubectl, f"kills-{turn}")
            here = Path(folder) / namespace.name
            here.mkdir()
            with Proxy(api) as proxy, Lives(proxy, namespace, here, after=after, events=True) as lives:
                what, jobs = _applied(namespace, kind)
                play(namespace, Kubelet(namespace), lambda w=what, n=namespace: over(n.read(*w)), lives.tend, 900)  # type: ignore[misc]
                verdict = namespace.read(*what)["status"]["verdict"]
                done = tasks_done(proxy)
                killed, doubled = killed + lives.killed, doubled + sum(done.values()) - len(done)
                lost += (verdict != "Passed") + abs(len(done) - jobs)
            say(f"{kind}, {'answers lost' if after else 'between writes'}: {lives.killed} kills, {verdict}")
    yield Figure("soak_kills", killed, 25, at_most=False)
    yield Figure("soak_kills_lost", lost, 0)
    yield Figure("soak_kills_doubled", doubled, 0)


def _applied(namespace: Namespace, kind: str) -> tuple[tuple[str, str], int]:
    """An audit of two candidates, or a sweep of two models; its kind and name, and how many Jobs it takes."""
    if kind == "audit":
        namespace.apply_audit("digits")
        return ("accuracyaudits", "digits"), 4
    sweeps.apply(namespace, "nightly", models=sweeps.MODELS[:1], template__candidates=sweeps.CANDIDATES[1:])
    return ("accuracysweeps", "nightly"), 4


def mutations(changes: int) -> Iterator[Figure]:
    """Specs of audits and sweeps changed at random while Jobs end; then all put right, and run to the end."""
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        namespace = Namespace(api.kubectl, "mutations")
        with running(api, Path(folder), ASSAY_NAMESPACES=namespace.name) as operator:
            with ending_jobs(namespace):
                taken = mutate(namespace, changes)
            settled(namespace, operator)
            say(f"{taken} of {changes} changes were taken by the API server")
            put_right(namespace)
            kinds = ("accuracyaudits", "accuracysweeps")
            play(
                namespace,
                Kubelet(namespace),
                lambda: all(over(i) for k in kinds for i in namespace.items(k)),
                seconds=600,
            )
            passed = sum(i["status"]["verdict"] == "Passed" for k in kinds for i in namespace.items(k))
            failed = operator.metric('assay_reconciles_total{result="exception"}')
            made = len(namespace.items("accuracyaudits")) + len(namespace.items("accuracysweeps"))
    yield Figure("soak_mutations_taken", taken, changes / 4, at_most=False)
    yield Figure("soak_mutations_not_passed_at_the_end", max(made, SLOTS) - passed, 0)
    yield Figure("soak_mutations_exceptions", failed, 0)


def silence() -> Iterator[Figure]:
    """Watches that fall silent for longer than the operator waits for a word: seconds until they are made anew."""
    with ApiServer() as api, tempfile.TemporaryDirectory() as folder:
        install(api)
        namespace = Namespace(api.kubectl, "silence")
        with Proxy(api) as proxy, behind(proxy, namespace, Path(folder), ASSAY_RESYNC_SECONDS="3600") as operator:
            namespace.apply_audit("before")
            namespace.until(lambda: len(namespace.items("jobs")) == 1, "the watches to work")
            old = [asked for asked in proxy.asked if asked.watch]
            stalled = {id(asked) for asked in old}
            proxy.silent = stalled
            began = time.perf_counter()
            namespace.apply_audit("meanwhile")
            wait_until(lambda: len(namespace.items("jobs")) == 2, "the Job of an audit that no watch told of", 200, 0.2)
            took = time.perf_counter() - began
            jobs = [json.loads(asked.body)["metadata"]["name"] for asked in proxy.done("POST", "jobs")]
            alive = operator.alive
        yield Figure("soak_silent_watch", took if alive else float("nan"), 90, unit="s")
        yield Figure("soak_silent_watch_doubled", len(jobs) - len(set(jobs)), 0)
        yield Figure("soak_unanswered_watch", _unanswered(api, Path(folder)), 90, unit="s")


def _unanswered(api: ApiServer, folder: Path) -> float:
    """From an audit that no watch tells of, for none was ever answered, until its Job is there."""
    namespace = Namespace(api.kubectl, "unanswered")
    seen: set[str] = set()

    def strike(asked: Asked) -> Fault | None:
        first = asked.watch and asked.plural not in seen
        seen.update({asked.plural} if asked.watch else ())
        return Hang() if first else None

    with Proxy(api) as proxy:
        proxy.rules.append(strike)
        with behind(proxy, namespace, folder, ASSAY_RESYNC_SECONDS="3600"):
            began = time.perf_counter()
            namespace.apply_audit("meanwhile")
            wait_until(lambda: len(namespace.items("jobs")) == 1, "the Job of an audit that no watch told of", 200, 0.2)
            return time.perf_counter() - began
