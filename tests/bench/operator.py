"""Benchmarks of the operator on a real kube-apiserver, against a bare kopf handler.

Started as `python -m tests.bench.operator`; run as a file, it would hide the standard library's `operator`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from assay_api import names
from tests.bench.figures import Figure, median_ratio, percentile, report, say
from tests.bench.finished import finished, memory_mib
from tests.bench.kube import Kube
from tests.bench.programs import ROOT, environment
from tests.lab.apiserver import ApiServer
from tests.lab.processes import Server, wait_until

ASSAY = "assay_operator"
BARE = "tests.bench.bare_operator"

AUDITS = f"/apis/{names.API_VERSION}/namespaces/default/{names.PLURAL}"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
LEASES = "leases.coordination.k8s.io"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/assay-operator"
REQUESTS = re.compile(
    r'^apiserver_request_total\{(?=.*verb="([A-Z]+)").*[,{]group="([^"]*)".*,resource="([^"]*)".*\} (\S+)$',
    re.MULTILINE,
)
MIB = 1024 * 1024
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})


@dataclass(frozen=True)
class Size:
    """How large the measurements are.

    Attributes:
        idle: audits applied one after another.
        burst: audits created at once.
        repeats: bursts for each of the two operators.
        standing: audits that stand while nothing happens.
        window: seconds in which writes are counted.
        resync: seconds between the resyncs that fall into them.
        finished: audits that have ended, beside which nothing happens.
    """

    idle: int = 100
    burst: int = 2000
    repeats: int = 3
    standing: int = 200
    window: float = 20
    resync: float = 5
    finished: int = 10_000


QUICK = Size(idle=20, burst=200, repeats=1, standing=20, window=8, resync=2, finished=100)


def audit(name: str, **changes: object) -> dict[str, Any]:
    """An audit of four candidates; nothing of it exists, for nothing runs Pods here."""
    built: dict[str, dict[str, Any]] = {key: {"precision": key} for key in ("fp32", "fp16", "bf16")}
    built["int8"] = {"precision": "int8", "calibration": {"uri": "s3://datasets/calib/"}}
    spec: dict[str, object] = {
        "model": {"uri": "s3://models/model.onnx"},
        "dataset": {"uri": "s3://datasets/digits/", "labels": "label", "batch": 64},
        "candidates": [{"name": key, "backend": "onnxruntime", **how} for key, how in built.items()],
        "checks": [{"finite": {}}, {"outputDrift": {"cosine": 0.99}}, {"labelAccuracy": {}}],
        "target": {"resources": {"cpu": "1", "memory": "1Gi"}},
        "storage": {"secretRef": {"name": "s3"}, "endpoint": "https://s3.example.com"},
        "artifacts": {"uri": "s3://audits/"},
    }
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}, "spec": spec | changes}


@contextlib.contextmanager
def running(module: str, waiting: int = 1, **settings: object) -> Iterator[tuple[Kube, Server]]:
    """An operator that has created its first Job, on an API server of its own with `waiting` audits from before."""
    with ApiServer() as api:
        api.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        api.kubectl("wait", "--for=condition=Established", f"crd/{names.PLURAL}.{names.GROUP}")
        settled = {
            **environment(),
            "KUBECONFIG": str(api.kubeconfig),
            "ASSAY_RUNNER_IMAGE": "localhost/assay-runner",
            "ASSAY_LEASE_NAMESPACE": "default",
            "ASSAY_METRICS_PORT": "0",
            "ASSAY_PROBE_PORT": "0",
            **{f"ASSAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        kube = Kube(api.kubeconfig)
        create(kube, "first", waiting)
        server = Server([sys.executable, "-m", module], api.folder / "operator.log", settled)
        try:
            server.wait_ready(lambda: kube.count(JOBS) > 0)
            yield kube, server
        finally:
            server.stop()


def latency(size: Size) -> Iterator[Figure]:
    """From `kubectl apply` to the Job, nothing else going on."""
    say(f"{size.idle} audits applied one after another")
    taken = []
    with running(ASSAY) as (kube, _):
        jobs = kube.watch(JOBS)
        for index in range(size.idle):
            name = f"idle-{index}"
            begin = time.perf_counter()
            kube.apply(f"{AUDITS}/{name}", audit(name))
            while _job_of(next(jobs)) != name:
                pass
            taken.append(time.perf_counter() - begin)
    say(f"apply to Job: median {median(taken):.3f} s, worst {max(taken):.3f} s")
    yield Figure("operator_apply_to_job_p99", percentile(taken, 0.99), 1, unit="s")


def _job_of(event: dict[str, Any]) -> str | None:
    """The audit whose Job an event says was created."""
    if event["type"] != "ADDED":
        return None
    labels: dict[str, str] = event["object"]["metadata"].get("labels", {})
    return labels.get(names.LABEL_AUDIT)


def create(kube: Kube, prefix: str, audits: int) -> float:
    """Create audits as fast as the API server takes them; return the seconds it took."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: kube.request("POST", AUDITS, audit(f"{prefix}-{index}")), range(audits)))
    return time.perf_counter() - begin


def all_jobs(kube: Kube, jobs: int) -> float:
    """Jobs a second from now until there are so many."""
    begin, before = time.perf_counter(), kube.count(JOBS)
    wait_until(lambda: kube.count(JOBS) >= jobs, f"{jobs} Jobs created", 600, every=0.05)
    return (jobs - before) / (time.perf_counter() - begin)


def burst(size: Size) -> Iterator[Figure]:
    """Many audits at once, against the bare handler."""
    rates: dict[str, list[float]] = {ASSAY: [], BARE: []}
    memory = []
    for turn in range(size.repeats):
        for module, seen in rates.items():
            with running(module) as (kube, server), ThreadPoolExecutor(1) as creator:
                created = creator.submit(create, kube, "burst", size.burst)
                seen.append(all_jobs(kube, size.burst + 1))
                resident = memory_mib(server.pid) * MIB / 1e6
            if module == ASSAY:
                memory.append(resident)
            say(
                f"{module}, {turn + 1} of {size.repeats}: {size.burst} audits created in {created.result():.1f} s, "
                f"{60 * seen[-1]:.0f} Jobs a minute meanwhile, {resident:.0f} MB after"
            )
    yield Figure("operator_burst_rate_vs_bare", median_ratio(rates[ASSAY], rates[BARE]), 0.65, at_most=False)
    yield Figure("operator_burst_memory", max(memory), 200, unit="MB")


def backlog(size: Size) -> Iterator[Figure]:
    """The same with the audits there before the operator: what it can do when nothing else needs the CPU."""
    rates: dict[str, list[float]] = {ASSAY: [], BARE: []}
    for turn in range(size.repeats):
        for module, seen in rates.items():
            with running(module, waiting=size.burst) as (kube, _):
                seen.append(all_jobs(kube, size.burst))
            say(f"{module}, {turn + 1} of {size.repeats}: {60 * seen[-1]:.0f} Jobs a minute from a backlog")
    yield Figure("operator_backlog_rate_vs_bare", median_ratio(rates[ASSAY], rates[BARE]), 0.4, at_most=False)


def steady(size: Size) -> Iterator[Figure]:
    """Writes while nothing changes: audits that wait, that are held and that cannot run, through several resyncs."""
    say(f"{size.standing} audits, resync every {size.resync:.0f} s, writes counted for {size.window:.0f} s")
    kinds: tuple[dict[str, object], ...] = ({}, {"suspend": True}, {"artifacts": {"uri": "file:///tmp/out"}})
    with running(ASSAY, resync_seconds=size.resync) as (kube, _):
        for index in range(size.standing):
            kube.request("POST", AUDITS, audit(f"standing-{index}", **kinds[index % len(kinds)]))
        _quiet(kube, size)
        before, held = requests(kube), kube.request("GET", LEASE)["spec"]["renewTime"]
        time.sleep(size.window)
        after, renewed = requests(kube), kube.request("GET", LEASE)["spec"]["renewTime"]
    grown = {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}
    writes = {key: count for key, count in grown.items() if key[0] in WRITES}
    resyncs = grown.get(("LIST", f"{names.PLURAL}.{names.GROUP}"), 0)
    say(f"writes: {', '.join(f'{n:.0f} {verb} {kind}' for (verb, kind), n in writes.items())}; {resyncs:.0f} resyncs")
    # An operator that does nothing at all writes nothing either.
    alive = held != renewed and resyncs > 0
    others = sum(count for (_, kind), count in writes.items() if kind != LEASES)
    yield Figure("operator_steady_writes_but_lease", others if alive else math.nan, 0)


def _quiet(kube: Kube, size: Size) -> None:
    """Wait until the operator has dealt with every audit and a resync has passed since."""

    def settled() -> bool:
        items = kube.request("GET", AUDITS)["items"]
        return all(item["status"]["observedGeneration"] >= item["metadata"]["generation"] for item in items)

    wait_until(settled, "every audit dealt with", 120, every=0.5)
    time.sleep(2 * size.resync)


def requests(kube: Kube) -> dict[tuple[str, str], float]:
    """Requests by verb and kind of object, as the API server counts them."""
    counted: dict[tuple[str, str], float] = {}
    for verb, group, resource, count in REQUESTS.findall(kube.raw("GET", "/metrics").decode()):
        key = verb, f"{resource}.{group}".rstrip(".")
        counted[key] = counted.get(key, 0) + float(count)
    return counted


BENCHMARKS: dict[str, Callable[[Size], Iterator[Figure]]] = {
    "latency": latency,
    "burst": burst,
    "backlog": backlog,
    "steady": steady,
    "finished": lambda size: finished(audit("finished"), size.finished, 2 * size.window),
}


def main() -> int:
    """Measure what is asked for; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: finds what is broken, judges nothing")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help=f"of {','.join(BENCHMARKS)}")
    parser.add_argument("--repeats", type=int, help="bursts for each of the two operators")
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        parser.error(f"--only takes {','.join(BENCHMARKS)}; got {','.join(unknown)}")
    size = QUICK if asked.quick else Size()
    size = replace(size, repeats=asked.repeats or size.repeats)
    return report(BENCHMARKS[name](size) for name in chosen)


if __name__ == "__main__":
    raise SystemExit(main())
