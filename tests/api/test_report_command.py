"""`assay report` against a real API server through a real kubectl, with pages on disk and in a real S3 server."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from assay_api.names import ANNOTATION_CELLS
from assay_api.report import Report
from assay_runner.report import render_html
from tests.api.desk import bare
from tests.cli.audits import Ended, assay
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish
from tests.lab.s3 import REGION, S3Server
from tests.unit.api.audits import audit
from tests.unit.api.sweeps import sweep
from tests.unit.report import samples

CRD = Path(__file__).resolve().parents[2] / "crds" / "accuracyaudits.yaml"


class Cluster:
    """A namespace with audits whose status says what an operator would have written."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.namespace = f"report-{uuid.uuid4().hex[:8]}"
        establish(server.kubectl, CRD, how=())
        server.kubectl("create", "namespace", self.namespace)

    def put(self, name: str, status: dict[str, Any], **changes: Any) -> None:
        resource = audit(**changes) | {"metadata": {"name": name, "namespace": self.namespace}}
        self.server.kubectl.apply(resource)
        patch = json.dumps({"status": {"observedGeneration": 1, **status}})
        where = ["--namespace", self.namespace, "--subresource=status", "--type=merge"]
        self.server.kubectl("patch", "audit", name, *where, "--patch", patch)


@pytest.fixture(scope="module")
def shared(apiserver: ApiServer) -> Cluster:
    return Cluster(apiserver)


@pytest.fixture
def cluster(shared: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster as the user's kubectl sees it; no display, no AWS environment, a temporary folder of the test's."""
    bare(shared.server, tmp_path, monkeypatch)
    return shared


def written(folder: Path, report: Report | None = None) -> dict[str, Any]:
    """A run's pages in a folder, and the status that names them."""
    report = report or samples.failed()
    pages = {"": report, **{f"{c.name}/": samples.report((c, []), task=c.name) for c in report.candidates}}
    for place, each in pages.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "report.html").write_bytes(render_html(each))
    return status(f"file://{folder}", report)


def status(base: str, report: Report) -> dict[str, Any]:
    candidates = [
        {"name": c.name, "state": "Finished", "reportUri": f"{base}/{c.name}/report.json"} for c in report.candidates
    ]
    stored = {"uri": f"{base}/report.json", "sha256": "0" * 64, "page": f"{base}/report.html"}
    return {"phase": "Complete", "report": stored, "candidates": candidates}


def fetched(ended: Ended) -> Path:
    assert ended.code == 0, ended.err
    return Path(ended.out.splitlines()[-1])


def refused(ended: Ended, code: int) -> str:
    assert ended.code == code, ended.err
    (complaint,) = ended.complaints
    assert "Traceback" not in ended.err
    assert ended.out == ""
    return complaint


Capture = pytest.CaptureFixture[str]


def test_the_page_and_the_candidates_pages_come_as_its_links_expect(
    cluster: Cluster, tmp_path: Path, capsys: Capture
) -> None:
    cluster.put("here", written(tmp_path / "run"))
    ended = assay(capsys, "report", "here", "-n", cluster.namespace)
    page = fetched(ended)
    assert page.read_bytes() == (tmp_path / "run" / "report.html").read_bytes()
    assert (page.parent / "int8" / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert b'href="int8/report.html"' in page.read_bytes()
    assert "there is no display here" in ended.err


def test_the_page_opens_in_the_users_browser(
    cluster: Cluster, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put("opened", written(tmp_path / "run"))
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    page = fetched(assay(capsys, "report", "opened", "-n", cluster.namespace))
    assert seen.read_text().strip() == page.as_uri()
    seen.unlink()
    fetched(assay(capsys, "report", "opened", "-n", cluster.namespace, "--no-open"))
    assert not seen.exists()


def test_out_names_the_file_and_candidate_the_page(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    cluster.put("out", written(tmp_path / "run"))
    out = tmp_path / "deep" / "page.html"
    words = ["report", "out", "-n", cluster.namespace, "--no-open", "--out", str(out)]
    assert fetched(assay(capsys, *words)) == out
    assert fetched(assay(capsys, *words, "--candidate", "int8")) == out
    assert out.read_bytes() == (tmp_path / "run" / "int8" / "report.html").read_bytes()
    assert [p.name for p in out.parent.iterdir()] == ["page.html"]
    complaint = refused(assay(capsys, *words, "--candidate", "int4"), 64)
    assert "has no candidate int4 in its status: give one of fp16, int8" in complaint


RUNNING = {"phase": "Running", "finished": "1/3"}
STALLED = {
    "type": "Stalled", "status": "True", "reason": "InvalidInput", "message": "s3://models/m.onnx does not exist",
    "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        pytest.param(RUNNING, 69, "has no report yet (Running, 1/3 candidates finished): wait for it", id="running"),
        pytest.param({}, 69, "has no report yet (Pending): wait for it with `kubectl wait", id="new"),
        pytest.param(
            {"phase": "Stalled", "conditions": [STALLED]}, 64, "ended without a report: s3://models/m.onnx", id="input"
        ),
        pytest.param(
            {"phase": "Stalled", "conditions": [STALLED | {"reason": "Error"}]}, 69, "without a report", id="error"
        ),
    ],
)
def test_an_audit_without_a_report_says_why(
    cluster: Cluster, state: dict[str, Any], code: int, said: str, capsys: Capture
) -> None:
    name = f"none-{uuid.uuid4().hex[:6]}"
    cluster.put(name, state)
    assert said in refused(assay(capsys, "report", name, "-n", cluster.namespace), code)


def test_a_page_that_is_gone_leaves_nothing_behind(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    cluster.put("gone", written(tmp_path / "run"))
    (tmp_path / "run" / "report.html").unlink()
    assert "is not at file://" in refused(assay(capsys, "report", "gone", "-n", cluster.namespace), 69)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_changed_spec_is_told(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    cluster.put("changed", written(tmp_path / "run"))
    patch = json.dumps({"spec": {"suspend": True}})
    cluster.server.kubectl("patch", "audit", "changed", "-n", cluster.namespace, "--type=merge", "--patch", patch)
    ended = assay(capsys, "report", "changed", "-n", cluster.namespace, "--no-open")
    fetched(ended)
    assert "has changed since" in ended.err


def test_no_such_audit_context_cluster_or_kubectl(
    cluster: Cluster, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(code: int, *words: str) -> str:
        return refused(assay(capsys, "report", *words), code)

    assert "audit nobody in namespace default does not exist" in said(64, "nobody", "-n", "default")
    assert "context nowhere is not in your kubeconfig" in said(64, "nobody", "--context", "nowhere")
    assert "'../x' is no name of an audit" in said(64, "../x")
    assert "is no name of a namespace" in said(64, "x", "-n", "A/B")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "empty"))
    assert "kubectl could not read audit nobody" in said(69, "nobody")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kubectl is not on the PATH" in said(69, "nobody")


def test_a_reader_without_rights_is_told_which(
    cluster: Cluster, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.server.kubectl("create", "serviceaccount", "reader", "-n", cluster.namespace)
    kubeconfig = cluster.server.kubectl.as_service_account(cluster.namespace, "reader", tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    complaint = refused(assay(capsys, "report", "x", "-n", cluster.namespace), 64)
    assert "does not allow you to read audit x" in complaint
    assert "`get` on accuracyaudits.assay.dev" in complaint


@pytest.fixture
def in_s3(cluster: Cluster, s3: S3Server) -> str:
    """An audit whose report lies in S3, by the endpoint of its spec."""
    base = f"s3://{s3.bucket('reports')}/{uuid.uuid4().hex[:8]}"
    client = s3.client()
    client.put_object(Bucket="reports", Key=f"{base.rsplit('/', 1)[1]}/report.html", Body=render_html(samples.failed()))
    client.close()
    name = f"s3-{uuid.uuid4().hex[:6]}"
    cluster.put(name, status(base, samples.failed()), storage={"endpoint": s3.endpoint, "region": REGION})
    return name


def keys(s3: S3Server, monkeypatch: pytest.MonkeyPatch, secret: str | None = None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret or s3.access.secret_key)


def test_a_page_in_s3_comes_by_the_endpoint_of_the_spec(
    cluster: Cluster, in_s3: str, s3: S3Server, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(s3, monkeypatch)
    ended = assay(capsys, "report", in_s3, "-n", cluster.namespace)
    assert fetched(ended).read_bytes() == render_html(samples.failed())
    assert "the page of candidate int8 could not be fetched" in ended.err, "said, and the answer stands without it"


HINT = "where only the cluster reaches the endpoint in its spec, forward its port and set AWS_ENDPOINT_URL_S3"


@pytest.mark.parametrize(("bucket", "code"), [("reports", 69), ("a-bucket-of-the-cluster", 64)])
def test_another_store_that_answers_in_the_place_of_the_cluster_s_is_thought_of(
    cluster: Cluster, s3: S3Server, capsys: Capture, monkeypatch: pytest.MonkeyPatch, bucket: str, code: int
) -> None:
    """It says that there is no such page, which is true there and says nothing of the cluster's own."""
    s3.bucket("reports")
    keys(s3, monkeypatch)
    name = f"s3-{uuid.uuid4().hex[:6]}"
    there = status(f"s3://{bucket}/{uuid.uuid4().hex}", samples.failed())
    cluster.put(name, there, storage={"endpoint": s3.endpoint, "region": REGION})
    assert HINT in refused(assay(capsys, "report", name, "-n", cluster.namespace), code)


def test_s3_that_refuses_or_cannot_be_reached(
    cluster: Cluster, in_s3: str, s3: S3Server, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(code: int) -> str:
        ended = assay(capsys, "report", in_s3, "-n", cluster.namespace)
        assert ended.code == code, ended.err
        return ended.complaints[-1]

    monkeypatch.setenv("HOME", "/nonexistent")
    assert "no usable credentials to" in said(64)
    keys(s3, monkeypatch, secret="wrong")
    complaint = said(64)
    assert "s3://reports/" in complaint
    assert "wrong" not in complaint
    keys(s3, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert HINT in said(69)


def test_a_sweep_s_page_is_made_of_its_audits(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    establish(cluster.server.kubectl, CRD.with_name("accuracysweeps.yaml"), how=())
    cluster.server.kubectl.apply(sweep() | {"metadata": {"name": "nightly", "namespace": cluster.namespace}})
    here = ("-n", cluster.namespace, "--sweep", "--no-open")
    page = tmp_path / "page.html"
    assert assay(capsys, "report", "nightly", *here, "--out", str(page)).code == 0
    assert "No cell yet" in page.read_text()
    found = cluster.server.kubectl.json("get", "sweep", "nightly", "-n", cluster.namespace)
    made = {ANNOTATION_CELLS: json.dumps({"place": "bert", "cells": {"fp16": "0" * 16}})}
    owner = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "name": "nightly"}
    meta = {"name": "nightly-bert", "namespace": cluster.namespace, "labels": {"assay.dev/sweep": "nightly"}}
    owners = [{**owner, "uid": found["metadata"]["uid"], "controller": True}]
    cluster.server.kubectl.apply(audit() | {"metadata": {**meta, "annotations": made, "ownerReferences": owners}})
    worst = {"check": "finite", "node": "/layer/Mul", "message": "/layer/Mul overflows"}
    entry = {"name": "fp16", "state": "Finished", "verdict": "Failed", "worst": worst}
    patch = json.dumps({"status": {"observedGeneration": 1, "candidates": [entry]}})
    where = ("-n", cluster.namespace, "--subresource=status", "--type=merge", "--patch", patch)
    cluster.server.kubectl("patch", "audit", "nightly-bert", *where)
    ended = assay(capsys, "report", "nightly", *here, "--out", str(page))
    assert (ended.code, ended.out) == (0, f"{page}\n")
    assert "finite at /layer/Mul" in page.read_text()
    assert f"assay report nightly-bert -n {cluster.namespace}" in page.read_text()


def test_a_plan_is_priced_by_what_was_measured(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    establish(cluster.server.kubectl, CRD.with_name("accuracysweeps.yaml"), how=())
    meta = {"name": "priced", "namespace": cluster.namespace}
    cluster.server.kubectl.apply(sweep() | {"metadata": meta})
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps(sweep() | {"metadata": meta}))
    ended = assay(capsys, "plan", "-f", str(file), "--measured")
    assert (ended.code, "has held a GPU to its end yet: give --cell-seconds" in ended.err) == (64, True)
    there = cluster.server.kubectl.json("get", "sweep", "priced", "-n", cluster.namespace)
    owner = {"apiVersion": "assay.dev/v1alpha1", "kind": "AccuracySweep", "name": "priced", "controller": True}
    # Each has three candidates, two of which need a GPU; of an audit that goes on only one has been on it.
    for model, seconds, over in (("bert", 4000, True), ("old", 200, True), ("older", 300, True), ("vit", 90, False)):
        name = f"priced-{model}"
        made = {"place": model, "cells": {"fp16": "0" * 16}, "spec": "0" * 16, "run": "r"}
        about = {
            "name": name, "labels": {"assay.dev/sweep": "priced"}, "annotations": {ANNOTATION_CELLS: json.dumps(made)},
            "ownerReferences": [{**owner, "uid": there["metadata"]["uid"]}],
        }  # fmt: skip
        cluster.server.kubectl.apply(audit() | {"metadata": meta | about})
        entries = [{"name": "fp16", "state": "Finished", "gpuSeconds": seconds}]
        complete = {"type": "Complete", "status": str(over), "reason": "Passed", "message": "", "observedGeneration": 1,
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
        patch = json.dumps({"status": {"observedGeneration": 1, "candidates": entries, "conditions": [complete]}})
        where = ("-n", cluster.namespace, "--subresource=status", "--type=merge", "--patch", patch)
        cluster.server.kubectl("patch", "audit", name, *where)
    ended = assay(capsys, "plan", "-f", str(file), "--measured")
    # Two models, two candidates on a GPU, two products: four cells of bert, and four of vit at the median of all.
    price = "at 150 to 2000 GPU seconds a cell, by the medians of 1 of 2 models, 150 for the others: 2.39 GPU hours"
    assert f"{price} where every cell has changed" in ended.out


def test_no_such_sweep_is_told_as_one(cluster: Cluster, capsys: Capture) -> None:
    said = refused(assay(capsys, "report", "nobody", "--sweep", "-n", cluster.namespace), 64)
    assert f"sweep nobody in namespace {cluster.namespace} does not exist: see `kubectl get sweeps" in said
    assert "'../x' is no name of a sweep" in refused(assay(capsys, "report", "../x", "--sweep"), 64)
    said = refused(assay(capsys, "report", "nobody", "--sweep", "--candidate", "x"), 64)
    assert "leave out --sweep" in said
