"""What cannot be audited ends in one sentence, at once, and betrays no credential."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.data import AUDITS, DATASETS, MODELS, audit
from tests.e2e.place import Room, condition, secret

WRONG_KEY = "wrong-but-secret-0123456789abcdef"
FP32 = ("fp32",)


@dataclass(frozen=True)
class Case:
    """A mistake: the spec that makes it, the reason it ends with, words of its sentence, whether it is tried again."""

    spec: dict[str, Any]
    reason: str
    words: tuple[str, ...]
    storage: dict[str, Any] = field(default_factory=dict)
    tries: bool = False


MODEL = f"s3://{MODELS}/digits-cnn.onnx"
INVALID = "InvalidInput"
# Somebody may be about to mend it outside the spec: it is tried again until then. All of their Pods start at once.
SOON = {"pendingDeadlineSeconds": 30}
CASES = {
    "wrong-sha256": Case({"model": {"uri": MODEL, "sha256": "0" * 64}}, INVALID, ("sha256", "digits-cnn.onnx")),
    "missing-model": Case(
        {"model": {"uri": f"s3://{MODELS}/nobody.onnx"}, **SOON},
        "ConfigError",
        ("nobody.onnx",),
        tries=True,
    ),
    "truncated-model": Case({"model": {"uri": f"s3://{MODELS}/truncated.onnx"}}, INVALID, ("truncated.onnx",)),
    "missing-data": Case(
        {"dataset": {"uri": f"s3://{DATASETS}/none/", "labels": "label"}, **SOON}, "ConfigError", ("none/",), tries=True
    ),
    "nan-in-data": Case(
        {"dataset": {"uri": f"s3://{DATASETS}/nan.npz", "labels": "label"}}, INVALID, ("NaN", "image", "nan.npz")
    ),
    "wrong-key": Case({**SOON}, "ConfigError", ("credential",), storage={"secretRef": {"name": "wrong"}}, tries=True),
    "missing-secret": Case(
        {**SOON},
        "ConfigError",
        ('secret "nobody" not found',),
        storage={"secretRef": {"name": "nobody"}},
    ),
}


@pytest.fixture(scope="module")
def applied(shared: Room) -> Room:
    """Every mistake at once: they need not wait for each other."""
    inside = shared.place.inside
    shared.apply(secret("wrong", shared.name, inside.access_key, WRONG_KEY))
    audits = []
    for name, case in CASES.items():
        made = audit(name, inside, *FP32, **case.spec)
        made["spec"]["storage"] = {"endpoint": inside.endpoint, "secretRef": {"name": "assay-s3"}} | case.storage
        audits.append(made)
    shared.apply(*audits)
    return shared


@pytest.mark.parametrize("name", CASES)
def test_mistake_stalls_with_one_sentence(applied: Room, name: str) -> None:
    case = CASES[name]
    found = applied.wait(name, "Stalled", 120)
    stalled = condition(found, "Stalled")
    assert stalled["reason"] == case.reason
    for word in case.words:
        assert word.lower() in stalled["message"].lower()
    assert "\n" not in stalled["message"]
    assert "Traceback" not in stalled["message"]
    assert "verdict" not in found["status"]
    assert condition(found, "Passed")["status"] == "Unknown"
    assert case.tries or len(applied.objects("pods", f"assay.dev/audit={name}")) <= 1
    events = applied.objects("events", field=f"involvedObject.name={name}")
    assert events
    assert case.tries or "Retrying" not in {event["reason"] for event in events}


def test_refused_at_admission(shared: Room) -> None:
    wrong = audit("refused", shared.place.inside, *FP32, colour="blue")
    done = shared.place.kubectl.attempt(
        "apply", "--validate=strict", "--namespace", shared.name, "-f", "-", stdin=json.dumps(wrong)
    )
    assert 'unknown field "spec.colour"' in done.stderr


def test_credentials_are_nowhere(applied: Room) -> None:
    place = applied.place
    for name in CASES:
        applied.wait(name, "Stalled", 120)
    seen = [place.kubectl("get", "audits,jobs,pods,events", "--all-namespaces", "-o", "yaml"), place.operator_log()]
    for pod in place.kubectl.json("get", "pods", "--all-namespaces", "-l", "assay.dev/managed=true")["items"]:
        where = (pod["metadata"]["name"], "--namespace", pod["metadata"]["namespace"])
        seen.append(place.kubectl.attempt("logs", *where).stdout)
    client = place.s3.client()
    for listed in client.get_paginator("list_objects_v2").paginate(Bucket=AUDITS):
        for entry in listed.get("Contents", ()):
            body = client.get_object(Bucket=AUDITS, Key=entry["Key"])["Body"].read()
            seen.append(entry["Key"] + body.decode(errors="replace"))
    assert any("digits-cnn.onnx" in text for text in seen)
    for key in (place.inside.secret_key, WRONG_KEY):
        assert not [text for text in seen if key in text]
