"""A hand that plays the Job controller and the kubelet.

Jobs and Pods are real objects of a real API server, their statuses written through it as those two write them.
"""

from __future__ import annotations

import json
import time
from typing import Any

from tests.operator.lab import Namespace, Raw


class Kubelet:
    """Plays the Job controller and the kubelet: makes a Job's Pod, and ends it."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.count = 0
        self.seconds = 0
        """For how long a Pod that ends has run."""
        self.image = ""
        """The image that a Pod that ends has run, by digest."""

    def pod(self, job: Raw, owners: list[Raw] | None = None, **status: Any) -> str:
        """A Pod of the Job, with this status; its name. With `owners` it is theirs, and only looks like the Job's."""
        self.count += 1
        name = f"{job['metadata']['name']}-{self.count}"
        template = job["spec"]["template"]
        labels = {**template["metadata"]["labels"], "job-name": job["metadata"]["name"]}
        owner = {
            "apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"], "controller": True,
        }  # fmt: skip
        meta = {
            "name": name,
            "namespace": self.namespace.name,
            "labels": labels,
            "ownerReferences": [owner] if owners is None else owners,
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        self.namespace.kube.request("POST", self.namespace.path("pods"), pod)
        self.set_pod(name, **({"phase": "Running"} | status))
        return name

    def set_pod(self, name: str, **status: Any) -> None:
        self._patch("pods", name, {}, **status)

    def set_job(self, name: str, **status: Any) -> None:
        self._patch("jobs", name, {}, **status)

    def finish(self, job: Raw, *, code: int = 0, pod: str = "", **result: Any) -> None:
        """End the Job with a Pod whose termination message holds the result: one that there is, else a new one."""
        message = json.dumps({"task": job["metadata"]["labels"]["assay.dev/task"], **result})
        self.end(job, message, code, pod=pod)

    def succeed(self, pod: str, message: str) -> None:
        """End a Pod whose Job a real controller closes."""
        self.set_pod(pod, phase="Succeeded", **self._ended(message, 0, "Completed"))

    def end(self, job: Raw, message: str, code: int = 0, reason: str = "Completed", pod: str = "") -> None:
        ended_so = {"phase": "Failed" if code else "Succeeded", **self._ended(message, code, reason)}
        if pod:
            self.set_pod(pod, **ended_so)
        else:
            self.pod(job, **ended_so)
        self.close(job, failed="PodFailurePolicy" if code == 64 else "BackoffLimitExceeded" if code else None)

    def _ended(self, message: str, code: int, reason: str) -> Raw:
        """What a Pod's status says of a container that ended now."""
        end = time.time()
        began, now = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (end - self.seconds, end))
        ended = {
            "exitCode": code, "reason": reason if code == 0 else "Error", "message": message,
            "startedAt": began, "finishedAt": now,
        }  # fmt: skip
        container = {
            "name": "task", "image": "x", "imageID": self.image, "ready": False, "restartCount": 0,
            "state": {"terminated": ended},
        }  # fmt: skip
        return {"startTime": began, "containerStatuses": [container]}

    def close(self, job: Raw, failed: str | None = None) -> None:
        """Close the Job as its controller does.

        Raises:
            Refused: it is gone, whether or not another one has its name.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        first, last = ("FailureTarget", "Failed") if failed else ("SuccessCriteriaMet", "Complete")
        conditions = [
            {"type": kind, "status": "True", "reason": failed or "CompletionsReached", "message": "",
             "lastTransitionTime": now, "lastProbeTime": now}
            for kind in (first, last)
        ]  # fmt: skip
        counts: Raw = {"failed": 1} if failed else {"succeeded": 1, "completionTime": now}
        empty = {"uncountedTerminatedPods": {}, "ready": 0, "terminating": 0}
        # A Job of that name may be another one by now, which nobody has run.
        same = {"metadata": {"uid": job["metadata"]["uid"]}}
        self._patch("jobs", job["metadata"]["name"], same, startTime=now, conditions=conditions, **counts, **empty)

    def _patch(self, kind: str, name: str, known: Raw, **status: Any) -> None:
        path = f"{self.namespace.path(kind, name)}/status"
        self.namespace.kube.request("PATCH", path, {**known, "status": status}, "application/merge-patch+json")


def report(key: str) -> Raw:
    return {"uri": f"s3://audits/x/{key}/report.json", "sha256": "ab" * 32}
