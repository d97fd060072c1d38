"""What the cluster on a GPU machine is looked at with, where there is neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay_api.audit import AuditSpec
from assay_api.status import AuditStatus
from assay_operator.audits.events import end_events
from assay_runner.checks import parse_checks
from assay_runner.evidence import TensorsWanted
from tests.gpu_e2e.audits import existing
from tests.gpu_e2e.evidence import FIGURE, Evidence, figures
from tests.gpu_e2e.test_5_time import overhead
from tests.gpu_e2e.times import budget, spent
from tests.gpu_e2e.watching import ending
from tests.lab import gpus
from tests.lab.s3 import S3Access

BEGAN = datetime(2026, 11, 26, 15, 34, tzinfo=UTC).timestamp()
# As a pod on a GPU told it, with the second's fraction shortened: words, a traceback, and TensorRT's own steps.
LOG = """\
2026-11-26T15:34:10.500000001Z fp16@NVIDIA-H200: fetch
2026-11-26T15:34:10.750000001Z fp16@NVIDIA-H200: build the engine
2026-11-26T15:34:12.000000001Z Traceback (most recent call last):
2026-11-26T15:34:12.000000001Z   File "/usr/lib/python3.11/socketserver.py", line 691, in process_request_thread
2026-11-26T15:34:12.000000001Z BrokenPipeError: [Errno 32] Broken pipe
2026-11-26T15:34:15.750000001Z fp16@NVIDIA-H200: build the engine (6 steps)
2026-11-26T15:34:15.750000001Z fp16@NVIDIA-H200: build the engine: Cloning network graph (25 steps)
2026-11-26T15:34:17.250000001Z fp16@NVIDIA-H200: build the engine: built in 7 s
2026-11-26T15:34:17.500000001Z fp16@NVIDIA-H200: build a probe that shows 6 tensors for finite
2026-11-26T15:34:18.000000001Z fp16@NVIDIA-H200: infer (797 samples)
2026-11-26T15:34:18.250000001Z fp16@NVIDIA-H200: latency (100 runs)
2026-11-26T15:34:18.500000001Z fp16@NVIDIA-H200: publish
2026-11-26T15:34:19.000000001Z assay: fp16@NVIDIA-H200: Passed: 5 findings, all passed""".splitlines()
PARTS = {"fetch": 0.25, "load": 5.0, "build": 2.25, "infer": 0.5, "publish": 0.5}


def test_the_time_of_a_process_is_told_by_what_it_did() -> None:
    assert spent(LOG) == PARTS


def test_tensorrt_is_loaded_once_in_a_process() -> None:
    again = [line.replace("T15:34", "T15:35").replace("fp16@", "bf16@") for line in LOG]
    both = spent([*LOG, *again])
    assert both["load"] == PARTS["load"]
    assert both["build"] == 2 * PARTS["build"] + PARTS["load"]


def test_where_tensorrt_took_no_step_nothing_was_loaded_for_one() -> None:
    emulated = [line for line in LOG if "steps)" not in line]
    assert spent(emulated) == {"fetch": 0.25, "build": 7.25, "infer": 0.5, "publish": 0.5}
    assert spent([]) == spent(["no word of ours"]) == {}


def test_the_time_of_a_pod_is_told_whole() -> None:
    pod = {"pod": "p", "candidate": "fp16", "kind": "candidate", "scheduled": 8.5, "running": 9.0, "ended": 22.0}
    later = {**pod, "pod": "q", "candidate": "", "kind": "summary", "scheduled": 30.0, "ended": 40.0}
    silent = {**pod, "pod": "silent"}
    waits = {"pod": "waits", "candidate": "bf16", "kind": "candidate", "created": 1.0}
    words = ["2026-11-26T15:34:31.000000000Z summary: summarise (7 candidates)"]
    row, last = budget([later, silent, waits, pod], {"p": LOG, "q": words, "waits": LOG}, BEGAN)
    assert row == {"pod": "fp16", "start": 2.0, **PARTS, "end": 3.0, "all": 13.5}
    assert sum(value for name, value in row.items() if name not in ("pod", "all")) == row["all"]
    assert last == {"pod": "summary", "start": 1.0, "end": 9.0, "all": 10.0}


@pytest.mark.parametrize(
    ("audited", "said"),
    [(45.2, "cluster-overhead 21.000s <=21.21s ok"), (99.9, "cluster-overhead 75.700s <=21.21s MISS")],
)
def test_what_a_cluster_costs_stands_beside_its_goal(audited: float, said: str) -> None:
    assert str(overhead(audited, 24.2)) == said


def test_a_figure_is_told_once_beneath_the_run() -> None:
    line = str(overhead(99.9, 24.2))
    phases = [SimpleNamespace(user_properties=[(FIGURE, line), ("not run", "no GPU")])] * 3
    assert figures([*phases, SimpleNamespace(user_properties=[]), object()]) == [line]


def test_facts_are_kept_as_soon_as_they_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_GPU_OUT", str(tmp_path / "seen"))
    Evidence().fact("overhead", {"seconds": 75.7, "goal": 21.2, "met": "MISS"})
    assert json.loads((tmp_path / "seen" / "facts.json").read_text())["overhead"]["met"] == "MISS"


def ended(reason: str) -> dict[str, Any]:
    """The status of an audit that ended for this reason, and what else its condition says."""
    told = {"reason": reason, "status": "True", "message": "2 of 7 candidates breached; fp16@NVIDIA-H200: why"}
    return {
        "conditions": [
            {"type": "Complete", "lastTransitionTime": "2026-11-26T15:36:08Z", "observedGeneration": 1, **told}
        ]
    }


@pytest.mark.parametrize("reason", ["Passed", "Breached", "Inconclusive"])
def test_an_audits_last_event_begins_as_it_is_looked_for(reason: str) -> None:
    status = ended(reason)
    (event,) = end_events(AuditStatus(), AuditStatus.model_validate_json(json.dumps(status)))
    assert event.message.startswith(ending({"status": status}))


def test_a_plan_is_asked_for_nothing_that_it_does_not_show() -> None:
    s3 = S3Access("http://127.0.0.1:9000", "key", "secret")
    manifest = existing("plan", s3, gpus.stand_in(1), "s3://audits/engine.plan")
    spec = AuditSpec.model_validate_json(json.dumps(manifest["spec"]))
    checks = parse_checks(spec)
    assert [check.name for check in checks] == ["outputDrift", "labelAccuracy", "latency"]
    assert not [need for check in checks for need in check.needs if isinstance(need, TensorsWanted)]
