"""`assay screen` as a user runs it: what it prints, writes and ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from assay_api.model import to_wire
from assay_api.names import TERMINATION_MESSAGE_BYTES
from assay_api.screening import DeviceClass, DeviceEntry, ScreenReport
from assay_runner.cli import run_command
from assay_runner.report.screen_page import render_screen
from assay_runner.screening.told import condition, termination_message
from tests.lab.processes import wait_until
from tests.models import embedding, loaded, mlp


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return loaded(mlp(), tmp_path).path


@pytest.fixture
def assay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process; those that scan are processes of their own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, **env: str) -> Done:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = run_command(["screen", *map(str, words)])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


def test_three_stand_ins_are_screened_recorded_and_told(assay: Run, model: Path, tmp_path: Path) -> None:
    told = tmp_path / "termination"
    few = ("--runs", 50, "--heat", 0)
    done = assay(
        model, "--devices", 3, *few, "--record", "right.json", ASSAY_TERMINATION_MESSAGE=str(told), NODE_NAME="worker-1"
    )
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.splitlines()[-1])
    assert page == tmp_path / "assay-out" / "screen" / "screen.html"
    report = ScreenReport.model_validate_json((page.parent / "screen.json").read_text())
    assert (report.host, report.rule, report.emulated, str(report.verdict)) == ("worker-1", "majority", True, "Passed")
    assert [entry.runs for entry in report.devices] == [58] * 3
    text = page.read_text()
    assert "The CPU stood in for GPUs" in text
    assert "healthy" not in text + done.stdout
    message = json.loads(told.read_text())
    assert (message["verdict"], message["named"], message["condition"]["status"]) == ("Passed", [], "False")
    # One alone is held against the record; without, nothing can be said of it.
    assert assay(model, *few, "--digest", "right.json").returncode == 0
    alone = assay(model, *few)
    assert alone.returncode == 2
    assert "nothing else to hold it against" in alone.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gone.onnx",), 64, "gone.onnx is no file"),
        (("none.onnx", "--devices", "0"), 64, "a number of stand-ins, 1 to 64, got '0'"),
        (("none.onnx", "--devices", "GPU-1"), 64, "a number of stand-ins, 1 to 64, got 'GPU-1'"),
        (("none.onnx", "--data", "nowhere"), 64, "nowhere is no folder"),
        (("none.onnx", "--runs", "0"), 64, "takes a whole number from 1 on, got '0'"),
        (("none.onnx", "--heat", "nan"), 64, "takes a number of seconds, got 'nan'"),
        (("none.onnx", "--digest", "none.onnx"), 64, "none.onnx is no record of answers"),
        (("none.onnx", "--out", "none.onnx/there"), 64, "none.onnx"),
        (("none.onnx", "--plugin", "x.so"), 64, "--plugin is of a TensorRT plan"),
        (("engine.plan", "--plugin", "x.so"), 64, "x.so is no file: name a plugin library"),
        (("engine.plan",), 69, "there is no nvidia-smi here"),
    ],
)
def test_wrong_input_ends_in_one_sentence(
    words: tuple[str, ...], code: int, said: str, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model.rename(tmp_path / "none.onnx")
    (tmp_path / "engine.plan").write_bytes(b"plan")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        ended = run_command(["screen", *words, *(() if "--runs" in words else ("--runs", "2")), "--seconds", "1"])
    except SystemExit as wrong:
        ended = int(wrong.code or 0)
    assert ended == code
    assert said in capsys.readouterr().err


def test_what_cannot_be_run_at_all_is_the_users_to_mend(assay: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x00" * 100)
    broken = assay("broken.onnx", "--runs", 1)
    assert (broken.returncode, len(broken.stderr.strip().splitlines()[-1]) > 20) == (64, True)
    data = tmp_path / "data"
    data.mkdir()
    empty = assay(model, "--data", data, "--runs", 1)
    assert (empty.returncode, "has no .npz file" in empty.stderr) == (64, True)
    np.savez(data / "a.npz", other=np.zeros((1, 8), np.float32))
    other = assay(model, "--data", data, "--runs", 1)
    assert other.returncode == 64, other.stdout + other.stderr
    assert "Traceback" not in other.stderr
    np.savez(data / "a.npz", x=np.zeros((3, 8), np.float32))
    assert assay(model, "--data", data, "--runs", 1, "--heat", 0).returncode == 2
    # No verdict of before stands where a screening came to nothing.
    assert assay("broken.onnx").returncode == 64
    assert not list((tmp_path / "assay-out" / "screen").iterdir())


def test_whole_numbers_are_made_up_within_any_table(assay: Run, tmp_path: Path) -> None:
    path = loaded(embedding(), tmp_path).path
    done = assay(path, "--devices", 3, "--runs", 1, "--heat", 0, "--batch", 2)
    assert done.returncode == 0, done.stderr


def report(devices: int, verdict: str, state: str = "Scanned") -> ScreenReport:
    kind = to_wire(DeviceClass(product="NVIDIA <b>", driver="580", ecc="Enabled"))
    entries = [
        {"device": f"GPU-{n:036d}", "kind": kind, "state": state, "verdict": verdict, "message": "said"}
        for n in range(devices)
    ]
    fields = {
        "version": "1",
        "subject": "p",
        "sha256": "0" * 64,
        "inputs": "0",
        "host": "n",
        "made": "2026-01-01T00:00:00Z",
    }
    whole = {**fields, "rule": "none", "verdict": verdict, "message": "x" * 3000, "devices": entries}
    return ScreenReport.model_validate_json(json.dumps(whole))


@pytest.mark.parametrize(("verdict", "status"), [("Passed", "False"), ("Failed", "True"), ("Inconclusive", "Unknown")])
def test_a_termination_message_is_small_and_has_the_condition(verdict: str, status: str) -> None:
    text = termination_message(report(500, verdict))
    assert len(text) <= TERMINATION_MESSAGE_BYTES
    told = json.loads(text)
    assert told["counts"]["named"] == (500 if verdict == "Failed" else 0)
    assert told["condition"] == condition(report(500, verdict))
    assert (told["condition"]["type"], told["condition"]["status"]) == ("GpuAnswersWrong", status)


def test_the_page_escapes_what_it_shows() -> None:
    page = render_screen(report(2, "Failed")).decode()
    assert "NVIDIA &lt;b&gt;" in page
    assert DeviceEntry.model_fields.keys() >= {"device", "verdict"}


def test_a_screening_that_is_stopped_leaves_no_process_behind(model: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "assay_runner", "screen", str(model), "--runs", "100000000", "--out", str(tmp_path)]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def workers() -> list[int]:
        found = set[str]()
        for each in Path(f"/proc/{running.pid}/task").glob("*/children"):
            # Threads come and go.
            with suppress(OSError):
                found |= set(each.read_text().split())
        return list(map(int, found))

    wait_until(lambda: len(workers()) == 1, "a worker", 60)
    (worker,) = workers()
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143, err
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the worker to go", 30)


def test_sources_that_are_not_installed_screen_too(model: Path, tmp_path: Path) -> None:
    """As on a machine without network, where packages lie in a folder and the sources beside it."""
    packages, root = tmp_path / "site", Path(__file__).parents[2]
    packages.mkdir()
    for path in Path(np.__file__).parents[1].iterdir():
        if not path.name.startswith("assay"):
            (packages / path.name).symlink_to(path)
    lying = os.pathsep.join(map(str, (root / "crds" / "src", root / "runner" / "src", packages)))
    words = ["-S", "-m", "assay_runner", "screen", str(model), "--devices", "3", "--runs", "2", "--heat", "0"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": lying}
    done = subprocess.run([sys.executable, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "assay-out" / "screen" / "screen.json").read_text())["version"] == "unknown"
    words = ["-S", "-m", "assay_runner", "--version"]
    done = subprocess.run([sys.executable, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "assay unknown\n"), done.stderr
