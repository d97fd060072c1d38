"""Playing an audit or a sweep to its end, whatever becomes of the operator meanwhile, and counting what it did."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.kube import Refused
from tests.lab import LabError
from tests.lab.processes import PATIENCE, wait_until
from tests.lab.proxy import Asked, Cut, Fault, Proxy
from tests.operator.kubelet import Kubelet, report
from tests.operator.lab import Namespace, Operator, Raw

ONE = [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}]
"""The candidates of an audit that has one."""
QUIET_SECONDS = 0.7
SOON = {"ASSAY_LEASE_RETRY_SECONDS": "1", "ASSAY_RENEW_SECONDS": "3", "ASSAY_LEASE_SECONDS": "4"}


def settings(namespace: Namespace, **env: str) -> dict[str, str]:
    """Of an operator that sees one namespace, behind a Lease of its own."""
    return {"ASSAY_NAMESPACES": namespace.name, "ASSAY_LEASE_NAME": namespace.name, **env}


@contextmanager
def behind(proxy: Proxy, namespace: Namespace, folder: Path, **env: str) -> Iterator[Operator]:
    """An operator that leads, behind a proxy, gone afterwards."""
    operator = Operator(
        proxy.api, folder / "operator.log", **settings(namespace, KUBECONFIG=str(proxy.kubeconfig), **env)
    ).start()
    try:
        yield operator.leading()
    finally:
        operator.end()


def over(thing: Raw) -> bool:
    """Whether an audit or a sweep has come to its end."""
    conditions = (thing.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)


def open_jobs(namespace: Namespace) -> list[Raw]:
    """Jobs that nobody has closed."""
    return [job for job in namespace.items("jobs") if not (job.get("status") or {}).get("conditions")]


def finish(kubelet: Kubelet, job: Raw, pod: str = "") -> None:
    """Have a Job succeed as its runner would, by a Pod that there is or a new one."""
    kind = job["metadata"]["labels"]["assay.dev/kind"]
    if kind == "resolve":
        kubelet.finish(
            job, pod=pod, resolved={"models": [{"name": "bert", "uri": "s3://models/bert.onnx", "inputs": "a" * 16}]}
        )
    elif kind in ("candidate", "summary"):
        kubelet.finish(job, pod=pod, verdict="Passed", report=report(kind))
    else:
        kubelet.finish(job, pod=pod, report=report(kind))


def play(
    namespace: Namespace, kubelet: Kubelet, until: Callable[[], bool], tend: Callable[[], bool] = lambda: True,
    seconds: float = 90.0,
) -> None:  # fmt: skip
    """Be the Job controller and the kubelet until something is so; before each turn `tend` says whether it is one."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            there = [job["metadata"]["name"] for job in open_jobs(namespace)]
            raise LabError(f"not at an end after {seconds:.0f} s; open Jobs: {there}")
        for job in open_jobs(namespace) if tend() else ():
            with suppress(Refused):
                # It may be superseded, and gone, by now.
                finish(kubelet, job)
        time.sleep(0.05)


def tasks_done(proxy: Proxy) -> Counter[str]:
    """How often each Job was created, by its name."""
    return Counter(_name(asked) for asked in proxy.done("POST", "jobs"))


def ended_well(namespace: Namespace, proxy: Proxy, jobs: int, audit: str = "digits") -> None:
    """An audit has passed, each of its Jobs was created once, and nobody else's."""
    status = namespace.audit(audit)["status"]
    assert (status["verdict"], status["phase"]) == ("Passed", "Complete"), status
    done = tasks_done(proxy)
    assert set(done.values()) == {1}, done
    assert len(done) == jobs, done


def _name(asked: Asked) -> str:
    return str(json.loads(asked.body)["metadata"]["name"])


class Lives:
    """Operators one after another: each is killed at one of its writes, and the next takes over.

    Args:
        proxy: the way to the API server.
        namespace: the one that they see.
        folder: for their logs.
        after: the write is carried out and the answer lost; else each has one write carried out, and is killed at the
            next one before it is.
        events: whether events count as writes.
        standbys: how many wait: starting one takes longer than its life.
    """

    def __init__(
        self, proxy: Proxy, namespace: Namespace, folder: Path, *, after: bool, events: bool = False, standbys: int = 2
    ) -> None:
        self.proxy, self.namespace, self.folder = proxy, namespace, folder
        self.after, self.events, self.standbys = after, events, standbys
        self.lives: list[Operator] = []
        self.killed = self.written = 0
        self._wrote = time.monotonic()
        self._lease = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{namespace.name}"

    def __enter__(self) -> Lives:
        self.tend()
        try:
            wait_until(lambda: any(life.leads() for life in self.lives), "one of them to lead", PATIENCE)
        except LabError:
            self._end()
            raise
        self.proxy.rules.append(self._strike)
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.rules.remove(self._strike)
        self._end()

    def _end(self) -> None:
        for life in self.lives:
            life.end()

    def tend(self) -> bool:
        """Have somebody lead, and others wait; whether whoever leads has nothing more to write for now."""
        dead = [life for life in self.lives if not life.alive]
        if dead:
            self.lives = [life for life in self.lives if life.alive]
            self.namespace.kube.request(
                "PATCH", self._lease, {"spec": {"holderIdentity": ""}}, "application/merge-patch+json"
            )
        while len(self.lives) <= self.standbys:
            log = self.folder / f"operator-{self.killed}-{len(self.lives)}.log"
            env = settings(self.namespace, KUBECONFIG=str(self.proxy.kubeconfig), **SOON)
            self.lives.append(Operator(self.proxy.api, log, **env).start())
        return time.monotonic() - self._wrote > QUIET_SECONDS and any(life.leads() for life in self.lives)

    def _strike(self, asked: Asked) -> Fault | None:
        if not asked.writes or (asked.plural == "events" and not self.events):
            return None
        self.written += 1
        self._wrote = time.monotonic()
        if not self.after and self.written % 2:
            return None
        self._kill()
        return Cut(after=self.after)

    def _kill(self) -> None:
        """Kill whoever leads: nobody else writes."""
        leader = next((life for life in self.lives if life.alive and life.leads()), None)
        if leader and leader.process:
            os.kill(leader.process.pid, signal.SIGKILL)
            self.killed += 1
