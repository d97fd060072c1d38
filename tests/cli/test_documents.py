"""Audit files: each mistake is refused with its place, by exit code 64 and one line."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.audits import assay, document, spec, write
from tools.generate import REPORT_SCHEMA

EXAMPLES = Path(__file__).parents[2] / "examples"

TENSORRT = {"name": "trt", "backend": "tensorrt", "precision": "fp16"}

GOOD = yaml.safe_dump(document(spec()))


def changed(**changes: Any) -> str:
    return yaml.safe_dump(document(spec(**changes)))


BAD_FILES: list[tuple[str, str, str]] = [
    ("empty", "", "audit.yaml: empty; give an AccuracyAudit"),
    ("only comments", "# nothing\n---\n", "audit.yaml: empty"),
    ("tab", "a:\n\t- b", "line 2, column 1: found character '\\t' that cannot start any token"),
    ("unclosed", "a: [1, 2", "line 1, column 9: expected ',' or ']'"),
    ("twice", GOOD.replace("kind:", "apiVersion: assay.dev/v1alpha1\nkind:"), "key 'apiVersion' stands twice"),
    ("twice deep", "a:\n  b: 1\n  b: 2\n", "line 3, column 3: key 'b' stands twice"),
    ("python tag", "a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ("control", "a: \x01", "not YAML"),
    ("no number", "kind: !!int ''", "line 1, column 7: '' is no int"),
    ("only a sign", "kind: !!int +", "'+' is no int"),
    ("no float", "kind: !!float ''", "'' is no float"),
    ("no truth", "kind: !!bool foo", "'foo' is no bool"),
    ("no time", "kind: !!timestamp foo", "'foo' is no timestamp"),
    ("no date", "kind: 2024-13-45", "'2024-13-45' is no timestamp"),
    ("no mapping", "kind: !!map foo", "expected a mapping"),
    ("list as mapping", "kind: !!map [a, b]", "expected a mapping"),
    ("hexadecimal", f"kind: 0x{'f' * 4000}", "is a number of more than 200 characters"),
    ("digits", f"kind: {'9' * 9000}", "is a number of more than 200 characters"),
    ("bits", f"kind: {'9' * 100}", "is a number of more than 64 bits"),
    ("itself", "spec: &s {model: *s}", "line 1, column 18: 's' stands inside itself"),
    ("itself in a list", "spec: &s [*s]", "'s' stands inside itself"),
    ("itself merged", "spec: &s {<<: *s}", "'s' stands inside itself"),
    ("many values", "- a\n" * 200_000, "more than 20000 values"),
    ("many documents", "---\n" * 110_000, "more than 100000 values in all; split the file"),
    ("base 60", f"kind: 1{':1' * 500_000}", "'1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:…' is a number of more than 200"),
    ("base 60 with a point", f"kind: 1{':1' * 400_000}.5", "is a number of more than 200 characters"),
    ("long tag", f"kind: !{'a' * 900_000} 1", "could not determine a constructor for the tag '!aaaa"),
    ("long alias", f"kind: *{'a' * 900_000}", "found undefined alias 'aaaa"),
    ("long key twice", f'? "{"k" * 400_000}"\n: 1\n? "{"k" * 400_000}"\n: 2\n', "kkkk…' stands twice"),
    ("half a character", GOOD.replace("an-audit", '"\\ud800"'), "'\\ud800' holds half a character"),
    ("half a character as key", '"a\\udc00": 1', "holds half a character"),
    ("large", "#" * (1 << 20) + "\n", "audit.yaml has more than 1.0 MiB"),
    ("deep", "a: " + "[" * 200 + "]" * 200, "nested too deeply"),
    ("deep by aliases", "\n".join(f"- &a{n} [[[[*a{n - 1}]]]]" if n else "- &a0 [x]" for n in range(60)), "too deeply"),
]


def bomb(link: str = "[{}]", levels: int = 9, start: str = "[x]") -> str:
    """Lists of nine aliases of lists of nine aliases."""
    lines = [f"l0: &l0 {start}"]
    lines += [f"l{n}: &l{n} {link.format(', '.join([f'*l{n - 1}'] * 9))}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "unknown keys": bomb(),
    "apiVersion": bomb() + "apiVersion: *l8\n",
    "spec": bomb() + GOOD.replace("spec:", "was:") + "spec: *l8\n",
    "keys": bomb() + "? *l8\n: 1\n",
    "merged": bomb("{{<<: [{}]}}", start="{a: 1}"),
}


@pytest.mark.parametrize("command", ["validate", "run", "plan"])
@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_stands_for_billions_of_values_is_refused_at_once(
    tmp_path: Path, command: str, content: str
) -> None:
    """In a process of its own: what hangs here is killed."""
    words = [sys.executable, "-m", "assay_runner", command, "-f", write(tmp_path, content)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 64, ended.stderr
    assert "more than 20000 values, with aliases counted" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_aliases_and_merges_of_an_ordinary_size_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merged = GOOD.replace("  - backend:", "  - &one\n    backend:").replace(
        "  checks:", "  - {<<: *one, name: another}\n  checks:"
    )
    assert "*one" in merged
    ended = assay(capsys, "validate", "-f", write(tmp_path, merged))
    assert (ended.code, ended.out) == (0, "an-audit: ok\n")


def test_what_is_quoted_is_quoted_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = GOOD.replace("kind: AccuracyAudit", f"kind: {'x' * 5000}").replace("an-audit", "A" * 5000)
    ended = assay(capsys, "validate", "-f", write(tmp_path, content))
    assert ended.code == 64
    assert max(len(line) for line in ended.out.splitlines()) < 300


@pytest.mark.parametrize("key", ["k" * 400_000, "k " * 400_000, "k\n" * 100_000], ids=["word", "words", "lines"])
def test_a_long_key_is_quoted_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    more = f"? {json.dumps(key)}\n: 1\n"
    for content in (GOOD + more, GOOD.replace("- finite: {}", f"- ? {json.dumps(key)}\n    : {{}}")):
        ended = assay(capsys, "validate", "-f", write(tmp_path, content))
        assert ended.code == 64
        assert 0 < len(ended.out) < 2000
    assert "spec.checks" in ended.out


def test_values_are_counted_by_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [GOOD.replace("an-audit", f"a{number}") for number in range(1000)]
    ended = assay(capsys, "validate", "-f", write(tmp_path, "---\n".join(many)))
    assert (ended.code, ended.out) == (0, "".join(f"a{number}: ok\n" for number in range(1000)))


def test_a_character_in_two_halves_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.dumps(document(spec(), metadata={"name": "an-audit", "annotations": {"mood": "\U0001f600"}}))
    assert "\\ud83d\\ude00" in content
    assert assay(capsys, "validate", "-f", write(tmp_path, content)).code == 0


def test_a_name_that_cannot_be_printed_is_no_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, GOOD.replace("an-audit", '"a\\nb: ok"')))
    assert (ended.code, ended.out.count("\n")) == (64, 1)
    assert ended.out.startswith("document 1: line 4: metadata.name: ")


@pytest.mark.parametrize("command", ["validate", "run", "plan"])
@pytest.mark.parametrize(("content", "sentence"), [(c, s) for _, c, s in BAD_FILES], ids=[n for n, _, _ in BAD_FILES])
def test_what_is_no_yaml_is_named_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: str, sentence: str
) -> None:
    ended = assay(capsys, command, "-f", write(tmp_path, content))
    assert ended.code == 64
    assert len(ended.complaints) == 1
    assert sentence in ended.complaints[0]
    assert len(ended.complaints[0]) < 300 + len(str(tmp_path))
    assert "Traceback" not in ended.err


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


def test_the_plan_says_which_candidates_share_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = [TENSORRT, {**TENSORRT, "name": "bf16", "precision": "bf16"}]
    file = write(tmp_path, changed(candidates=two, candidatesPerJob=8))
    ended = assay(capsys, "plan", "-f", file)
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "together_1 together golden 1 any" in lines
    assert "bf16 candidate golden, together_1 1 any" in lines
    assert "3 tasks, 1 GPUs in all, at most 1 at once (maxParallel: 4)" in lines
    said = "together_1 audits trt, bf16 in one Job, and what it leaves unanswered gets one of its own"
    assert said in lines
    here = assay(capsys, "plan", "-f", file, "--backend", "onnxruntime")
    assert "together" not in here.out
    wrong = assay(capsys, "validate", "-f", write(tmp_path, changed(candidatesPerJob=0)))
    assert wrong.code == 64
    assert "spec.candidatesPerJob: input should be greater than or equal to 1" in wrong.out


def test_the_plan_counts_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = {"gpuProducts": ["NVIDIA-H200", "NVIDIA-L4"], "resources": {"nvidia.com/gpu": 2}}
    content = changed(candidates=[TENSORRT, spec()["candidates"][0]], target=target, maxParallel=1)
    ended = assay(capsys, "plan", "-f", write(tmp_path, content))
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert lines[1:-1] == [
        "TASK KIND AFTER GPUS GPU PRODUCT",
        "golden golden - 0 -",
        "trt@NVIDIA-H200 candidate golden 2 NVIDIA-H200",
        "trt@NVIDIA-L4 candidate golden 2 NVIDIA-L4",
        "fp32 candidate golden 0 -",
        "summary summary golden, trt@NVIDIA-H200, trt@NVIDIA-L4, fp32 0 -",
        "5 tasks, 4 GPUs in all, at most 2 at once (maxParallel: 1)",
        "2 builds per tensorrt candidate: the engine and, beside it, a probe that shows tensors (finite)",
        "more only where a check fails inside a fused layer, outputs differ, or a probe cannot be built whole",
    ]


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([{"outputDrift": {}}, {"latency": {}}, {"fp16Range": {}}], "1 build per tensorrt candidate: the engine"),
        (
            [{"finite": {}}, {"layerDrift": {"tensors": "all"}}, {"extraOutput": {}}, {"runToRun": {}}],
            "4 builds per tensorrt candidate: the engine and, beside it, a probe that shows tensors (finite, "
            "layerDrift), the layers alone (layerDrift), an engine with one more output (extraOutput)",
        ),
    ],
)
def test_the_plan_tells_which_builds_checks_cost_and_share(
    checks: list[dict[str, Any]], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed(candidates=[TENSORRT], checks=checks)))
    assert ended.out.splitlines()[-3] == told


def test_the_plan_of_what_needs_no_engine_tells_of_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed()))
    assert "builds per" not in ended.out


def test_the_plan_tells_what_a_repair_may_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remedies = {"precision": {}, "calibration": {}, "budget": {"builds": 12, "minutes": 30}}
    ended = assay(capsys, "plan", "-f", write(tmp_path, changed(candidates=[TENSORRT], remedies=remedies)))
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert "repair repair golden, trt 1 any" in lines
    assert "4 tasks, 2 GPUs in all, at most 1 at once (maxParallel: 4)" in lines
    assert lines[-2] == (
        "a repair (calibration, precision) only where a candidate fails: at most 12 builds, 2000 emulations and 30 "
        "min; searched with 50% of the samples, judged on the others"
    )


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


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "schema")
    assert ended.code == 0
    schema = json.loads(ended.out)
    assert "outputDrift" in schema["properties"]["spec"]["properties"]["checks"]["items"]["properties"]
    assert assay(capsys, "schema", "audit").out == ended.out


def test_the_schema_of_a_report_is_the_one_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "schema", "report")
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads(REPORT_SCHEMA.read_text())


@pytest.mark.parametrize("words", [[], ["frob"], ["run"], ["run", "-f", "x", "--backend", "cuda"], ["--frob"]])
def test_wrong_usage_ends_with_64(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    ended = assay(capsys, *words)
    assert ended.code == 64
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["run", "-f", "x", "--junit", "y"],
            "unrecognized arguments: --junit y; did you mean '--out'?; see assay run --help",
        ),
        (["run", "-f", "x", "--cadidate", "y"], "did you mean '--candidate'?; see assay run --help"),
        (["baseline", "show", "--nonsense-of-mine", "y"], "see assay baseline show --help"),
        (["plan", "-f", "x", "--backend", "tensorrt"], "without --backend each candidate is run by the backend that"),
        (["--frob"], "see assay --help"),
    ],
)
def test_wrong_usage_names_the_command_and_what_comes_close(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    [sentence] = assay(capsys, *words).complaints
    assert told in sentence


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_is_help(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    ended = assay(capsys, *words)
    assert ended.code == 0
    assert "assay" in ended.out


@pytest.mark.parametrize("words", [["--help"], ["validate", "-f", str(EXAMPLES / "digits" / "digits-cnn.yaml")]])
def test_quick_commands_load_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom assay_runner.cli import run_command\n"
        f"try:\n    run_command({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'onnxruntime', 'onnx', 'boto3', 'botocore', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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
