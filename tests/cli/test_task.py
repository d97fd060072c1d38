"""`assay task`, as a Pod runs it: a process of its own, told what to do by its environment."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay_api.audit import AuditSpec
from assay_api.model import parse
from assay_api.plan import Task, plan
from assay_api.report import Report
from assay_api.result import TaskResult
from tests.cli.audits import SAMPLES, good, spec
from tests.lab.processes import free_port, wait_until
from tests.runner.io.made import rows, shard
from tests.s3.middleman import in_front_of

INT8 = {"name": "int8", "backend": "onnxruntime", "precision": "int8", "calibration": {"uri": "file://./calib/"}}


def tasks(folder: Path, **changes: Any) -> dict[str, Task]:
    """The tasks of a good audit; in a Pod, paths are absolute."""
    text = json.dumps(spec(**changes)).replace("file://./", f"file://{folder}/")
    parsed = parse(AuditSpec, json.loads(text))
    made = plan(parsed, "ml/an-audit", output=f"file://{folder}/out", cache=f"file://{folder}/cache")
    return {task.key: task for task in made}


def environment(folder: Path, task: Task | None, **more: str) -> dict[str, str]:
    env = {**os.environ, "ASSAY_TERMINATION_MESSAGE": str(folder / "message"), "ASSAY_SCRATCH": str(folder / "scratch")}
    if task is not None:
        env["ASSAY_TASK"] = task.model_dump_json(by_alias=True, exclude_defaults=True)
    return {**env, **more}


def pod(folder: Path, task: Task | None, program: str = "", **more: str) -> tuple[int, TaskResult | None, str]:
    """Run a task, by `program` in the place of the command; its exit code, its answer, and what it logged."""
    (folder / "message").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, *(["-c", program] if program else ["-m", "assay_runner"]), "task"],
        env=environment(folder, task, **more), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    message = folder / "message"
    answer = TaskResult.model_validate_json(message.read_text()) if message.exists() else None
    assert "Traceback" not in done.stderr
    return done.returncode, answer, done.stderr


def test_the_tasks_of_an_audit_answer_one_after_the_other(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    for key, task in plans.items():
        code, answer, log = pod(tmp_path, task)
        assert code == 0, log
        assert answer is not None
        assert answer.task == task.digest
        assert answer.verdict == (None if key == "golden" else "Passed")
        assert answer.samples == SAMPLES
    assert answer is not None
    assert answer.report is not None
    assert answer.report.uri == f"file://{tmp_path}/out/report.json"
    report = parse(Report, json.loads(Path(answer.report.uri.removeprefix("file://")).read_bytes()))
    assert report.audit == "ml/an-audit"
    assert "kubectl annotate accuracyaudit an-audit -n ml assay.dev/rerun=" in report.reproduce
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_task_whose_answer_was_lost_is_answered_from_the_store(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    pod(tmp_path, plans["golden"])
    _, first, _ = pod(tmp_path, plans["fp32"])
    # Whatever ran again now would fail: only the store can answer.
    (tmp_path / "model.onnx").unlink()
    code, second, _ = pod(tmp_path, plans["fp32"])
    assert (code, second) == (0, first)


def test_a_candidate_without_golden_outputs_waits_for_a_retry(tmp_path: Path) -> None:
    good(tmp_path)
    code, answer, _ = pod(tmp_path, tasks(tmp_path)["fp32"])
    assert code == 69
    assert answer is not None
    assert answer.error is not None
    assert answer.error.reason == "Unavailable"
    assert "the golden task has not finished" in answer.error.message


def test_a_missing_candidate_is_inconclusive_in_the_summary(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path, candidates=[spec()["candidates"][0], INT8])
    for key in ("golden", "fp32"):
        pod(tmp_path, plans[key])
    code, answer, _ = pod(tmp_path, plans["summary"])
    assert code == 0
    assert answer is not None
    assert answer.verdict == "Inconclusive"
    assert answer.message.startswith("int8: there is no report at ")
    assert answer.recommendation == "fp32"
    assert answer.recommended_because == "fp32 is the only candidate that passed"


def test_the_summary_holds_the_reports_against_the_digests_it_is_given(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path)
    pod(tmp_path, plans["golden"])
    _, candidate, _ = pod(tmp_path, plans["fp32"])
    assert candidate is not None
    assert candidate.report is not None
    told = candidate.report.sha256
    digests = json.dumps({"fp32": told})
    code, first, log = pod(tmp_path, plans["summary"], ASSAY_REPORTS=digests)
    assert (code, first and first.verdict) == (0, "Passed"), log
    # Asked again it answers the same, from the same report.
    assert pod(tmp_path, plans["summary"], ASSAY_REPORTS=digests)[:2] == (0, first)
    report = Path(candidate.report.uri.removeprefix("file://"))
    report.write_bytes(report.read_bytes() + b"\n")
    now = hashlib.sha256(report.read_bytes()).hexdigest()
    code, changed, _ = pod(tmp_path, plans["summary"], ASSAY_REPORTS=digests)
    assert changed is not None
    assert (code, changed.verdict, changed.recommendation) == (0, "Inconclusive", None)
    sentence = f"{candidate.report.uri} was changed: it has SHA-256 {now}, and its task stored SHA-256 {told}"
    assert changed.message == sentence
    assert changed.report is not None
    page = parse(Report, json.loads(Path(changed.report.uri.removeprefix("file://")).read_bytes()))
    assert [(c.name, c.verdict, c.error) for c in page.candidates] == [("fp32", "Inconclusive", sentence)]
    report.unlink()
    _, gone, _ = pod(tmp_path, plans["summary"], ASSAY_REPORTS=digests)
    assert gone is not None
    assert gone.verdict == "Inconclusive"
    assert gone.message == f"{candidate.report.uri} was changed: it is gone or is no report of this task, and its " + (
        f"task stored SHA-256 {told}"
    )


def test_digests_that_are_none_are_refused(tmp_path: Path) -> None:
    good(tmp_path)
    code, answer, _ = pod(tmp_path, tasks(tmp_path)["summary"], ASSAY_REPORTS="[]")
    assert code == 70
    assert answer is not None
    assert answer.error is not None
    assert answer.error.message.startswith("ASSAY_REPORTS holds no digests: upgrade operator and runner image")


def test_wrong_input_ends_with_64(tmp_path: Path) -> None:
    good(tmp_path)
    shard(tmp_path / "data" / "part-1.npz", z=rows(4))
    code, answer, log = pod(tmp_path, tasks(tmp_path)["golden"])
    assert code == 64
    assert answer is not None
    assert answer.error is not None
    assert answer.error.reason == "InvalidInput"
    assert answer.error.message in log


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ({"backend": "tensorrt", "precision": "fp16"}, "emulates the candidate on CPU"),
        (
            {"backend": "tensorrt", "engine": {"uri": "file://./served.plan"}},
            "finds neither; audit the plan on a GPU and a TensorRT like those it was built for; on a CPU, a second "
            "candidate with precision in place of engine shows",
        ),
    ],
)
def test_a_backend_that_cannot_do_it_here_is_inconclusive_and_not_retried(
    tmp_path: Path, candidate: dict[str, Any], words: str
) -> None:
    good(tmp_path)
    plans = tasks(tmp_path, candidates=[{"name": "one", **candidate}])
    pod(tmp_path, plans["golden"])
    code, answer, log = pod(tmp_path, plans["one"])
    assert (code, answer and answer.verdict) == (0, "Inconclusive"), log
    assert answer is not None
    assert words in answer.message
    assert words in log
    assert answer.error is None
    assert answer.report is not None
    report = parse(Report, json.loads(Path(answer.report.uri.removeprefix("file://")).read_bytes()))
    assert report.candidates[0].error is not None
    assert pod(tmp_path, plans["one"])[:2] == (0, answer)
    code, summary, _ = pod(tmp_path, plans["summary"])
    assert (code, summary and summary.verdict) == (0, "Inconclusive")
    assert summary is not None
    assert words in summary.message


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [({}, 64, "ASSAY_TASK is not set"), ({"ASSAY_TASK": "{}"}, 70, "upgrade operator and runner image together")],
)
def test_a_task_that_is_none_is_refused(tmp_path: Path, more: dict[str, str], code: int, words: str) -> None:
    ended, _, log = pod(tmp_path, None, **more)
    assert ended == code
    assert words in log


def test_a_termination_message_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    good(tmp_path)
    code, answer, log = pod(tmp_path, tasks(tmp_path)["golden"], ASSAY_TERMINATION_MESSAGE="/nowhere/message")
    assert (code, answer) == (0, None)
    assert "could not be written to /nowhere/message" in log


@contextmanager
def stuck(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A task that waits for a store that takes connections and never answers."""
    with in_front_of(9) as silent:
        silent.silent = True
        storage = {"endpoint": silent.endpoint}
        task = tasks(folder, storage=storage, model={"uri": "s3://bucket/model.onnx"})["golden"]
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "ASSAY_PROGRESS_PORT": str(port)}
        with subprocess.Popen(
            [sys.executable, "-m", "assay_runner", "task"],
            env=environment(folder, task, **keys), stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            yield process
            process.kill()


def progress(port: int) -> dict[str, Any] | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/progress", timeout=2) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None


def test_a_pod_that_is_stopped_says_so_and_serves_progress_before(tmp_path: Path) -> None:
    good(tmp_path)
    port = free_port()
    with stuck(tmp_path, port) as process:
        wait_until(lambda: (progress(port) or {}).get("stage") == "fetch", "the task fetches")
        process.send_signal(signal.SIGTERM)
        # Within the time that a kubelet gives it.
        assert process.wait(30) == 69
    answer = TaskResult.model_validate_json((tmp_path / "message").read_text())
    assert answer.error is not None
    assert answer.error.message == "task golden was stopped from outside (SIGTERM) before it was done"
