"""From `kubectl apply -f audit.yaml` to the verdict in the status and the report in S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from assay_api.names import STATUS_BYTES
from assay_api.report import Report, Verdict
from tests.e2e.data import AUDITS, CHECKS, MODELS, audit
from tests.e2e.place import Manifest, Place, Room, condition

CHECKED = {name for check in CHECKS for name in check}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@pytest.fixture(scope="module")
def applied(shared: Room) -> Room:
    """Two audits at once, of the digits in every precision that a CPU can emulate, and of a poisoned model."""
    model = {"uri": f"s3://{MODELS}/digits-cnn-overflow.onnx"}
    checks = [{"finite": {}}, {"labelAccuracy": {"metric": "top1", "keep": 0.98}}]
    shared.apply(
        audit("digits", shared.place.inside, *PRECISIONS),
        audit("poisoned", shared.place.inside, "fp16", "bf16", model=model, checks=checks),
    )
    return shared


@pytest.fixture(scope="module")
def digits(applied: Room) -> Manifest:
    """The digits audit, waited for."""
    return applied.wait("digits", "Complete", 240)


@pytest.fixture(scope="module")
def poisoned(applied: Room) -> Manifest:
    """The audit of the model with a tensor beyond the range of fp16, waited for."""
    return applied.wait("poisoned", "Complete", 180)


def fetch(place: Place, uri: str) -> bytes:
    """An object of S3 by its URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = place.s3.client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def reports(found: Manifest) -> Iterator[tuple[str, str]]:
    """(URI, sha256) of every report that a status names."""
    status = found["status"]
    yield status["report"]["uri"], status["report"]["sha256"]
    yield from ((c["reportUri"], c["reportSha256"]) for c in status["candidates"])


def test_audit_passes(digits: Manifest) -> None:
    status = digits["status"]
    assert {c["name"]: c["verdict"] for c in status["candidates"]} == dict.fromkeys(PRECISIONS, "Passed")
    assert status["verdict"] == "Passed"
    assert status["phase"] == "Complete"
    assert status["finished"] == "4/4"
    assert status["observedGeneration"] == digits["metadata"]["generation"] == 1
    states = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert states["Complete"] == states["Passed"] == states["Ready"] == ("True", "Passed")
    assert states["Stalled"][0] == states["Reconciling"][0] == "False"
    assert {c["name"] for c in status["candidates"] if c.get("emulated")} == {"fp16", "bf16", "int8"}
    assert status["recommendation"]["candidate"] in PRECISIONS
    assert len(json.dumps(status)) < STATUS_BYTES


def test_reports_in_s3_are_those_of_the_status(shared: Room, digits: Manifest) -> None:
    for uri, digest in reports(digits):
        body = fetch(shared.place, uri)
        assert hashlib.sha256(body).hexdigest() == digest
        report = Report.model_validate_json(body)
        assert report.verdict is Verdict.PASSED
        assert report.audit == f"{shared.name}/digits"
        assert report.run == digits["status"]["run"]
    summary = Report.model_validate_json(fetch(shared.place, digits["status"]["report"]["uri"]))
    assert {c.name for c in summary.candidates} == set(PRECISIONS)
    assert {key for keys in summary.images.values() for key in keys} == {"golden", *PRECISIONS}
    assert all("sha256:" in image for image in summary.images)
    assert all(c.samples == 797 for c in summary.candidates)
    assert {f.check for f in summary.findings} == CHECKED
    page = fetch(shared.place, digits["status"]["report"]["page"])
    assert b"<html" in page
    junit = digits["status"]["report"]["uri"].replace("report.json", "junit.xml")
    assert b"<testsuite" in fetch(shared.place, junit)


def test_candidates_that_share_a_job_are_told_as_if_each_had_its_own(shared: Room, digits: Manifest) -> None:
    shared.apply(audit("together", shared.place.inside, *PRECISIONS, candidatesPerJob=8))
    found = shared.wait("together", "Complete", 180)
    jobs = shared.objects("jobs", "assay.dev/audit=together")
    assert sorted(job["metadata"]["labels"]["assay.dev/kind"] for job in jobs) == ["golden", "summary", "together"]
    told = ("name", "state", "verdict", "message", "worst", "accuracy", "emulated", "typing", "achieved")
    alone, shares = (
        [{key: c.get(key) for key in told} for c in each["status"]["candidates"]] for each in (digits, found)
    )
    assert shares == alone
    for uri, digest in reports(found):
        assert hashlib.sha256(fetch(shared.place, uri)).hexdigest() == digest
    summary = Report.model_validate_json(fetch(shared.place, found["status"]["report"]["uri"]))
    assert {key for keys in summary.images.values() for key in keys} == {"golden", *PRECISIONS}
    assert "together_1: 4 of 4 candidates answered" in shared.kubectl("describe", "audit", "together")


def test_get_shows_the_verdict(shared: Room, digits: Manifest, poisoned: Manifest) -> None:
    lines = shared.kubectl("get", "audit").splitlines()
    header, rows = lines[0].split(), {line.split()[0]: line for line in lines[1:]}
    assert header[:3] == ["NAME", "VERDICT", "PHASE"]
    assert header[-1] == "MESSAGE"
    assert rows["digits"].split()[1:3] == ["Passed", "Complete"]
    assert rows["poisoned"].split()[1:3] == ["Failed", "Stalled"]
    assert "bn2.out" in rows["poisoned"]
    assert shared.kubectl("get", "assay", "-o", "name").split() == shared.kubectl("get", "audit", "-o", "name").split()


def test_describe_tells_the_story(shared: Room, digits: Manifest) -> None:
    story = shared.kubectl("describe", "audit", "digits").partition("Events:")[2]
    assert story.strip() != "<none>"
    assert "assay" in story
    assert "Passed" in story
    assert "Traceback" not in story


def test_applying_again_runs_nothing_again(shared: Room, digits: Manifest) -> None:
    before = {job["metadata"]["uid"] for job in shared.objects("jobs", "assay.dev/audit=digits")}
    assert "unchanged" in shared.apply(audit("digits", shared.place.inside, *PRECISIONS))
    shared.kubectl("label", "audit", "digits", "team=vision")
    shared.kubectl("patch", "audit", "digits", "--type=merge", "--patch", '{"spec": {"onBreach": "Report"}}')
    shared.kubectl("wait", "--for=jsonpath={.status.observedGeneration}=2", "audit/digits", "--timeout=120s")
    after = shared.wait("digits", "Complete", 30)
    assert after["status"]["run"] == digits["status"]["run"]
    assert after["status"]["completionTime"] == digits["status"]["completionTime"]
    assert {job["metadata"]["uid"] for job in shared.objects("jobs", "assay.dev/audit=digits")} == before


def test_overflow_is_named(shared: Room, poisoned: Manifest) -> None:
    status = poisoned["status"]
    assert (status["verdict"], status["phase"]) == ("Failed", "Stalled")
    assert condition(poisoned, "Complete")["reason"] == "Breached"
    assert condition(poisoned, "Stalled")["status"] == "True"
    assert condition(poisoned, "Passed")["status"] == "False"
    assert "bn2.out" in condition(poisoned, "Complete")["message"]
    by_name: dict[str, Any] = {c["name"]: c for c in status["candidates"]}
    assert by_name["fp16"]["worst"]["tensor"] == "bn2.out"
    assert by_name["fp16"]["worst"]["node"] == "bn2"
    assert by_name["bf16"]["verdict"] == "Passed"
    assert status["recommendation"]["candidate"] == "bf16"
    for uri, digest in reports(poisoned):
        assert uri.startswith(f"s3://{AUDITS}/{shared.name}/poisoned/{status['run']}")
        assert hashlib.sha256(fetch(shared.place, uri)).hexdigest() == digest
