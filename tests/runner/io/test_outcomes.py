"""Whose move it is, as an exit code and one sentence."""

from __future__ import annotations

import errno

import pytest

from assay_api.report import Verdict
from assay_runner.cli import run_command
from assay_runner.cli.failures import complain, exit_code
from assay_runner.errors import AuditError, Internal, InvalidInput, Unavailable, as_audit_error

PASSED, FAILED, UNKNOWN = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
WRONG, AWAY, BUG = InvalidInput("x"), Unavailable("x"), Internal("x")


@pytest.mark.parametrize(
    ("verdict", "failures", "code"),
    [
        (PASSED, [], 0),
        (FAILED, [], 1),
        (UNKNOWN, [], 2),
        (UNKNOWN, [AWAY], 69),
        (FAILED, [AWAY], 1),
        (UNKNOWN, [WRONG], 64),
        (FAILED, [WRONG, AWAY], 64),
        (FAILED, [BUG, WRONG, AWAY], 70),
    ],
)
def test_the_exit_code_of_a_run(verdict: Verdict, failures: list[AuditError], code: int) -> None:
    assert exit_code(verdict, failures) == code


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (WRONG, 64, "x"),
        (MemoryError(), 69, "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/scratch/x"), 69, "disk full at /scratch/x"),
        (KeyError("name"), 70, "a bug in Assay (KeyError: 'name')"),
        (ValueError("two\nlines"), 70, "a bug in Assay (ValueError: two lines)"),
    ],
)
def test_every_error_is_one_sentence(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, words: str
) -> None:
    assert complain(error) == code == as_audit_error(error).exit_code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"assay: {words}")


def test_the_traceback_is_for_who_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(["validate", "-f", "/nowhere/audit.yaml"]) == 64
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ASSAY_DEBUG", "1")
    assert run_command(["validate", "-f", "/nowhere/audit.yaml"]) == 64
    assert "Traceback" in capsys.readouterr().err
