"""Lines of a task, for people and for collectors."""

from __future__ import annotations

import json

import pytest

from assay_runner.cli.failures import say
from assay_runner.log_lines import log_line


def test_text_stays_as_people_read_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("ASSAY_LOG_FORMAT", raising=False)
    monkeypatch.setenv("ASSAY_TASK", "{}")
    say("no model")
    assert capsys.readouterr().err == "assay: no model\n"
    assert log_line("golden: 3/4") == "golden: 3/4"


def test_a_command_of_a_person_is_text_whatever_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_LOG_FORMAT", "json")
    monkeypatch.delenv("ASSAY_TASK", raising=False)
    assert log_line("no model", "assay: no model") == "assay: no model"


@pytest.mark.parametrize("task", ["no json", "{}", "[1]", '{"audit": "team/digits", "run": "r", "key": "fp16"}'])
def test_json_says_of_what_it_is_also_where_the_task_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    monkeypatch.setenv("ASSAY_LOG_FORMAT", "json")
    monkeypatch.setenv("ASSAY_TASK", task)
    monkeypatch.setenv("ASSAY_TRACE", "abc")
    say("no\nmodel \x1b[31m", "error")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["message"], line["level"], line["trace"]) == ("no model \\x1b[31m", "error", "abc")
    if "team" in task:
        assert (line["audit"], line["run"], line["task"]) == ("team/digits", "r", "fp16")
