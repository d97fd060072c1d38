"""What a pipeline that reads junit.xml alone sees of a run that ended without a report."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.cli.audits import assay, document, good, run, spec, write
from tests.unit.report.test_ctrf import checked


@pytest.mark.parametrize("command", ["run", "repair"])
@pytest.mark.parametrize("case", ["no file", "no YAML", "a field", "no model", "a candidate"])
def test_wrong_input_is_an_error_in_junit(
    command: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    write(tmp_path, "a: [" if case == "no YAML" else document(spec(model={"uri": "file://./none.onnx"})))
    if case == "a field":
        write(tmp_path, document(spec(dataset=None)))
    file = tmp_path / ("none.yaml" if case == "no file" else "audit.yaml")
    words = ("--candidate", "none") if case == "a candidate" else ()
    ended = assay(capsys, command, "-f", str(file), "--out", str(tmp_path / "new" / "out"), *words)
    assert ended.code == 64
    root = ElementTree.parse(tmp_path / "new" / "out" / "junit.xml").getroot()
    assert (root.get("tests"), root.get("errors"), root.get("failures")) == ("1", "1", "0")
    [error] = root.iter("error")
    assert error.get("type") == "InvalidInput"
    assert f"assay: {error.get('message')}" == ended.complaints[0]
    (test,) = checked((tmp_path / "new" / "out" / "ctrf.json").read_bytes())["results"]["tests"]
    assert (test["status"], test["message"]) == ("failed", error.get("message"))


def test_each_check_has_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good(tmp_path)
    checks: list[dict[str, Any]] = [{"outputDrift": {}}, {"latency": {"runs": 300}}, {"runToRun": {}}]
    start = time.monotonic()
    assert run(tmp_path, capsys, checks=checks).code == 0
    took = time.monotonic() - start
    root = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    times = {case.get("name"): float(case.get("time", "0")) for case in root.iter("testcase")}
    assert times["runToRun"] > times["outputDrift"] > 0  # A new process is started for it.
    assert times["latency"] > 0
    assert sum(times.values()) <= took
    assert float(root.get("time", "0")) == pytest.approx(sum(times.values()), abs=0.01)


def test_it_goes_with_the_next_run_and_no_file_of_others_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good(tmp_path)
    assert run(tmp_path, capsys, model={"uri": "file://./none.onnx"}).code == 64
    assert run(tmp_path, capsys).code == 0
    assert ElementTree.parse(tmp_path / "out" / "junit.xml").getroot().get("errors") == "0"
    (tmp_path / "out" / "junit.xml").write_text("<testsuites/>")
    assert run(tmp_path, capsys, model={"uri": "file://./none.onnx"}).code == 64
    assert (tmp_path / "out" / "junit.xml").read_text() == "<testsuites/>"


def test_a_folder_that_cannot_be_written_changes_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    ended = assay(capsys, "run", "-f", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "out"))
    assert (ended.code, len(ended.complaints)) == (64, 1)
    assert (tmp_path / "out").read_text() == "a file"
