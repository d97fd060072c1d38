"""Audit files: each mistake is refused with its place, by exit code 64 and one line."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.audits import assay, changed, document, spec, write

EXAMPLES = Path(__file__).parents[2] / "examples"

TENSORRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16"}

GOOD = changed()


BAD_DOCUMENTS: list[tuple[str, str, str]] = [
    ("list", "- a\n- b\n", "document 1: document 1: not a mapping, but a list"),
    ("text", "hello", "not a mapping, but text"),
    (
        "kind",
        GOOD.replace("kind: AccuracyAudit", "kind: Audit"),
        "kind: must be AccuracyAudit or AccuracySweep or GpuScreening, not 'Audit'",
    ),
    (
        "no kind",
        GOOD.replace("kind: AccuracyAudit\n", ""),
        "kind: must be AccuracyAudit or AccuracySweep or GpuScreening, and it is missing",
    ),
    ("version", GOOD.replace("v1alpha1", "v1"), "apiVersion: must be assay.dev/v1alpha1, not 'assay.dev/v1'"),
    ("no name", GOOD.replace("name: an-audit", "labels: {}"), "metadata.name: required, but missing"),
    ("number as name", GOOD.replace("name: an-audit", "name: 42"), "must be a string, and YAML reads 42 otherwise"),
    (
        "infinity",
        changed(checks=[{"outputDrift": {"maxAbs": float("inf")}}]),
        "checks[0].outputDrift.maxAbs: must be a finite",
    ),
    ("bad name", GOOD.replace("name: an-audit", "name: An Audit"), "metadata.name: 'An Audit' is no Kubernetes name"),
    ("no spec", yaml.safe_dump({**document({}), "spec": None}), "spec: required, but missing"),
    ("unknown field", changed(modle={"uri": "file:///m"}), "spec.modle: unknown field"),
    ("unknown top", yaml.safe_dump(document(spec(), extra=1)), "extra: unknown field"),
    (
        "two keys",
        changed(checks=[{"finite": {}, "runToRun": {}}]),
        "a check has exactly one key, its name; got finite, runToRun",
    ),
    ("unknown check", changed(checks=[{"finit": {}}]), "spec.checks[0].finit: unknown check"),
    ("bad parameter", changed(checks=[{"runToRun": {"runs": 0}}]), "spec.checks[0].runToRun.runs: "),
    (
        "parameters at odds",
        changed(checks=[{"metric": {"name": "bleu", "keep": 0.9, "atLeast": 1}}]),
        "spec.checks[0].metric: a metric is judged by keep",
    ),
    ("duplicate names", changed(candidates=[TENSORRT, TENSORRT]), "duplicate name 'trt' in candidates"),
    ("golden's name", changed(candidates=[{**TENSORRT, "name": "golden"}]), "give the candidate another name"),
    ("summary's name", changed(candidates=[{**TENSORRT, "name": "summary"}]), "give the candidate another name"),
    ("no candidates", changed(candidates=[]), "spec.candidates: needs at least 1, has 0"),
    ("bad uri", changed(model={"uri": "http://x/m.onnx"}), "spec.model.uri: "),
    ("wrong type", changed(dataset={"uri": "file:///d", "batch": "8"}), "spec.dataset.batch: "),
    (
        "int8 alone",
        changed(candidates=[{**TENSORRT, "precision": "int8"}]),
        "an int8 or fp8 candidate needs calibration",
    ),
    (
        "engine",
        changed(candidates=[{"name": "e", "backend": "tensorrt", "engine": {"uri": "s3://bbb/e"}, "typing": "weak"}]),
        "an existing plan is audited as it is",
    ),
    (
        "labels",
        changed(dataset={"uri": "file:///d"}, checks=[{"labelAccuracy": {"metric": "top1"}}]),
        "labelAccuracy needs labels",
    ),
    ("both goldens", changed(golden={"precision": "fp32", "uri": "file:///g"}), "golden takes exactly one of"),
]


@pytest.mark.parametrize(
    ("content", "sentence"), [(c, s) for _, c, s in BAD_DOCUMENTS], ids=[n for n, _, _ in BAD_DOCUMENTS]
)
def test_what_is_no_audit_is_named_by_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, sentence: str
) -> None:
    file = write(tmp_path, content)
    ended = assay(capsys, "validate", "-f", file)
    assert ended.code == 64
    assert len(ended.out.splitlines()) == 1
    assert sentence in ended.out
    run = assay(capsys, "run", "-f", file, "--out", str(tmp_path / "out"))
    assert run.code == 64
    assert len(run.complaints) == 1
    assert sentence.removeprefix("document 1: ") in run.complaints[0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ctrf.json", "junit.xml"]


def test_every_document_and_every_problem_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = document(spec(modle=1, checks=[{"finit": {}}]), metadata={"name": "other"})
    ended = assay(capsys, "validate", "-f", write(tmp_path, f"{GOOD}---\n{yaml.safe_dump(other)}"))
    assert ended.code == 64
    lines = ended.out.splitlines()
    assert lines[0] == "an-audit: ok"
    assert [line.partition(": unknown")[0] for line in lines[1:]] == [
        "other: line 35: spec.checks[0].finit",
        "other: line 42: spec.modle",
    ]


SCREENING: dict[str, Any] = {
    "apiVersion": "assay.dev/v1alpha1", "kind": "GpuScreening", "metadata": {"name": "l4"},
    "spec": {
        "plan": {"uri": "s3://engines/a.plan"}, "target": {"gpuProducts": ["NVIDIA-L4"]},
        "artifacts": {"uri": "s3://audits/"},
    },
}  # fmt: skip


def test_a_screening_is_validated_and_left_to_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, yaml.safe_dump(SCREENING)))
    assert assay(capsys, "validate", "-f", path).code == 0
    planned = assay(capsys, "plan", "-f", path)
    assert (planned.code, planned.out.strip()) == (0, "l4: a screening, which the nodes of its cluster decide upon")
    ran = assay(capsys, "run", "-f", path)
    assert ran.code == 64
    assert "l4 is a GpuScreening, which runs in a cluster: kubectl apply it there" in ran.err
    late = {**SCREENING["spec"], "schedule": {"cron": "61 * * * *"}, "plan": {"uri": "file://./a.plan"}}
    path = str(write(tmp_path, yaml.safe_dump({**SCREENING, "kind": "Screening", "spec": late})))
    told = assay(capsys, "validate", "-f", path)
    assert told.code == 64
    assert "kind: must be AccuracyAudit or AccuracySweep or GpuScreening, not 'Screening'" in told.out
    assert "spec.plan.uri: file://./a.plan is relative, which means nothing in a cluster: use s3://" in told.out
    assert "spec.schedule.cron" in told.out
    assert "heatSeconds" in assay(capsys, "schema", "screening").out


def test_run_takes_one_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "run", "-f", write(tmp_path, f"{GOOD}---\n{GOOD.replace('an-audit', 'other')}"))
    assert ended.code == 64
    assert "holds 2 audits (an-audit, other), and `assay run` takes one" in ended.complaints[0]


def test_what_kubectl_gave_out_is_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata: dict[str, Any] = {
        "name": "an-audit",
        "namespace": "ml",
        "uid": "x",
        "creationTimestamp": None,
        "managedFields": [],
    }
    given = document(spec(), metadata=metadata, status={"observedGeneration": 1})
    assert assay(capsys, "validate", "-f", write(tmp_path, given)).code == 0


@pytest.mark.parametrize(
    ("name", "sentence"), [("absent.yaml", "absent.yaml does not exist"), (".", "is a folder"), ("a\0b", "be read")]
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    ended = assay(capsys, "validate", "-f", str(tmp_path / name))
    assert ended.code == 64
    assert sentence in ended.complaints[0]


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
@pytest.mark.parametrize(("kind", "told"), [("pipe", "a named pipe"), ("device", "a device")])
def test_an_audit_is_a_regular_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str, told: str
) -> None:
    path = tmp_path / "audit.yaml"
    path.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(path)
    ended = assay(capsys, command, "-f", str(path))
    assert ended.code == 64
    assert ended.complaints == [
        f"assay: {path} is no regular file but {told}: put a file in its place, or name another"
    ]


def test_what_a_shell_hands_on_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, document(spec()))
    for line in (
        '"$0" -m assay_runner validate -f <(cat "$1")',
        'cat "$1" | "$0" -m assay_runner validate -f /dev/stdin',
    ):
        ended = subprocess.run(["bash", "-c", line, sys.executable, file], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (0, "an-audit: ok\n"), ended.stderr


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "audit.yaml").write_bytes(b"a: \xff\xfe")
    ended = assay(capsys, "validate", "-f", str(tmp_path / "audit.yaml"))
    assert "is not UTF-8 text (byte 3)" in ended.complaints[0]


def test_deep_nesting_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, "[" * 5000))
    assert ended.code == 64
    assert len(ended.complaints) == 1


def test_standard_input_is_a_file_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert assay(capsys, "validate", "-f", "-").out == "an-audit: ok\n"


OURS = [
    path
    for path in sorted(EXAMPLES.glob("**/*.yaml"))
    if re.findall(r"^apiVersion: ([^/\n]*)", path.read_text(), re.MULTILINE) == ["assay.dev"]
]
"""Examples of audits and sweeps: others are for GitOps tools, which have their own tests."""


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.name)
def test_the_examples_are_valid(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert assay(capsys, "validate", "-f", str(path)).code == 0


@pytest.mark.parametrize(
    ("remedies", "told"),
    [
        ({}, "remedies names none: write auto: {} for all that apply, or name some"),
        ({"auto": {}, "searchShare": 1}, "spec.remedies.searchShare"),
        ({"precise": {}}, "spec.remedies.precise: unknown field"),
        ({"precision": {"to": ["fp8"]}}, "spec.remedies.precision.to[0]"),
        ({"auto": {}, "budget": {"builds": 0}}, "spec.remedies.budget.builds"),
        ({"calibration": {"methods": ["mse", "mse"]}}, "spec.remedies.calibration"),
    ],
)
def test_remedies_that_mean_nothing_are_refused(
    remedies: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, changed(remedies=remedies)))
    assert ended.code == 64
    assert told in ended.out + ended.err


def test_one_round_tells_mistakes_that_hid_behind_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [{"finite": {}}, {"outputDrift": {"topK": 0, "snr": "17"}}, {"finite": {}, "latency": {}}, {"latncy": {}}]
    wrong = document(spec(checks=checks, model=None))
    wrong["metadata"]["name"] = "Not A Name"
    told = assay(capsys, "validate", "-f", write(tmp_path, wrong))
    assert told.code == 64
    for part in (
        "metadata.name: 'Not A Name'", "spec.model: ", "spec.checks[1].outputDrift.topK: ",
        "spec.checks[1].outputDrift.snr: ", "spec.checks[3].latncy: unknown check",
    ):  # fmt: skip
        assert told.out.count(part) == 1, part
    null = assay(capsys, "validate", "-f", write(tmp_path, document(spec(checks=[{"finite": None}]))))
    assert null.out.count("a check has exactly one key") == 1


def test_the_checks_of_a_sweep_are_told_in_the_same_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"template": {**spec(checks=[{"outputDrift": {"topK": 0}}]), "dataset": 3}, "modle": 1}
    sweep = document(body) | {"kind": "AccuracySweep"}
    told = assay(capsys, "validate", "-f", write(tmp_path, sweep))
    assert told.code == 64
    assert told.out.count("spec.template.checks[0].outputDrift.topK: ") == 1
    assert "spec.modle: " in told.out
