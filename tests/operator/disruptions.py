"""Nodes that a test plays, and what takes a running Pod away from them: by real controllers and a real scheduler.

The API server, the controllers of Jobs, nodes, taints and orphaned Pods, and the scheduler are Kubernetes' own. The
kubelet alone is played: it renews its node's Lease, starts what is bound to it, and ends what is to go.
"""

from __future__ import annotations

import calendar
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from assay_api.report import Verdict
from tests.bench.kube import Refused
from tests.lab import LabError, toolchain
from tests.lab.apiserver import CONTROLLERS, ApiServer, start_controller_manager
from tests.lab.processes import Server
from tests.lab.proxy import Proxy
from tests.operator.kubelet import report
from tests.operator.lab import Namespace, Raw
from tests.operator.player import ONE, over

OF_NODES = ("node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller")
GRACE = ("--node-monitor-grace-period=8s", "--node-monitor-period=1s")
"""How soon a node that says nothing is given up: 40 s as Kubernetes has it, compressed."""
WAY = "example.com/way"
HEARTBEAT_SECONDS = 2.0
URGENT_SECONDS = 3.0
MERGE = "application/merge-patch+json"


def start(api: ApiServer) -> None:
    """Start the controllers and the scheduler beside an API server."""
    binaries, names = toolchain.kubernetes(), ",".join((*CONTROLLERS, *OF_NODES))
    api.servers.append(start_controller_manager(binaries, api.folder, api.kubeconfig, api.credentials, names, *GRACE))
    argv: list[str | Path] = [
        binaries / "kube-scheduler",
        f"--kubeconfig={api.kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    api.servers.append(Server(argv, api.folder / "kube-scheduler.log"))
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}}
    api.kubectl.apply({**high, "value": 1000})


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Place:
    """A namespace whose audit's candidate loses its Pod in one way, and the nodes that it may run on.

    Attributes:
        namespace: its own.
        way: how.
        struck: the name of the Pod that was taken, once it was.
        dead: nodes whose kubelet says nothing.
        reasons: of Ready, as they were told one after another.
    """

    namespace: Namespace
    way: str
    struck: str = ""
    dead: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    beaten: float = 0.0

    def begin(self) -> None:
        """Make its nodes, and an audit that no failure of a Pod is forgiven."""
        for name in self.nodes:
            self._node(name)
        target = {"nodeSelector": {WAY: self.way}}
        self.namespace.apply_audit("digits", candidates=ONE, backoffLimit=0, target=target)

    @property
    def nodes(self) -> list[str]:
        return [f"{self.way}-{number}" for number in (1, 2)]

    def _node(self, name: str) -> None:
        made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {WAY: self.way}}}
        self.namespace.kubectl.apply(made)
        room = {"cpu": "1", "memory": "8Gi", "pods": "10"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                 "lastHeartbeatTime": now(), "lastTransitionTime": now()}  # fmt: skip
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self.namespace.kube.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, MERGE)

    def turn(self) -> bool:
        """Be the kubelets of its nodes for a moment; whether its audit is over."""
        self._beat()
        for pod in self.namespace.items("pods"):
            node = pod["spec"].get("nodeName", "")
            if node and node not in self.dead:
                # Another hand may have been faster.
                with suppress(Refused):
                    self._tend(pod)
        audit = self.namespace.audit("digits")
        for condition in (audit.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready" and condition["reason"] not in self.reasons[-1:]:
                self.reasons.append(condition["reason"])
        self._obey()
        return over(audit)

    def _obey(self) -> None:
        """Do as the audit says where a node does not answer: delete it."""
        if self.way == "silenced" and "NodeLost" in self.reasons:
            for node in self.dead & set(self.nodes):
                with suppress(Refused):
                    self.namespace.kube.request("DELETE", f"/api/v1/nodes/{node}")

    def _beat(self) -> None:
        if time.monotonic() - self.beaten < HEARTBEAT_SECONDS:
            return
        self.beaten = time.monotonic()
        for name in self.nodes:
            if name not in self.dead:
                path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"
                spec = {"holderIdentity": name, "leaseDurationSeconds": 8, "renewTime": f"{now()[:-1]}.000000Z"}
                lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
                self.namespace.kube.apply(path, {**lease, "spec": spec})

    def _tend(self, pod: Raw) -> None:
        labels, name = pod["metadata"]["labels"], pod["metadata"]["name"]
        phase = pod["status"].get("phase")
        if "deletionTimestamp" in pod["metadata"]:
            if phase in ("Pending", "Running"):
                self.end(name, 137)
            self.namespace.kube.request("DELETE", self.namespace.path("pods", name), {"gracePeriodSeconds": 0})
        elif phase == "Pending":
            self._run(name)
        elif phase == "Running" and labels.get("assay.dev/kind") == "candidate" and not self.struck:
            self.struck = name
            WAYS[self.way](self, pod)
        elif phase == "Running" and "assay.dev/kind" in labels:
            self.end(name, 0, json.dumps(answer(labels)))
        elif phase == "Running" and _age(pod) > URGENT_SECONDS:
            self.end(name, 0)

    def _run(self, name: str) -> None:
        container = {"name": "task", "image": "x", "imageID": "", "ready": True, "restartCount": 0,
                     "state": {"running": {"startedAt": now()}}}  # fmt: skip
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now()}
        self.set(name, phase="Running", startTime=now(), containerStatuses=[container], conditions=[ready])

    def end(self, name: str, code: int, said: str = "", **status: object) -> None:
        """Have the container of a Pod end."""
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": said,
                 "startedAt": now(), "finishedAt": now()}  # fmt: skip
        container = {"name": "task", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
                     "state": {"terminated": ended}}  # fmt: skip
        self.set(name, phase="Failed" if code else "Succeeded", containerStatuses=[container], **status)

    def set(self, name: str, **status: object) -> None:
        path = f"{self.namespace.path('pods', name)}/status"
        content = "application/strategic-merge-patch+json"
        self.namespace.kube.request("PATCH", path, {"status": status}, content)


def _age(pod: Raw) -> float:
    """Seconds since a Pod began."""
    return time.time() - calendar.timegm(time.strptime(pod["status"]["startTime"], "%Y-%m-%dT%H:%M:%SZ"))


def answer(labels: Mapping[str, str]) -> Raw:
    """What the runner of a task would tell."""
    kind = labels["assay.dev/kind"]
    judged = {"verdict": str(Verdict.PASSED)} if kind != "golden" else {}
    return {"task": labels["assay.dev/task"], "report": report(kind), **judged}


def evicted(place: Place, pod: Raw) -> None:
    """By the eviction API, as `kubectl drain` does."""
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    place.namespace.kube.request("POST", f"{place.namespace.path('pods', name)}/eviction", body)


def pressed(place: Place, pod: Raw) -> None:
    """By its kubelet, for its node is short of memory."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                 "message": "The node was low on resource: memory.", "lastTransitionTime": now()}  # fmt: skip
    told = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 12Mi."
    place.end(pod["metadata"]["name"], 137, reason="Evicted", message=told, conditions=[condition])


def tainted(place: Place, pod: Raw) -> None:
    """By a taint of its node."""
    taints = [{"key": "example.com/broken", "effect": "NoExecute"}]
    place.namespace.kube.request(
        "PATCH", f"/api/v1/nodes/{pod['spec']['nodeName']}", {"spec": {"taints": taints}}, MERGE
    )


def preempted(place: Place, pod: Raw) -> None:
    """By the scheduler, for what is more urgent and takes a while."""
    for number in (1, 2):
        container = {"name": "x", "image": "x", "resources": {"requests": {"cpu": "900m"}}}
        spec = {"priorityClassName": "urgent", "nodeSelector": {WAY: place.way}, "containers": [container],
                "terminationGracePeriodSeconds": 0}  # fmt: skip
        meta = {"name": f"urgent-{number}", "labels": {"example.com/urgent": "true"}}
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        place.namespace.kube.request("POST", place.namespace.path("pods"), made)


def gone(place: Place, pod: Raw) -> None:
    """With its node, which is deleted: nobody but the collector of orphaned Pods ends it."""
    node = pod["spec"]["nodeName"]
    place.dead.add(node)
    place.namespace.kube.request("DELETE", f"/api/v1/nodes/{node}")


def silenced(place: Place, pod: Raw) -> None:
    """With its node, which says nothing any more until somebody deletes it."""
    place.dead.add(pod["spec"]["nodeName"])


WAYS: dict[str, Callable[[Place, Raw], None]] = {
    "evicted": evicted, "pressed": pressed, "tainted": tainted, "preempted": preempted,
    "gone": gone, "silenced": silenced,
}  # fmt: skip
QUICK = ("evicted", "pressed", "tainted", "preempted")
"""Those that take no longer than the pause of the Job controller between two Pods."""


@dataclass(frozen=True)
class Came:
    """What came of an audit whose candidate lost its Pod.

    Attributes:
        verdict: of the audit.
        made: how often each Job was created.
        ended: how many Pods of the candidate succeeded.
        lost: how many had begun and did not.
        failed: what the candidate's Job counts as failures.
    """

    verdict: str
    made: Counter[str]
    ended: int
    lost: int
    failed: int


def play(places: Iterable[Place], seconds: float) -> None:
    """Be all kubelets until all audits are over.

    Raises:
        LabError: they are not, after a while.
    """
    left, end = list(places), time.monotonic() + seconds
    while left := [place for place in left if not place.turn()]:
        if time.monotonic() > end:
            told = {place.way: place.namespace.audit("digits")["status"]["conditions"][0] for place in left}
            raise LabError(f"not at an end after {seconds:.0f} s: {told}")
        time.sleep(0.2)


def came(place: Place, proxy: Proxy) -> Came:
    """What came of it, by the API server's record."""
    path = place.namespace.path("jobs")
    made = Counter(json.loads(a.body)["metadata"]["name"] for a in proxy.done("POST", "jobs") if a.path == path)
    jobs = place.namespace.jobs()
    wanted = [p for p in place.namespace.items("pods") if p["metadata"]["labels"].get("assay.dev/kind") == "candidate"]
    ended = sum(pod["status"]["phase"] == "Succeeded" for pod in wanted)
    status = place.namespace.audit("digits")["status"]
    return Came(
        status.get("verdict", ""), made, ended, len({place.struck} - {""}), jobs["fp16"]["status"].get("failed", 0)
    )
