"""One file for CPU and GPU: what only an engine can answer is left for the GPU where an emulation stands in for it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.cli.audits import FP32, SAMPLES, TENSORRT, Ended, assay, document, good, report_of, spec, write
from tests.described import check_described

PLAN = {"name": "served", "backend": "tensorrt", "engine": {"uri": "file://./served.plan"}}
ENGINES_OWN = [{"achievedPrecision": {}}, {"latency": {"medianMs": 5}}]
BOTH = [{"finite": {}}, {"outputDrift": {}}, *ENGINES_OWN]
CPU = ("--backend", "onnxruntime")


def _run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, **changes: Any) -> Ended:
    good(folder)
    write(folder, document(spec(**{"candidates": [TENSORRT], "checks": BOTH, **changes})))
    return assay(capsys, "run", "-f", str(folder / "audit.yaml"), "--out", str(folder / "out"), *words)


def test_what_an_engine_alone_can_answer_is_left_and_the_rest_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = _run(tmp_path, capsys, *CPU)
    assert (ended.code, ended.complaints) == (0, [])
    report = report_of(tmp_path)
    check_described(report)
    [candidate] = report.candidates
    assert (report.verdict, candidate.verdict, candidate.samples) == ("Passed", "Passed", SAMPLES)
    assert [entry.check for entry in candidate.left] == ["achievedPrecision", "latency"]
    assert "medianMs" in candidate.left[1].message
    assert {f.check for f in report.findings} == {"finite", "outputDrift"}
    assert report.recommendation is not None
    assert report.recommendation.candidate == "trt"
    assert "achievedPrecision, latency left for the GPU" in report.recommendation.message


def test_a_pass_says_everywhere_what_it_says_nothing_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = _run(tmp_path, capsys, *CPU)
    page = re.sub(r"<[^>]+>", "", (tmp_path / "out" / "report.html").read_text())
    for text in (ended.out, page, (tmp_path / "out" / "trt" / "report.html").read_text()):
        assert (
            "within every limit that is judged here. Not judged here, left for the GPU: achievedPrecision of trt"
            in text
        )
        assert "within every limit." not in text
        assert "nothing was left open" not in text
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()[0]
    skipped = {case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None}
    assert skipped == {"achievedPrecision", "latency"}
    told = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert told["leftForTheGpu"] == "achievedPrecision, latency"
    assert told["latencyMedian"] == "not measured"  # An emulation's time must not stand beside an engine's.
    assert (suite.get("skipped"), suite.get("errors"), suite.get("failures")) == ("2", "0", "0")


def test_strict_asks_for_every_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, capsys, *CPU, "--strict").code == 2
    report = report_of(tmp_path)
    assert report.candidates[0].left == ()
    assert {f.check for f in report.findings if f.verdict == "Inconclusive"} == {"achievedPrecision", "latency"}
    assert "--strict" in report.reproduce


def test_a_limit_that_is_breached_here_fails_whatever_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [{"outputDrift": {"maxAbs": 1e-9}}, *ENGINES_OWN]
    ended = _run(tmp_path, capsys, *CPU, checks=checks)
    assert ended.code == 1
    assert "left for the GPU: achievedPrecision of trt" in ended.out


def test_latency_without_a_limit_is_not_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, capsys, *CPU, checks=[{"finite": {}}, {"latency": {}}]).code == 0
    assert report_of(tmp_path).candidates[0].left == ()


def test_where_every_check_is_left_nothing_has_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = _run(tmp_path, capsys, *CPU, checks=ENGINES_OWN)
    assert ended.code == 2
    assert "Inconclusive. Nothing could be judged here." in ended.out
    root = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert int(root.get("errors", "0")) > 0


def test_an_existing_plan_is_left_whole_and_the_others_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = _run(tmp_path, capsys, *CPU, candidates=[PLAN, TENSORRT])
    assert (ended.code, ended.complaints) == (0, [])
    report = report_of(tmp_path)
    check_described(report)
    assert [(c.name, str(c.verdict)) for c in report.candidates] == [("served", "Inconclusive"), ("trt", "Passed")]
    assert [entry.check for entry in report.candidates[0].left] == [None]
    assert "all of served" in ended.out
    assert report.recommendation is not None
    assert report.recommendation.candidate == "trt"
    suites = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert {suite.get("name") for suite in suites} == {"served", "trt"}
    assert [(s.get("errors"), s.get("skipped")) for s in suites] == [("0", "1"), ("0", "2")]


def test_plans_alone_are_inconclusive_and_strict_says_what_refuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path, capsys, *CPU, candidates=[PLAN]).code == 2
    assert report_of(tmp_path).candidates[0].left
    strict = _run(tmp_path, capsys, *CPU, "--strict", candidates=[PLAN, TENSORRT])
    assert (strict.code, strict.complaints[0][:24]) == (69, "assay: candidate served:")


def test_what_is_not_emulated_is_judged_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, capsys, *CPU, candidates=[FP32]).code == 2
    assert report_of(tmp_path).candidates[0].left == ()


def test_candidates_and_checks_are_selected_in_the_files_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--check", "outputDrift", "--check", "finite", "--candidate", "fp32")
    assert _run(tmp_path, capsys, *words, candidates=[TENSORRT, FP32]).code == 0
    report = report_of(tmp_path)
    assert [c.name for c in report.candidates] == ["fp32"]
    assert [f.check for f in report.findings] == ["finite", "outputDrift"]
    assert report.reproduce.endswith("--candidate fp32 --check outputDrift --check finite")
    assert _run(tmp_path, capsys, "--check", "runToRun", candidates=[FP32], checks=None).code == 0
    assert {f.check for f in report_of(tmp_path).findings} == {"runToRun"}


@pytest.mark.parametrize("command", ["run", "repair", "plan"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--candidate", "trt2"), "the audit has no candidate 'trt2': --candidate names one of trt, fp32"),
        (("--check", "latency "), "no check 'latency ': --check names one of finite, outputDrift, achievedPrecision"),
    ],
)
def test_an_unknown_name_is_told_with_those_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, words: tuple[str, str], told: str
) -> None:
    good(tmp_path)
    write(tmp_path, document(spec(candidates=[TENSORRT, FP32], checks=BOTH)))
    ended = assay(capsys, command, "-f", str(tmp_path / "audit.yaml"), *words)
    assert ended.code == 64
    assert told in ended.complaints[0]


def test_a_plan_on_the_cpu_needs_no_gpu_and_says_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    target = {"gpuProducts": ["H100", "H200"]}
    write(tmp_path, document(spec(candidates=[PLAN, TENSORRT], checks=BOTH, target=target)))
    file = str(tmp_path / "audit.yaml")
    assert "4 GPUs in all" in assay(capsys, "plan", "-f", file).out
    out = assay(capsys, "plan", "-f", file, *CPU).out
    assert "4 tasks, 0 GPUs in all" in out
    assert "left for the GPU, of trt: achievedPrecision: " in out
    assert "left for the GPU, of served: all: " in out
    assert "per tensorrt candidate" not in out
    assert "3 tasks" in assay(capsys, "plan", "-f", file, *CPU, "--candidate", "trt").out
    ended = assay(capsys, "run", "-f", file, "--out", str(tmp_path / "out"), *CPU)
    assert ended.code == 0
    assert report_of(tmp_path).run in out


def test_a_repair_under_emulation_leaves_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    write(tmp_path, document(spec(candidates=[TENSORRT], checks=BOTH)))
    words = ("-f", str(tmp_path / "audit.yaml"), "--out", str(tmp_path / "out"), *CPU)
    assert assay(capsys, "repair", *words).code == 0
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [entry["check"] for entry in kept["candidates"][0]["left"]] == ["achievedPrecision", "latency"]


def test_layers_held_wider_have_effect_under_emulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = {**TENSORRT, "name": "bf16", "precision": "bf16", "typing": "strong"}
    held = {**narrow, "name": "held", "layers": [{"nodes": "*", "precision": "fp32"}]}
    checks = [{"outputDrift": {"snr": 0}}, {"achievedPrecision": {}}]
    assert _run(tmp_path, capsys, *CPU, candidates=[narrow, held], checks=checks).code == 0
    found = {c.name: float(c.outputs[0].metrics["snr"].worst) for c in report_of(tmp_path).candidates}
    assert found["held"] > found["bf16"] + 20
