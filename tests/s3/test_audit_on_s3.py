"""A whole audit with everything in S3, as a Pod runs it, and what becomes of it when S3 goes away."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from assay_api.audit import AuditSpec, Storage
from assay_api.model import parse
from assay_api.plan import Task, plan
from assay_api.report import Report
from assay_api.result import TaskResult
from assay_runner.data.shards import ShardFiles
from assay_runner.stores import open_store
from tests.cli.audits import SAMPLES, assay, document, good, spec, write
from tests.cli.test_task import environment, pod
from tests.lab.s3 import S3Server
from tests.runner.io.made import linear, rows


@pytest.fixture
def prefix(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A good audit's files in a bucket."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    good(tmp_path)
    uri = f"s3://{s3.bucket('audits')}/{uuid.uuid4().hex[:8]}"
    store = open_store(Storage())
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file():
            store.put(f"{uri}/{path.relative_to(tmp_path).as_posix()}", path)
    return uri


def in_s3(prefix: str, **changes: Any) -> dict[str, Any]:
    text = json.dumps(spec(**changes)).replace("file://./", f"{prefix}/")
    moved: dict[str, Any] = json.loads(text)
    return moved


def planned(prefix: str, **changes: Any) -> dict[str, Task]:
    parsed = parse(AuditSpec, in_s3(prefix, **changes))
    made = plan(parsed, "ml/an-audit", output=f"{prefix}/runs/1", cache=f"{prefix}/cache")
    return {task.key: task for task in made}


def test_pods_read_and_write_s3_alone(prefix: str, tmp_path: Path) -> None:
    for task in planned(prefix).values():
        code, answer, log = pod(tmp_path, task)
        assert code == 0, log
    assert answer is not None
    assert answer.report is not None
    content = open_store(Storage()).read(answer.report.uri)
    assert hashlib.sha256(content).hexdigest() == answer.report.sha256
    report = parse(Report, json.loads(content))
    assert (report.verdict, report.candidates[0].samples) == ("Passed", SAMPLES)
    assert list((tmp_path / "scratch").iterdir()) == []
    secret = [value for key, value in environment(tmp_path, None).items() if key == "AWS_SECRET_ACCESS_KEY"]
    kept = list(open_store(Storage()).list(f"{prefix}/runs/"))
    assert kept
    for stored in kept:
        assert secret[0].encode() not in open_store(Storage()).read(stored.uri)


def turned(prefix: str, name: str, folder: Path) -> None:
    """Other samples of the same size take the place of an object."""
    with np.load(folder / name) as archive:
        np.savez(folder / "turned.npz", **{key: array[::-1] for key, array in archive.items()})
    assert (folder / "turned.npz").stat().st_size == (folder / name).stat().st_size
    open_store(Storage()).put(f"{prefix}/{name}", folder / "turned.npz")


def test_a_shard_that_is_replaced_between_two_pods_is_named(prefix: str, tmp_path: Path) -> None:
    plans = planned(prefix)
    assert pod(tmp_path, plans["golden"])[0] == 0
    turned(prefix, "data/part-1.npz", tmp_path)
    code, answer, log = pod(tmp_path, plans["fp32"])
    assert (code, answer and answer.verdict) == (64, None), log
    assert answer is not None
    assert answer.error is not None
    assert answer.error.message.startswith(f"part-1.npz, of the dataset {prefix}/data/, is not what the golden run of")
    assert "leave what the audit reads alone until it has ended, and run it again" in answer.error.message
    # Of a new run it is the golden task that reads it.
    again = {
        task.key: task
        for task in plan(plans["golden"].spec, "ml/an-audit", output=f"{prefix}/runs/2", cache=f"{prefix}/cache")
    }
    assert [pod(tmp_path, again[key])[0] for key in ("golden", "fp32")] == [0, 0]


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_a_shard_that_is_replaced_before_it_is_fetched_is_named(
    kind: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its headers were read, and golden runs on the shards before it."""
    store = open_store(Storage())
    if kind == "safetensors":
        for number in range(2):
            save_file({"x": rows(12, seed=number)}, str(tmp_path / f"{number}.safetensors"))
            store.put(f"{prefix}/tensors/{number}.safetensors", tmp_path / f"{number}.safetensors")
    uri = f"{prefix}/{'data/part-1.npz' if kind == 'npz' else 'tensors/1.safetensors'}"
    path = tmp_path / ("data/part-1.npz" if kind == "npz" else "1.safetensors")
    other = path.read_bytes()[:-100] + path.read_bytes()[-100:][::-1]
    fetch = ShardFiles.fetch

    def meddled(files: ShardFiles, index: int) -> tuple[Path, bool]:
        if index == 1:
            store.put(uri, other)
        return fetch(files, index)

    monkeypatch.setattr(ShardFiles, "fetch", meddled)
    dataset = {"uri": f"{prefix}/{'data' if kind == 'npz' else 'tensors'}/", "batch": 8}
    audit = write(tmp_path, document(in_s3(prefix, dataset=dataset)))
    ended = assay(capsys, "run", "-f", audit, "--out", str(tmp_path / "out"))
    assert ended.code == 64
    assert ended.complaints[0].startswith(f"assay: {uri} was replaced while the audit ran: leave what it reads alone ")


def test_a_local_run_reads_s3(prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "run", "-f", write(tmp_path, document(in_s3(prefix))), "--out", str(tmp_path / "out"))
    assert (ended.code, ended.complaints) == (0, [])


def test_external_data_come_from_beside_the_model(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    linear(tmp_path / "big" / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    store = open_store(Storage())
    store.put(f"{prefix}/big/model.onnx", tmp_path / "big" / "model.onnx")
    audit = write(tmp_path, document(in_s3(prefix, model={"uri": "file://./big/model.onnx"})))
    lost = assay(capsys, "run", "-f", audit, "--out", str(tmp_path / "out"))
    assert lost.code == 64
    assert f"{prefix}/big/weights.bin does not exist" in lost.complaints[0]
    store.put(f"{prefix}/big/weights.bin", tmp_path / "big" / "weights.bin")
    assert assay(capsys, "run", "-f", audit, "--out", str(tmp_path / "out")).code == 0


def test_an_outage_ends_with_69_and_says_how_long_it_waited(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_RETRY_SECONDS", "3")
    with S3Server() as away:
        away.pause()
        audit = write(tmp_path, document(in_s3(prefix, storage={"endpoint": away.endpoint})))
        ended = assay(capsys, "run", "-f", audit, "--out", str(tmp_path / "out"))
    assert ended.code == 69
    assert len(ended.complaints) == 1
    assert f"cannot connect to {away.endpoint}" in ended.complaints[0]
    assert re.search(r"gave up after [2-9] attempts over \d s", ended.complaints[0])
    assert "trying again in" in ended.err


def test_a_pod_ends_with_75_where_only_something_outside_is_to_be_mended(
    prefix: str, tmp_path: Path, s3: S3Server
) -> None:
    """And goes on where it is: a model uploaded late, credentials put right, storage that is there again."""
    bucket, _, folder = prefix.removeprefix("s3://").partition("/")
    golden, client = planned(prefix)["golden"], s3.client()
    key, aside = f"{folder}/model.onnx", f"{folder}/aside.onnx"
    client.copy_object(Bucket=bucket, Key=aside, CopySource={"Bucket": bucket, "Key": key})
    client.delete_object(Bucket=bucket, Key=key)
    nowhere = "http://127.0.0.1:9"
    away = {"AWS_ENDPOINT_URL": nowhere, "AWS_ENDPOINT_URL_S3": nowhere, "ASSAY_RETRY_SECONDS": "1"}
    for again, words, env in (
        ("Setup", "model.onnx does not exist", {}),
        ("Setup", "does not accept the credentials", {"AWS_SECRET_ACCESS_KEY": "wrong"}),
        ("Outage", "cannot connect to", away),
    ):
        code, answer, _ = pod(tmp_path, golden, **env)
        assert code == 75, words
        assert answer is not None
        assert answer.error is not None
        assert (answer.error.reason, answer.error.again) == ("Unavailable", again)
        assert words in answer.error.message
    client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": aside})
    client.close()
    assert pod(tmp_path, golden)[0] == 0


@pytest.mark.parametrize("stage", ["golden", "fp32"])
def test_a_killed_task_runs_again_and_nothing_is_lost_or_doubled(prefix: str, tmp_path: Path, stage: str) -> None:
    tasks = planned(prefix)
    for key in ("golden", "fp32"):
        if key == stage:
            with subprocess.Popen(
                [sys.executable, "-m", "assay_runner", "task"],
                env=environment(tmp_path, tasks[key]), stderr=subprocess.PIPE, text=True,
            ) as process:  # fmt: skip
                assert process.stderr is not None
                # Its second line of progress: the model is there, the work has begun.
                process.stderr.readline()
                process.stderr.readline()
                process.kill()
        code, _, log = pod(tmp_path, tasks[key])
        assert code == 0, log
    code, answer, _ = pod(tmp_path, tasks["summary"])
    assert (code, answer.verdict if isinstance(answer, TaskResult) else None) == (0, "Passed")
    names = [s.uri.removeprefix(f"{prefix}/runs/1/") for s in open_store(Storage()).list(f"{prefix}/runs/1/")]
    reports = ["ctrf.json", "junit.xml", "report.html", "report.json", "report.sealed.json"]
    assert names == sorted([*reports, *(f"fp32/{name}" for name in reports), "fp32/attempt.json", "golden/golden.json"])
