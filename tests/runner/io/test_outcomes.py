"""Whose move it is, as an exit code and one sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay_api.report import Verdict
from assay_runner import capacity
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


@pytest.mark.parametrize(
    ("limit", "words", "option"),
    [
        ("AS", "", ""),
        ("AS", "ballast = mmap.mmap(-1, 900 << 20)", "ulimit -v"),
        ("DATA", "", ""),
        ("DATA", "ballast = mmap.mmap(-1, 900 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)", "ulimit -d"),
    ],
)
def test_what_a_library_makes_of_a_full_memory_is_no_bug_of_ours(limit: str, words: str, option: str) -> None:
    """As pydantic's `SystemError: error return without exception set`: told by where the process stands."""
    lines = [
        "import mmap, resource, sys",
        f"resource.setrlimit(resource.RLIMIT_{limit}, (1 << 30, 1 << 30))",
        "from assay_runner.cli.failures import complain",
        words,
        "sys.exit(complain(SystemError('error return without exception set')))",
    ]
    keys = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=keys, capture_output=True, text=True, check=False
    )
    assert told.returncode == (69 if option else 70), told.stderr
    assert "SystemError: error return without exception set" in told.stderr
    assert told.stderr.startswith("assay: memory is short" if option else "assay: a bug in Assay")
    assert f"({option})" in told.stderr or not option


@pytest.mark.parametrize(
    ("status", "limits", "told"),
    [
        ("VmPeak:\t 900 kB\nVmData:\t 10 kB\n", {"-v": 1 << 20, "-d": 1 << 20}, "ulimit -v"),
        ("VmPeak:\t 700 kB\nVmSize:\t 900 kB\nVmData:\t 900 kB\n", {"-v": 1 << 20}, ""),
        ("VmPeak:\t 700 kB\nVmData:\t 900 kB\n", {"-v": 1 << 20, "-d": 1 << 20}, "ulimit -d"),
        ("VmPeak:\t 900 kB\n", {}, ""),
        ("VmPeak: much\n", {"-v": 1 << 20}, ""),
        ("\n", {"-v": 1 << 20}, ""),
        (None, {"-v": 1 << 20}, ""),
    ],
    ids=["mapped", "once less", "data", "no limit", "garbage", "nothing", "no /proc"],
)
def test_a_limit_is_reached_by_what_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str | None, limits: dict[str, int], told: str
) -> None:
    monkeypatch.setattr(capacity, "limits_set", lambda: limits)
    if status is not None:
        (tmp_path / "status").write_text(status)
    assert capacity.limit_reached(tmp_path / "status") == told


def test_the_traceback_is_for_who_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(["validate", "-f", "/nowhere/audit.yaml"]) == 64
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ASSAY_DEBUG", "1")
    assert run_command(["validate", "-f", "/nowhere/audit.yaml"]) == 64
    assert "Traceback" in capsys.readouterr().err
