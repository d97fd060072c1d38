"""One trace from a sweep to its audit, its Jobs and Pods, what both processes log, and the report.

The Jobs' containers run here, as processes with the environment that the operator gave them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from assay_api.names import trace_of
from assay_api.report import Report
from tests.lab.apiserver import ApiServer
from tests.lab.s3 import REGION, S3Server
from tests.operator import sweeps
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, Raw, running

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def template(s3: S3Server) -> Raw:
    return {
        "dataset": {"uri": f"file://{DIGITS}/data/", "labels": "label", "samples": 64},
        "candidates": [{"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}],
        "checks": [{"finite": {}}],
        "target": {},
        "artifacts": {"uri": f"s3://{s3.bucket('trace')}/{uuid.uuid4().hex[:8]}/"},
        "storage": {"endpoint": s3.endpoint, "region": REGION},
    }


def run_container(job: Raw, folder: Path) -> tuple[str, list[Raw]]:
    """Run a Job's container: its termination message and the lines that it logged."""
    folder.mkdir()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    here = {"HOME": str(folder), "TMPDIR": str(folder), "ASSAY_SCRATCH": str(folder), "ASSAY_PROGRESS_PORT": ""}
    message = folder / "termination-log"
    done = subprocess.run(
        [sys.executable, "-m", "assay_runner", "task"], text=True, capture_output=True, check=False, timeout=180,
        env={**os.environ, **env, **here, "ASSAY_TERMINATION_MESSAGE": str(message)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return message.read_text(), [json.loads(line) for line in done.stderr.splitlines()]


def logged(operator: Operator, trace: str) -> list[Raw]:
    """The operator's own lines of a trace."""
    lines = [json.loads(line) for line in operator.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("trace") == trace]


def finish(namespace: Namespace, kubelet: Kubelet, folder: Path, trace: str, **labels: str) -> list[Raw]:
    """Run the Job that has the labels, and end it; the lines that it logged, all of the trace."""
    wanted = {f"assay.dev/{key}": value for key, value in labels.items()}

    def found() -> list[Raw]:
        return [j for j in namespace.items("jobs") if wanted.items() <= j["metadata"]["labels"].items()]

    namespace.until(lambda: bool(found()), f"a Job with {wanted}")
    (job,) = found()
    for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert meta["labels"]["assay.dev/trace"] == trace
    message, lines = run_container(job, folder)
    assert lines
    for line in lines:
        assert (line["trace"], bool(line["message"]), line["level"]) == (trace, True, "info")
        assert line.keys() >= {"time", "audit", "run", "task"}
    kubelet.end(job, message)
    return lines


def test_a_sweep_is_followed_to_the_report(
    bare_api: ApiServer, namespace: Namespace, kubelet: Kubelet, s3: S3Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.access.secret_key)
    kubelet.image = f"registry.example/assay-runner@sha256:{'1' * 64}"
    with running(bare_api, tmp_path, ASSAY_LOG_FORMAT="json", ASSAY_LEASE_NAME="trace") as operator:
        models = [{"name": "digits", "uri": f"file://{DIGITS}/digits-cnn.onnx"}]
        made = {f"template__{key}": value for key, value in template(s3).items()}
        sweeps.apply(namespace, "nightly", models=models, **made)
        namespace.until(lambda: bool(sweeps.status(namespace, "nightly").get("run")), "its run")
        sweep = namespace.read("accuracysweeps", "nightly")
        trace = trace_of(sweep["metadata"]["uid"], sweep["status"]["run"])
        finish(namespace, kubelet, tmp_path / "models", trace, sweep="nightly")
        namespace.until(lambda: bool(sweeps.audits(namespace, "nightly")), "its audit")
        (audit,) = sweeps.audits(namespace, "nightly").values()
        assert audit["metadata"]["labels"]["assay.dev/trace"] == trace
        name = audit["metadata"]["name"]
        for kind in ("golden", "candidate", "summary"):
            lines = finish(namespace, kubelet, tmp_path / kind, trace, audit=name, kind=kind)
            assert {line["audit"] for line in lines} == {f"{namespace.name}/{name}"}
        namespace.wait("Complete", "sweep/nightly")
        bucket, _, key = namespace.audit(name)["status"]["report"]["uri"].removeprefix("s3://").partition("/")
        client = s3.client()
        report = Report.model_validate_json(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        client.close()
        assert report.trace == trace
        assert report.images == {kubelet.image: ("golden", "fp16")}
        kinds = {next(key for key in ("audit", "sweep") if key in line) for line in logged(operator, trace)}
        assert kinds == {"audit", "sweep"}

        def traces() -> set[str]:
            labels = [each["metadata"].get("labels") or {} for each in namespace.items("events")]
            return {each["assay.dev/trace"] for each in labels if each}

        namespace.until(lambda: bool(traces()), "its events")
        assert traces() == {trace}


@pytest.mark.parametrize("given", ["", "build-4711"])
def test_an_audit_by_itself_has_a_trace_of_its_own_or_its_user_s(
    operator: Operator, namespace: Namespace, given: str
) -> None:
    namespace.apply_audit("digits", {"labels": {"assay.dev/trace": given}} if given else None)
    job = namespace.job("golden")
    audit = namespace.audit("digits")
    expected = given or trace_of(audit["metadata"]["uid"], namespace.run("digits"))
    assert job["metadata"]["labels"]["assay.dev/trace"] == expected
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert (env["ASSAY_TRACE"], env.get("ASSAY_LOG_FORMAT")) == (expected, None)
