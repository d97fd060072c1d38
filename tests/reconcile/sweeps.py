"""A sweep decided upon without a cluster: what is decided is done here, as an API server and controllers would."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from assay_api.baseline import asked_digest
from assay_api.model import to_wire
from assay_api.names import ANNOTATION_ACCEPT, ANNOTATION_CELLS, LABEL_GPU_PRODUCT
from assay_api.resolved import ModelFound, Resolved
from assay_api.result import TaskResult
from assay_api.sweep_status import SweepStatus
from assay_operator.objects.children import Job
from assay_operator.objects.decision import Decision
from assay_operator.objects.nodes import Gpu, Gpus, Node
from assay_operator.objects.raw import timestamp
from assay_operator.objects.resources import JOBS, PODS
from assay_operator.objects.seen import Seen
from assay_operator.sweeps.kind import SWEEPS
from assay_operator.sweeps.observed import AUDITS, Sweep, SweepAudit
from tests.reconcile.cases import SETTINGS
from tests.unit.api.sweeps import found, sweep

Raw = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)
GPUS = Gpus((Gpu("NVIDIA-H200", "570.1", 4), Gpu("NVIDIA-L4", "570.1", 8)))


@dataclass
class World:
    """One sweep, its audits and its Jobs, and a clock; passes happen when they are asked for."""

    raw: Raw
    models: tuple[ModelFound, ...] = (found("bert", "a" * 16), found("vit", "b" * 16))
    gpus: Gpus | None = GPUS
    now: datetime = START
    jobs: dict[str, Raw] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    audits: dict[str, Raw] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    baselines: dict[str, Raw] = field(default_factory=dict)
    """What a candidate says beside its verdict once it ends, by `model/candidate`."""
    writes: int = 0
    version: int = 1

    @staticmethod
    def of(**changes: Any) -> World:
        """A world with one sweep; `changes` as in `sweep`."""
        raw = sweep(**changes)
        raw["metadata"] |= {
            "uid": "s", "resourceVersion": "1", "generation": 1, "creationTimestamp": timestamp(START),
            "annotations": {},
        }  # fmt: skip
        raw["status"] = {"observedGeneration": -1}
        return World(raw)

    @property
    def status(self) -> SweepStatus:
        return SweepStatus.model_validate_json(json.dumps(self.raw["status"]))

    @property
    def going(self) -> list[str]:
        return [name for name, audit in self.audits.items() if not audit["status"]]

    def seen(self) -> Seen:
        children: dict[Any, tuple[Any, ...]] = {
            AUDITS: tuple(map(SweepAudit.of, self.audits.values())),
            JOBS: tuple(map(Job.of, self.jobs.values())),
            PODS: (),
        }
        seen = Seen(Sweep.of(self.raw), children, results=self.results)
        if SWEEPS.nodes(seen, self.now):
            seen = Seen(Sweep.of(self.raw), children, results=self.results, nodes=shown(self.gpus))
        return seen

    def step(self, *, write: bool = True) -> Decision[Any]:
        """One pass, and what it decides done; without `write` its process dies before the status is written."""
        decision = SWEEPS.reconcile(self.seen(), self.now, SETTINGS)
        for manifest in decision.create:
            self._create(copy.deepcopy(manifest))
        if not write:
            return decision
        if decision.status is not None:
            self.raw["status"] = json.loads(json.dumps(to_wire(decision.status)))
            self.writes += 1
        for ref in decision.delete:
            (self.audits if ref.resource == AUDITS else self.jobs).pop(ref.name, None)
        for ref, change in decision.patch:
            self.audits[ref.name]["spec"] |= change.get("spec", {})
            annotations = change.get("metadata", {}).get("annotations", {})
            self.audits[ref.name]["metadata"]["annotations"] |= annotations
        return decision

    def settle(self, limit: int = 200) -> None:
        """Passes, each a moment after the one before, until nothing is decided any more."""
        for _ in range(limit):
            self.now += timedelta(seconds=11)
            decision = self.step()
            if not (decision.create or decision.delete or decision.patch or decision.status):
                return
        raise AssertionError("it never settles")

    def run(self, verdicts: dict[str, str] | None = None, seconds: int = 100) -> int:
        """Passes until the run is over, every audit ended as soon as it is there; how many were made."""
        before = len(self.made)
        for _ in range(400):
            self.now += timedelta(seconds=11)
            self.step()
            self.end(self.going, verdicts, seconds)
            if self.status.completion_time and not self.going:
                self.settle()
                return len(self.made) - before
        raise AssertionError("the run never ends")

    def end(self, names: Iterable[str], verdicts: dict[str, str] | None = None, seconds: int = 100) -> None:
        """End some audits; a verdict by `model/candidate`, Passed where none is named, Error for none."""
        for name in list(names):
            audit = self.audits[name]
            made = json.loads(audit["metadata"]["annotations"][ANNOTATION_CELLS])
            entries = []
            for key in made["cells"]:
                verdict = (verdicts or {}).get(f"{made['place']}/{key}", "Passed")
                told: Raw = {} if verdict == "Error" else {"verdict": verdict}
                if beside := self.baselines.get(f"{made['place']}/{key}"):
                    told["baseline"] = beside
                if "compareWith" in audit["spec"] and "verdict" in told:
                    told["compared"] = {"state": "Unchanged"}
                entries.append(
                    {"name": key, "message": f"{key} {verdict}", **told, "gpuSeconds": seconds if "@" in key else 0}
                )
            audit["status"] = {
                "candidates": entries,
                "report": {"uri": f"s3://audits/{name}/report.json", "sha256": "ab" * 32},
                "conditions": [{"type": "Complete", "status": "True", "reason": "Passed", "message": "ended"}],
            }

    def accepted(self, *refused: str) -> int:
        """Have audits that were asked accept their answers, but candidates of some keys; how many were asked."""
        count = 0
        for audit in self.audits.values():
            text = audit["metadata"]["annotations"].get(ANNOTATION_ACCEPT, "")
            told = (audit["status"].get("accepted") or {}).get("asked")
            if not text or told == asked_digest(text):
                continue
            count += 1
            keys = json.loads(text)["candidates"]
            fit = [key for key in keys if key not in refused]
            for entry in audit["status"]["candidates"]:
                if entry["name"] in fit:
                    entry["baseline"] = {"state": "Unchanged"}
            audit["status"]["accepted"] = {
                "asked": asked_digest(text), "time": timestamp(self.now), "accepted": len(fit),
                "refused": len(keys) - len(fit), **({"message": "it is emulated"} if len(fit) < len(keys) else {}),
            }  # fmt: skip
        return count

    def annotate(self, **annotations: str) -> None:
        self.raw["metadata"]["annotations"] |= {f"assay.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}

    def change(self, **changes: Any) -> None:
        """Change the sweep's spec, as `sweep` has it."""
        self.raw["spec"] = sweep(**changes)["spec"]
        self.raw["metadata"]["generation"] += 1

    def _create(self, manifest: Raw) -> None:
        name = manifest["metadata"]["name"]
        there = self.jobs if manifest["kind"] == "Job" else self.audits
        if name in there:
            return
        self.version += 1
        manifest["metadata"] |= {
            "uid": f"u{self.version}", "resourceVersion": str(self.version), "creationTimestamp": timestamp(self.now),
        }  # fmt: skip
        manifest["status"] = {}
        there[name] = manifest
        if manifest["kind"] == "Job":
            self._answer(manifest)
        else:
            self.made.append(name)

    def _answer(self, job: Raw) -> None:
        """What the Job that looks at models tells, a few models at a time."""
        task = json.loads(next(e["value"] for e in job["spec"]["template"]["spec"]["containers"][0]["env"]
                               if e["name"] == "ASSAY_TASK"))  # fmt: skip
        after = task["resolve"].get("after", "")
        left = [model for model in sorted(self.models, key=lambda m: m.name) if model.name > after]
        told = Resolved(models=tuple(left[:300]), more=len(left) > 300)
        result = TaskResult(task=job["metadata"]["labels"]["assay.dev/task"], resolved=told)
        self.results[job["metadata"]["uid"]] = result.model_dump_json(by_alias=True)


def shown(gpus: Gpus | None) -> Gpus | None:
    """Some products with a node of each that could take any task."""
    if not gpus or gpus.nodes:
        return gpus
    plenty = {"nvidia.com/gpu": "8", "cpu": "64", "memory": "1Ti", "ephemeral-storage": "1Ti"}
    nodes = (Node(g.product, {LABEL_GPU_PRODUCT: g.product}, plenty, plenty) for g in gpus.products)
    return replace(gpus, nodes=tuple(nodes))


def condition(world: World, kind: str) -> dict[str, Any]:
    (one,) = [c for c in world.raw["status"]["conditions"] if c["type"] == kind]
    return dict(one)
