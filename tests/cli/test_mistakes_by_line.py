"""All mistakes of a file in one round, in the order of its lines: of its text, of its fields, and duplicates."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.audits import assay, write

WRONG = """\
apiVersion: assay.dev/v1alpha1
kind: AccuracyAudit
metadata: {name: other, name: mixed}
spec:
  model: {uri: file:///m.onnx}
  model: {uri: file:///n.onnx}
  dataset:
    uri: file:///d.npz
    batch: "32"
    lables: label
    lables: label
  candidates:
    - {name: a, backend: onnxruntime, precision: fp61}
    - {name: a, backend: onnxruntime, precision: fp16, precision: fp32}
    - {name: b, backend: tensorrt, precision: fp16, build: {optimisationLevel: 3}, layers: {nodes: x}}
  checks:
    - finite: {}
    - finite: {}
    - outputdrift: {snr: 17}
    - outputDrift: {snrr: 17, cosine: 2024-13-45}
  artifacts: {uri: s4://bucket/x}
"""
TOLD = (
    "line 3, column 25: key 'name' stands twice, first in line 3",
    "line 6, column 3: key 'model' stands twice, first in line 5",
    "line 9: spec.dataset.batch: must be a whole number, not text (got '32'): write it without quotes",
    "line 11, column 5: key 'lables' stands twice, first in line 10",
    "line 11: spec.dataset.lables: unknown field; did you mean 'labels'?",
    "line 13: spec.candidates[0].precision: ",
    "line 14, column 56: key 'precision' stands twice, first in line 14",
    "line 14: spec: duplicate name 'a' in candidates",
    "line 15: spec.candidates[2].layers: must be a list, not a mapping",
    "line 15: spec.candidates[2].build.optimisationLevel: unknown field; did you mean 'optimizationLevel'?",
    "line 18: spec: finite stands twice in checks",
    "line 19: spec.checks[2].outputdrift: unknown check; there are ",
    "line 20, column 39: '2024-13-45' is no timestamp",
    "line 20: spec.checks[3].outputDrift.snrr: unknown field; did you mean 'snr'?",
    "line 21: spec.artifacts.uri: ",
)


def test_every_mistake_of_a_file_is_told_once_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, WRONG))
    assert ended.code == 64
    lines = ended.out.splitlines()
    assert len(lines) == len(TOLD), ended.out
    for line, told in zip(lines, TOLD, strict=True):
        assert line.startswith(f"mixed: {told}")
    assert "did you mean 'outputDrift'?" in ended.out
    [sentence] = ended.complaints
    text = [told for told in TOLD if ", column " in told]
    assert sentence.endswith(f"audit.yaml: {'; '.join(text)}; correct the YAML there")


def test_a_run_tells_the_first_of_them_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "run", "-f", write(tmp_path, WRONG))
    assert ended.code == 64
    [sentence] = ended.complaints
    assert sentence.count("audit.yaml") == 1
    assert all(told in sentence for told in TOLD[:5])
    assert sentence.endswith(" more, which `assay validate` lists")
    assert "…" not in sentence


@pytest.mark.parametrize("end", ["  x: [1, 2\n", "  \tx: 1\n", '  x: "a\n', "  x: *nothing\n"])
@pytest.mark.parametrize("command", ["validate", "run"])
def test_what_stands_before_the_end_of_the_yaml_is_told_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, end: str
) -> None:
    whole = WRONG.replace("mixed", "first").replace("name: other, ", "")
    ended = assay(capsys, command, "-f", write(tmp_path, f"{whole}---\n{WRONG}{end}"))
    assert ended.code == 64
    [sentence] = ended.complaints
    assert "correct the YAML there; line 6, column 3: key 'model' stands twice, first in line 5" in sentence


def test_the_same_key_in_another_mapping_or_merged_is_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """\
apiVersion: assay.dev/v1alpha1
kind: AccuracyAudit
metadata: {name: fine}
spec:
  model: {uri: file:///m.onnx}
  dataset: {uri: file:///d.npz}
  candidates:
    - &a {name: a, backend: onnxruntime, precision: fp32}
    - {<<: *a, name: b}
    - {name: c, <<: [*a, *a]}
  artifacts: {uri: file:///out/}
"""
    ended = assay(capsys, "validate", "-f", write(tmp_path, text))
    assert (ended.code, ended.out) == (0, "fine: ok\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n? [b]\n: 1\na: 2\n", ("line 2, column 3: a list is no key", "line 4, column 1: key 'a' stands twice")),
        ("1: a\n0x1: b\nc: !!seq d\n", ("line 2, column 1: key 1 stands twice", "expected a list, and 'd' is none")),
        ("a: {b: 1, b: 2, b: 3}\n", ("column 11: key 'b' stands twice", "column 17: key 'b' stands twice")),
        ("'a': 1\n\"a\": 2\n---\na: 1\na: 2\n", ("line 2, column 1: key 'a'", "line 5, column 1: key 'a'")),
        ("- {a: 1, a: 2}\n", ("line 1, column 10: key 'a' stands twice",)),
        ("a: !!python/name:os.system x\nb: 1\nb: 2\n", ("could not determine", "line 3, column 1: key 'b'")),
        ("<<: 3\na: 1\na: 2\n", ("expected a mapping or list of mappings for merging", "line 3, column 1: key 'a'")),
    ],
)
def test_mistakes_of_the_text_are_told_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: tuple[str, ...]
) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, text))
    assert ended.code == 64
    [sentence] = ended.complaints
    for part in told:
        assert sentence.count(part) == 1, sentence


def test_thousands_of_duplicates_take_no_time_and_no_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, "a: 1\n" * 9000))
    assert ended.code == 64
    assert len(ended.out.splitlines()) == 100
    assert "and 92 more" in ended.complaints[0]


def test_thousands_of_unknown_fields_are_told_in_little_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its line, and no more work is done for it than to look it up."""
    fields = "".join(f"  lables{n}: 1\n" for n in range(6000))
    long = f"  ? '{'k.' * 100_000}'\n  : 1\n"
    start = time.process_time()
    ended = assay(capsys, "validate", "-f", write(tmp_path, WRONG + fields + long))
    assert "mixed: line 6021: spec.lables5999: unknown field" in ended.out
    assert time.process_time() - start < 10


@pytest.mark.parametrize("value", ["{NVIDIA-H200: 1}", "[a, b]"])
@pytest.mark.parametrize(
    "place", ["  target: {gpuProducts: [VALUE, VALUE]}\n", "  target: {gpuProducts: [a, VALUE]}\n"]
)
def test_what_is_no_value_in_a_list_of_values_is_told_as_that(
    place: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not looked for among those that stand there: it cannot be."""
    ended = assay(capsys, "validate", "-f", write(tmp_path, WRONG + place.replace("VALUE", value)))
    assert ended.code == 64
    assert "line 22: spec.target.gpuProducts[1]: must be a string, not a " in ended.out


def test_a_list_of_named_things_may_have_names_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, WRONG.replace("{name: a,", "{name: {b: 1},")))
    assert ended.code == 64
    assert "spec.candidates[0].name: must be " in ended.out, ended.out


def test_a_control_character_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = assay(capsys, "validate", "-f", write(tmp_path, "a: 1\nb: \x01\n"))
    assert "audit.yaml: line 2: not YAML (" in ended.complaints[0]
