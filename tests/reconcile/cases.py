"""Golden cases of the one decision: what is observed goes in, what is to be done comes out, both as files.

A case is a folder: `audit.yaml` as a user writes it, `observed.yaml` with what stands in the cluster, `decision.yaml`
with what the operator decides. `observed.yaml` names Jobs and Pods by task and gives their raw Kubernetes statuses;
`after: CASE` starts from the status that another case decided, so that a run can be told in chapters.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from assay_api.model import to_wire
from assay_api.names import ENV_REPORTS, LABEL_RUN, LABEL_TASK
from assay_api.plan import Task
from assay_api.result import Progress, TaskResult
from assay_api.status import AuditStatus
from assay_api.together import with_answers
from assay_operator.audits.fitting import with_fits
from assay_operator.audits.jobs import job_manifest, job_name
from assay_operator.audits.observed import Audit, Observed
from assay_operator.audits.reconcile import reconcile
from assay_operator.audits.run import Refused, run_of
from assay_operator.objects.children import Job, Pod
from assay_operator.objects.decision import Decision
from assay_operator.objects.devices import devices_of
from assay_operator.objects.nodes import Gpus, Node
from assay_operator.objects.queued import Queued
from assay_operator.objects.raw import compact, condition, time
from assay_operator.objects.refusals import Refusal
from assay_operator.settings import Settings

FOLDER = Path(__file__).parent
SETTINGS = Settings(runner_image="registry.example/assay-runner:1")
UID = "00000000-0000-4000-8000-000000000001"
CREATED = "2026-01-01T00:00:00Z"
Raw = dict[str, Any]


def names() -> list[str]:
    """Every case."""
    return sorted(path.parent.name for path in FOLDER.glob("*/audit.yaml"))


@cache
def parsed(path: Path) -> Any:
    # No more than this is kept from one test to the next: `make mutants` asks which tests run a line.
    return yaml.safe_load(path.read_text())


@dataclass(frozen=True)
class Case:
    """One case, read."""

    name: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def read(self, file: str) -> Any:
        return copy.deepcopy(parsed(self.folder / file))

    @property
    def expected(self) -> str:
        path = self.folder / "decision.yaml"
        return path.read_text() if path.exists() else ""

    @property
    def seen(self) -> Raw:
        return self.read("observed.yaml") or {}

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(str(self.seen.get("now", CREATED)).replace("Z", "+00:00")).astimezone(UTC)

    def observed(self) -> Observed:
        return observed(self.read("audit.yaml"), self.seen)

    def decide(self) -> Decision[AuditStatus]:
        return decide(self.name)

    def text(self) -> str:
        """The decision as its file has it."""
        return yaml.safe_dump(rendered(self.decide()), sort_keys=False, width=110, allow_unicode=True)


@cache
def decide(name: str) -> Decision[AuditStatus]:
    case = Case(name)
    return reconcile(case.observed(), case.now, SETTINGS)


def with_status(seen: Observed, status: Raw) -> Observed:
    """The same cluster, another status written."""
    audit = replace(
        seen.audit,
        status=compact(status),
        phase=status.get("phase") or "",
        verdict=status.get("verdict") or "",
        complete=condition(status, "Complete").get("status") == "True",
    )
    return replace(seen, audit=audit)


def carried_out(decision: Decision[AuditStatus], seen: Observed, now: datetime) -> Observed:
    """The cluster as it is once a decision is carried out, and nothing else has happened."""
    suspended = {ref.name: change["spec"]["suspend"] for ref, change in decision.patch}
    deleted = {ref.name for ref in decision.delete}
    jobs = [replace(job, suspended=suspended.get(job.name, job.suspended)) for job in seen.jobs]
    created = [Job.of(as_served(manifest, now)) for manifest in decision.create]
    after = replace(
        seen,
        jobs=(*(job for job in jobs if job.name not in deleted), *created),
        pods=tuple(pod for pod in seen.pods if pod.job not in deleted),
        refused={name: why for name, why in seen.refused.items() if name not in {job.name for job in created}},
    )
    return after if decision.status is None else with_status(after, to_wire(decision.status))


def as_served(manifest: Raw, now: datetime) -> Raw:
    """A Job as the API server gives back one that it has taken."""
    name = manifest["metadata"]["name"]
    served = {"uid": f"job-{name}", "resourceVersion": "1", "creationTimestamp": now.isoformat().replace("+00:00", "Z")}
    spec = {"suspend": False, "parallelism": 1, "completions": 1, **manifest["spec"]}
    return {**manifest, "metadata": {**manifest["metadata"], **served}, "spec": spec, "status": {}}


def observed(raw_audit: Raw, seen: Raw) -> Observed:
    """What the case describes, through the same readers that the operator has."""
    audit = audit_of(raw_audit, seen)
    raw_jobs = [job_of(audit, entry) for entry in seen.get("jobs") or ()]
    raw_pods = [pod_of(audit, entry, index) for index, entry in enumerate(seen.get("pods") or ())]
    by_key = {task.key: task.digest for task in tasks(audit)}
    job_of_key = {task.key: f"job-{job_name(audit.name, task)}" for task in tasks(audit)}
    found = Observed(
        audit=audit,
        jobs=tuple(map(Job.of, raw_jobs)),
        pods=tuple(map(Pod.of, raw_pods)),
        results={job_of_key[k]: result_text(v, by_key[k]) for k, v in (seen.get("results") or {}).items()},
        progress={
            job_of_key[k]: Progress.model_validate({"task": by_key[k], **v})
            for k, v in (seen.get("progress") or {}).items()
        },
        hints=seen.get("hints") or {},
        crowded=frozenset(seen.get("crowded") or ()),
        queued={
            f"job-{job_name(audit.name, next(t for t in tasks(audit) if t.key == key))}": queued_of(entry)
            for key, entry in (seen.get("queued") or {}).items()
        },
        refused={name: refusal_of(entry) for name, entry in (seen.get("refused") or {}).items()},
    )
    if "nodes" not in seen:
        return found
    gpus = Gpus.of(map(Node.of, seen["nodes"]), devices_of(seen.get("slices") or ()))
    return with_fits(found, gpus, SETTINGS)


def queued_of(entry: Raw) -> Queued:
    return Queued(entry["message"], entry["stuck"], time(str(entry.get("since", CREATED))))


def refusal_of(entry: Raw) -> Refusal:
    return Refusal(entry["status"], entry["message"], time(str(entry.get("since", CREATED))))


def audit_of(raw: Raw, seen: Raw) -> Audit:
    raw = copy.deepcopy(raw)
    meta = raw.setdefault("metadata", {})
    meta |= {"namespace": "team", "uid": UID, "resourceVersion": "1", "creationTimestamp": CREATED}
    meta["generation"] = seen.get("generation", 1)
    raw["status"] = seen.get("status") or {"observedGeneration": -1}
    if before := seen.get("after"):
        raw["status"] = status_after(before)
    return Audit.of(raw)


def status_after(name: str) -> Raw:
    """The status that stands once the decision of a case is carried out."""
    status = decide(name).status
    if status is not None:
        return to_wire(status)
    seen = Case(name).seen
    return status_after(seen["after"]) if "after" in seen else seen.get("status") or {}


def tasks(audit: Audit) -> tuple[Task, ...]:
    run = run_of(audit)
    return () if isinstance(run, Refused) else run.tasks


def job_of(audit: Audit, entry: Raw) -> Raw:
    raw: Raw
    if key := entry.get("task"):
        task = next(task for task in tasks(audit) if task.key == key)
        raw = job_manifest(audit, task, SETTINGS, recovery=entry.get("recovery", False))
    else:
        raw = {"metadata": {"labels": {LABEL_TASK: "0123456789ab"}, "ownerReferences": [{"controller": True}]}}
    meta = raw["metadata"]
    meta |= {"uid": f"job-{entry.get('name') or meta['name']}", "resourceVersion": "1"}
    meta["creationTimestamp"] = str(entry.get("created", CREATED))
    if "name" in entry:
        meta["name"] = entry["name"]
    if "run" in entry:
        meta["labels"][LABEL_RUN] = entry["run"]
    meta["ownerReferences"][0]["uid"] = entry.get("owner", UID)
    raw.setdefault("spec", {}).update(entry.get("spec") or {})
    raw["status"] = entry.get("status") or {}
    return raw


def pod_of(audit: Audit, entry: Raw, index: int) -> Raw:
    task = next(task for task in tasks(audit) if task.key == entry["task"])
    manifest = job_manifest(audit, task, SETTINGS, recovery=entry.get("recovery", False))
    template, name = manifest["spec"]["template"], manifest["metadata"]["name"]
    status = copy.deepcopy(entry.get("status") or {})
    if "result" in entry:
        status.setdefault("phase", "Succeeded")
        ended = {"exitCode": 0, "finishedAt": CREATED, **entry.get("ended", {})}
        digests = {each.key: each.digest for each in tasks(audit)}
        ended["message"] = result_text(with_packed(entry["result"], digests), task.digest)
        status["containerStatuses"] = [{"state": {"terminated": ended}}]
    controller = {"controller": True, "kind": "Job", "name": name, "uid": entry.get("owner", f"job-{name}")}
    return {
        "metadata": {
            "name": f"{name}-{index}",
            "namespace": audit.namespace,
            "uid": f"pod-{index}",
            "resourceVersion": "1",
            "creationTimestamp": str(entry.get("created", CREATED)),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [controller],
        },
        "spec": template["spec"] | ({"nodeName": entry["node"]} if "node" in entry else {}),
        "status": status,
    }


def with_packed(result: Any, digests: dict[str, str]) -> Any:
    """A result whose `answers`, by task, are packed as a task has them that went ahead of others."""
    if not (isinstance(result, dict) and isinstance(result.get("answers"), dict)):
        return result
    answers = [
        TaskResult.model_validate_json(result_text(told, digests[key])) for key, told in result["answers"].items()
    ]
    return {**result, "answers": with_answers(TaskResult(task=""), answers).answers}


def result_text(result: Any, digest: str) -> str:
    return result if isinstance(result, str) else json.dumps({"task": digest, **result})


def rendered(decision: Decision[AuditStatus]) -> Raw:
    """The decision as plain data; a Job in the few words that matter to a decision."""
    return {
        "create": [_job_words(manifest) for manifest in decision.create],
        "delete": [ref.name for ref in decision.delete],
        "suspend": {ref.name: change["spec"]["suspend"] for ref, change in decision.patch},
        "events": [f"{event.type} {event.reason}: {event.message}" for event in decision.events],
        **({"announce": True} if decision.announce else {}),
        "requeueAfter": decision.requeue_after,
        "status": "unchanged" if decision.status is None else to_wire(decision.status),
    }


def _job_words(manifest: Raw) -> Raw:
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    gpus = {k: v for k, v in (container["resources"].get("limits") or {}).items() if "gpu" in k}
    words = {
        "name": manifest["metadata"]["name"],
        "kind": manifest["metadata"]["labels"]["assay.dev/kind"],
        "queue": manifest["metadata"]["labels"].get("kueue.x-k8s.io/queue-name"),
        "suspend": manifest["spec"].get("suspend"),
        "gpus": gpus or None,
        "nodeSelector": pod.get("nodeSelector"),
        "reports": next((json.loads(env["value"]) for env in container["env"] if env["name"] == ENV_REPORTS), None),
    }
    return {key: value for key, value in words.items() if value is not None}
