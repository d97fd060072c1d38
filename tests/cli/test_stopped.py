"""The command as a process: told to stop at any moment, started without its standard streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.audits import document, good, spec, write
from tests.s3.middleman import in_front_of

WAYS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """A test run that was itself told to ignore a signal (nohup, a job in the background) would pass that on."""
    before = {number: signal.getsignal(number) for number, _, _ in WAYS}
    for number in before:
        if before[number] is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def started(folder: Path, *python: str, **changes: object) -> subprocess.Popen[str]:
    scratch = folder / "scratch"
    scratch.mkdir()
    file = write(folder, document(spec(**changes)))
    keys = {"ASSAY_SCRATCH": str(scratch), "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    return subprocess.Popen(
        [sys.executable, *python, "-m", "assay_runner", "run", "-f", file, "--out", str(folder / "out")],
        env={**os.environ, **keys}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stopped_at(process: subprocess.Popen[str], mark: str, number: signal.Signals) -> tuple[int, list[str]]:
    """The exit code and what was said after the mark, where the signal came."""
    assert process.stderr is not None
    for line in process.stderr:
        if mark in line:
            break
    process.send_signal(number)
    said = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
    return process.wait(30), said


@pytest.mark.parametrize(("number", "code", "word"), WAYS)
@pytest.mark.parametrize("module", ["pydantic_core", "yaml", "numpy._core.multiarray", "onnx.onnx_cpp2py_export"])
def test_a_request_to_stop_while_loading_is_no_bug(
    tmp_path: Path, number: signal.Signals, code: int, word: str, module: str
) -> None:
    good(tmp_path)
    with started(tmp_path, "-X", "importtime") as process:
        ended, said = stopped_at(process, module, number)
    assert ended == code, said
    assert said[-1:] == [f"assay: {word}"]
    assert "a bug in Assay" not in " ".join(said)
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize(("number", "code", "word"), WAYS)
def test_a_request_to_stop_at_work_leaves_no_scratch_files(
    tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    good(tmp_path)
    with in_front_of(9) as silent:
        silent.silent = True
        storage = {"endpoint": silent.endpoint}
        with started(tmp_path, storage=storage, model={"uri": "s3://bucket/model.onnx"}) as process:
            ended, said = stopped_at(process, "fetch", number)
    assert (ended, said[-1:]) == (code, [f"assay: {word}"])
    assert not list((tmp_path / "scratch").iterdir())


def test_a_request_after_the_verdict_changes_nothing(tmp_path: Path) -> None:
    """Unloading takes a while, and its exit code is read all the same."""
    good(tmp_path)
    at_exit = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGTERM)"
    words = ["run", "-f", write(tmp_path, document(spec())), "--out", str(tmp_path / "out")]
    program = f"{at_exit}; import sys; sys.argv[1:] = {words}; from assay_runner.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == str(tmp_path / "out" / "report.html")


def test_what_a_process_was_told_to_ignore_it_ignores(tmp_path: Path) -> None:
    """As under nohup."""
    good(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started(tmp_path) as process:
            ended, _ = stopped_at(process, "golden", signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("limit", "code"), [(1.0, 0), (-0.0, 1)])
def test_a_closed_stream_changes_no_verdict(tmp_path: Path, closed: str, limit: float, code: int) -> None:
    good(tmp_path)
    fp16 = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}
    file = write(tmp_path, document(spec(candidates=[fp16], checks=[{"outputDrift": {"maxAbs": limit}}])))
    words = [sys.executable, "-m", "assay_runner", "run", "-f", file, "--out", str(tmp_path / "out")]
    ended = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert "assay: " not in ended.stderr
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


POSTPONED = """
import os, signal, sys
from assay_runner import interruption

interruption.install()
try:
    with interruption.postponed():
        os.kill(os.getpid(), signal.SIGTERM)
        while not interruption.came():
            pass
        print("went on")
    print("never")
except KeyboardInterrupt:
    sys.exit(interruption.told())
"""


IMPORTING = """
import signal, sys
from assay_runner import interruption

class Asking:
    def find_spec(self, *_):
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, sys._getframe(1))

interruption._AGAIN_SECONDS = 3600.0
interruption.install()
sys.meta_path.insert(0, Asking())
try:
    import colorsys
    print("imported; again in an hour:", signal.getitimer(signal.ITIMER_REAL)[0] > 0)
    signal.raise_signal(signal.SIGALRM)
    print("never")
except KeyboardInterrupt:
    sys.exit(interruption.told())
"""


def test_a_request_while_the_interpreter_has_its_locks_of_imports_waits_for_them() -> None:
    """As at a signal that comes just then: a lock that stays taken would let whoever imports wait for ever."""
    ended = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (143, "assay: terminated\n")
    assert ended.stdout == "imported; again in an hour: True\n"


def test_a_request_within_a_library_that_calls_back_waits_for_its_end() -> None:
    ended = subprocess.run([sys.executable, "-c", POSTPONED], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "went on\n", "assay: terminated\n")
