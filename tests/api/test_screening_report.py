"""`assay report --screening` against a real API server by a real kubectl; reports on disk and in a real S3 server."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay_api.model import to_wire
from assay_runner.report.screen_page import render_screen
from tests.api.desk import bare
from tests.api.test_pipeline_commands import Cluster, Raw, ended, going
from tests.cli.audits import Ended, assay
from tests.lab.apiserver import ApiServer
from tests.lab.s3 import REGION, S3Server
from tests.unit.report.screenings import mixed

Capture = pytest.CaptureFixture[str]
CONTENT = json.dumps(to_wire(mixed())).encode()
NODES = {"nodes": 3, "waiting": 1, "running": 1, "scanned": 1, "skipped": 0, "hung": 0}


@pytest.fixture(scope="module")
def shared(apiserver: ApiServer) -> Iterator[Cluster]:
    cluster = Cluster(apiserver)
    yield cluster
    cluster.kube.own.connection.close()


@pytest.fixture
def cluster(shared: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster as the user's kubectl sees it; no display, no AWS environment, a temporary folder of the test's."""
    bare(shared.server, tmp_path, monkeypatch)
    return shared


def stored(base: str, content: bytes = CONTENT) -> Raw:
    """What a status says of a report in a folder."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"report": {"uri": f"{base}/screen.json", "page": f"{base}/screen.html", "sha256": sha256}}


def put(cluster: Cluster, status: Raw | None) -> str:
    name = f"h100-{uuid.uuid4().hex[:6]}"
    cluster.put(name, status, "screening")
    return name


def report(capsys: Capture, cluster: Cluster, name: str, *words: str) -> Ended:
    return assay(capsys, "report", name, "--screening", "-n", cluster.namespace, *words)


def page(done: Ended) -> str:
    assert done.code == 0, done.err
    return Path(done.out.splitlines()[-1]).read_text()


def refused(done: Ended, code: int) -> str:
    assert (done.code, done.out) == (code, ""), done.err
    (complaint,) = done.complaints
    assert "Traceback" not in done.err
    return complaint


def test_the_page_is_made_of_the_report_and_is_the_one_that_lies_beside_it(
    cluster: Cluster, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "screen.json").write_bytes(CONTENT)
    name = put(cluster, ended("Breached", verdict="Failed") | stored(f"file://{tmp_path}"))
    made = page(report(capsys, cluster, name))
    assert made == render_screen(mixed(), f"{cluster.namespace}/{name}").decode()
    assert f"kubectl annotate screening {name} -n {cluster.namespace}" in made
    out = tmp_path / "deep" / "page.html"
    assert page(report(capsys, cluster, name, "--no-open", "--out", str(out))) == made
    assert [each.name for each in out.parent.iterdir()] == ["page.html"]


def test_one_that_has_not_ended_has_a_page_that_says_so(cluster: Cluster, tmp_path: Path, capsys: Capture) -> None:
    unseen = put(cluster, None)
    told = page(report(capsys, cluster, unseen))
    assert "the operator has not looked at this spec yet" in told
    assert "None is known yet." in told
    waits = [{"node": "worker-2", "message": "waits until all of its 8 GPUs are free"}]
    name = put(cluster, going("1 of 3 nodes done") | {"nodes": NODES, "finished": "1/3", "unscanned": waits})
    told = page(report(capsys, cluster, name))
    for words in ("<span>Running</span>", "1 of 3 nodes done", "waits until all of its 8 GPUs are free", "1/3"):
        assert words in told
    # With a report of the run before, that is shown, and said to be of before.
    (tmp_path / "screen.json").write_bytes(CONTENT)
    cluster.tell(name, stored(f"file://{tmp_path}"), "screening")
    told = page(report(capsys, cluster, name))
    assert "This is the report of the run before, for another is asked for (Running): 1 of 3 nodes done" in told
    assert "worker-001" in told
    cluster.tell(name, ended("InvalidInput", "there is no such plan"), "screening")
    told = page(report(capsys, cluster, name))
    assert "none of the last one (its spec is wrong): there is no such plan" in told


def test_one_that_ended_without_a_report_says_why(cluster: Cluster, capsys: Capture) -> None:
    said = refused(report(capsys, cluster, put(cluster, ended("InvalidInput", "s3://p.plan does not exist"))), 64)
    assert "ended without a report: s3://p.plan does not exist" in said
    said = refused(report(capsys, cluster, put(cluster, ended("Inconclusive", "none could be screened"))), 69)
    assert "ended without a report: none could be screened" in said


def test_a_report_that_cannot_be_used_is_told_with_the_way_out(
    cluster: Cluster, tmp_path: Path, capsys: Capture
) -> None:
    base, file = f"file://{tmp_path}", tmp_path / "screen.json"
    name = put(cluster, ended("Passed", verdict="Passed") | stored(base))
    said = refused(report(capsys, cluster, name), 69)
    assert "is not at file://" in said
    assert "annotate the screening with a new assay.dev/rerun" in said
    file.write_bytes(CONTENT[:-1] + b" }")
    said = refused(report(capsys, cluster, name), 64)
    assert f"{base}/screen.json is not the report that the status of screening {name}" in said
    assert "its SHA-256 is another; annotate the screening with a new assay.dev/rerun to make it again" in said
    for content in (b"no JSON", b"{}", b'{"devices": 1, "rule": 2}', b"\xff\xfe", CONTENT.replace(b'"runs"', b'"ran"')):
        file.write_bytes(content)
        cluster.tell(name, stored(base, content), "screening")
        said = refused(report(capsys, cluster, name), 64)
        assert f"the report of screening {name} in namespace {cluster.namespace} is a damaged report" in said
        assert "assay.dev/rerun" in said
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_such_screening_and_words_that_do_not_go_together(cluster: Cluster, capsys: Capture) -> None:
    said = refused(report(capsys, cluster, "nobody"), 64)
    assert f"screening nobody in namespace {cluster.namespace} does not exist: see `kubectl get screenings" in said
    assert "'../x' is no name of a screening" in refused(report(capsys, cluster, "../x"), 64)
    assert "a screening has none: leave it out" in refused(report(capsys, cluster, "x", "--candidate", "fp16"), 64)
    done = report(capsys, cluster, "x", "--sweep")
    assert (done.code, "not allowed with argument --screening" in done.err) == (64, True), done.err


def test_a_reader_without_rights_is_told_which(
    cluster: Cluster, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.server.kubectl("create", "serviceaccount", "reader", "-n", cluster.namespace)
    kubeconfig = cluster.server.kubectl.as_service_account(cluster.namespace, "reader", tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert "ask for `get` on gpuscreenings.assay.dev" in refused(report(capsys, cluster, "x"), 64)


def test_a_report_in_s3_comes_by_the_endpoint_of_the_spec(
    cluster: Cluster, s3: S3Server, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"s3://{s3.bucket('reports')}/{uuid.uuid4().hex[:8]}"
    client = s3.client()
    client.put_object(Bucket="reports", Key=f"{base.rsplit('/', 1)[1]}/screen.json", Body=CONTENT)
    client.close()
    name = put(cluster, ended("Breached", verdict="Failed") | stored(base))
    cluster.merge(cluster.path("screening", name), {"spec": {"storage": {"endpoint": s3.endpoint, "region": REGION}}})
    cluster.tell(name, {"observedGeneration": 2}, "screening")
    monkeypatch.setenv("HOME", "/nonexistent")
    assert "no usable credentials to" in refused(report(capsys, cluster, name), 64)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.access.secret_key)
    assert "worker-001" in page(report(capsys, cluster, name, "--no-open"))
