"""Several candidates in one Pod: each answers as it would alone, and stops no other."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from assay_api.together import answers_of
from tests.cli.audits import good, spec
from tests.cli.test_task import INT8, pod, tasks
from tests.lab.processes import free_port


def test_candidates_together_answer_as_each_does_alone(tmp_path: Path) -> None:
    """The second cannot be audited and stops nobody: it is left to a Job of its own."""
    good(tmp_path)
    fp32 = spec()["candidates"][0]
    broken = {**INT8, "calibration": {"uri": "file://./nowhere/"}}
    three = [fp32, broken, {**fp32, "name": "fp16", "precision": "fp16"}]
    alone, shared = tasks(tmp_path, candidates=three), tasks(tmp_path, candidates=three, candidatesPerJob=8)
    assert shared["together_1"].together == ("fp32", "int8", "fp16")
    pod(tmp_path, shared["golden"])
    code, answer, log = pod(tmp_path, shared["together_1"])
    assert code == 0, log
    assert "int8 is left to a Job of its own: " in log
    assert answer is not None
    assert answer.message == "2 of 3 candidates answered"
    told = {each.task: each for each in answers_of(answer)}
    assert set(told) == {shared[key].digest for key in ("fp32", "fp16")}
    for key in ("fp32", "fp16"):
        stored = Path(shared[key].folder.removeprefix("file://"), "report.json")
        theirs = told[shared[key].digest]
        assert theirs.report is not None
        assert theirs.report.sha256 == hashlib.sha256(stored.read_bytes()).hexdigest()
        # Asked alone, it answers from that report, and in the same words.
        assert pod(tmp_path, shared[key])[1] == theirs
    shutil.rmtree(tmp_path / "out")
    pod(tmp_path, alone["golden"])
    _, again, _ = pod(tmp_path, alone["fp16"])
    assert again is not None
    same = {"verdict", "samples", "worst", "findings", "typing", "achieved", "emulated", "accuracy"}
    assert again.model_dump(include=same) == told[shared["fp16"].digest].model_dump(include=same)


def test_together_they_wait_for_storage_that_is_away(tmp_path: Path) -> None:
    good(tmp_path)
    fp32 = spec()["candidates"][0]
    two = [fp32, {**fp32, "name": "own", "model": {"uri": "s3://models/m.onnx"}}]
    away = {"endpoint": f"http://127.0.0.1:{free_port()}"}
    planned = tasks(tmp_path, candidates=two, candidatesPerJob=2, storage=away)
    keys = {"ASSAY_RETRY_SECONDS": "1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert pod(tmp_path, planned["golden"], **keys)[0] == 0
    code, answer, log = pod(tmp_path, planned["together_1"], **keys)
    assert code == 75, log
    assert answer is not None
    assert answer.error is not None
    assert answer.error.again == "Outage"


KILLED = """\
import os, runpy, signal, sys
from assay_runner.tasks import candidate
audited = candidate._audited
def dies(task, context, notes):
    if task.key == "fp16":
        os.kill(os.getpid(), signal.SIGKILL)
    return audited(task, context, notes)
candidate._audited = dies
runpy.run_module("assay_runner", run_name="__main__")
"""


def test_a_candidate_whose_process_dies_is_told_so_and_the_others_answer_all_the_same(tmp_path: Path) -> None:
    good(tmp_path)
    fp32 = spec()["candidates"][0]
    three = [fp32, *({**fp32, "name": name, "precision": name} for name in ("fp16", "bf16"))]
    planned = tasks(tmp_path, candidates=three, candidatesPerJob=8)
    pod(tmp_path, planned["golden"])
    code, answer, log = pod(tmp_path, planned["together_1"], KILLED)
    assert code == 0, log
    assert answer is not None
    told = {each.task: each for each in answers_of(answer)}
    verdicts = {key: told[planned[key].digest].verdict for key in ("fp32", "fp16", "bf16")}
    assert verdicts == {"fp32": "Passed", "fp16": "Inconclusive", "bf16": "Passed"}
    assert "SIGKILL" in told[planned["fp16"].digest].message
