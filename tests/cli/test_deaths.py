"""What kills its process kills no audit: `assay` as a process whose steps crash, are killed, or never end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from assay_api.model import parse
from assay_api.report import Finding, Report, Verdict
from assay_runner.tasks.attempts import Attempt, nearly_full, passed_over
from tests.cli.audits import document, good, spec, write
from tests.cli.test_task import pod, tasks

ROOT: Final = str(Path(__file__).parents[2])
PATHS: Final = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH", ""))))
CRASH: Final = "import ctypes; ctypes.string_at(0)"
KILLED: Final = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
ABORTED: Final = "import os; os.abort()"
CUT: Final = (
    "import mmap, os; f = os.memfd_create('m'); os.ftruncate(f, 4096); m = mmap.mmap(f, 4096); os.ftruncate(f, 0); m[0]"
)
LEFT: Final = "import os; os._exit(3)"
# Imports on a busy machine show no sign of life for seconds either, and are none of it.
ENDLESS: Final = (
    "from assay_runner import journal; import time; assert journal.patience() == 60; journal.be_patient(3); "
    "time.sleep(1e6)"
)

FP32, FP16 = ({"name": name, "backend": "onnxruntime", "precision": name} for name in ("fp32", "fp16"))
CHECKS: Final = [{"finite": {}}, {"outputDrift": {"cosine": 0.9}}, {"batchInvariance": {}}]


def dying(*deaths: tuple[str, str, str]) -> str:
    """A program that is `assay`, but for methods that end it in a step or task: (method, how, names of open steps)."""
    return f"""
import sys
from assay_runner import journal
from assay_runner.__main__ import main
from tests.bench.counted import WhenLoaded

def deadly(module, kind, method, way, step):
    there = getattr(module, kind)
    was = getattr(there, method)
    def before(*words, **named):
        if set(step.split()) <= {{name for each in journal._HERE.steps for name in each.path}}:
            exec(way)
        return was(*words, **named)
    setattr(there, method, before)

for where, way, step in {deaths!r}:
    name, kind, method = where.split(":")
    # Only when the child loads it: nothing heavy is loaded before the fork.
    sys.meta_path.insert(0, WhenLoaded("assay_runner." + name, lambda m, t=(kind, method, way, step): deadly(m, *t)))
main()
"""


def ended(folder: Path, program: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "scratch").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": PATHS, "ASSAY_SCRATCH": str(folder / "scratch"), **env},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def audited(folder: Path, program: str, **changes: Any) -> tuple[subprocess.CompletedProcess[str], Report]:
    good(folder)
    changes = {"candidates": [FP16, FP32], "checks": CHECKS, **changes}
    file = write(folder, document(spec(**changes)))
    done = ended(folder, program, "run", "-f", file, "--out", str(folder / "out"))
    assert "Traceback" not in done.stderr
    assert list((folder / "scratch").iterdir()) == []
    return done, parse(Report, json.loads((folder / "out" / "report.json").read_bytes()))


def findings(report: Report, candidate: str) -> dict[str, Finding]:
    return {f.check: f for f in report.findings if f.candidate == candidate}


WAYS = [
    (CRASH, "ended the process by SIGSEGV, a crash in a library's own code"),
    (ABORTED, "ended the process by SIGABRT, a crash in a library's own code"),
    (KILLED, "was ended by SIGKILL, as where memory runs out: give it more (spec.target.resources)"),
    (
        CUT,
        "was ended by SIGBUS, as where a file that is read was cut short meanwhile: leave the files of model and data",
    ),
    (LEFT, "ended the process with status 3"),
]


@pytest.mark.parametrize(("way", "words"), WAYS)
def test_a_pass_that_dies_loses_what_it_measures_and_nothing_else(tmp_path: Path, way: str, words: str) -> None:
    done, report = audited(tmp_path, dying(("passes.tapped:TappedPass:add_part", way, "fp16")))
    assert done.returncode == 2, done.stderr
    found = findings(report, "fp16")
    assert {name: f.verdict for name, f in found.items()} == {
        "finite": Verdict.INCONCLUSIVE, "outputDrift": Verdict.PASSED, "batchInvariance": Verdict.PASSED,
    }  # fmt: skip
    assert found["finite"].message.startswith(f"showing the candidate's tensors {words}")
    assert {f.verdict for f in findings(report, "fp32").values()} == {Verdict.PASSED}
    assert f"assay: showing the candidate's tensors {words}" in done.stderr


@pytest.mark.parametrize("status", [0, 1, 2, 64, 127])
@pytest.mark.parametrize("command", ["run", "validate"])
def test_what_a_library_ends_the_process_with_is_no_answer(tmp_path: Path, command: str, status: int) -> None:
    """As OpenBLAS with 1, and the loader of threads' own data with 127, where memory is short."""
    good(tmp_path)
    file = write(tmp_path, document(spec(candidates=[FP16], checks=CHECKS)))
    # Of a module that every command loads.
    program = (
        "import os, sys\nfrom tests.bench.counted import WhenLoaded\n"
        f"sys.meta_path.insert(0, WhenLoaded('assay_runner.cli.documents', lambda _: os._exit({status})))\n"
        "from assay_runner.__main__ import main\nmain()\n"
    )
    done = ended(tmp_path, program, command, "-f", file)
    assert (done.returncode, done.stderr.count("\n")) == (69, 1), done.stderr
    assert f"assay: a library ended the process with status {status}: give it more memory" in done.stderr


def test_a_crash_under_a_limit_names_the_limit(tmp_path: Path) -> None:
    """A library that is not given memory aborts as often as it says so."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (64 << 30, 64 << 30))\n"
    program = limited + dying(("passes.tapped:TappedPass:add_part", ABORTED, "fp16"))
    done, report = audited(tmp_path, program, candidates=[FP16])
    assert done.returncode == 2, done.stderr
    words = "ended the process by SIGABRT, a crash in a library's own code, as where 65536 MiB (ulimit -v) of memory"
    assert findings(report, "fp16")["finite"].message.startswith(f"showing the candidate's tensors {words}")


def test_a_pass_that_never_ends_is_ended(tmp_path: Path) -> None:
    done, report = audited(
        tmp_path, dying(("passes.reruns:InvariancePass:result", ENDLESS, "fp16")), stallDeadlineSeconds=60
    )
    assert done.returncode == 2, done.stderr
    found = findings(report, "fp16")
    assert found["batchInvariance"].verdict is Verdict.INCONCLUSIVE
    words = "gave no sign of life for 3 s and was ended (spec.stallDeadlineSeconds)"
    assert found["batchInvariance"].message == f"running the same samples in other batches {words}"
    assert found["finite"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("where", "step", "words"),
    [
        ("builds.cache:BuildRequest:build", "fp16 Build", "building the candidate"),
        ("backends.sessions:OrtSession:run", "fp16 Serve", "running the candidate as it is served"),
    ],
)
def test_a_candidate_whose_process_dies_hides_no_other(tmp_path: Path, where: str, step: str, words: str) -> None:
    """Neither its report nor its breach; what was unmeasured is Inconclusive, and so is the run without a breach."""
    program = dying((where, CRASH, step))
    done, report = audited(tmp_path, program, checks=[{"outputDrift": {"maxAbs": 0.0}}])
    candidates = {c.name: c for c in report.candidates}
    assert (candidates["fp16"].verdict, candidates["fp32"].verdict) == (Verdict.INCONCLUSIVE, Verdict.PASSED)
    assert candidates["fp16"].error == f"{words} ended the process by SIGSEGV, a crash in a library's own code"
    assert done.returncode == 2, done.stderr
    breach = {**FP16, "name": "other"}
    again, report = audited(tmp_path, program, candidates=[FP16, breach], checks=[{"outputDrift": {"maxAbs": 0.0}}])
    assert again.returncode == 1, again.stderr
    assert [c.verdict for c in report.candidates] == [Verdict.INCONCLUSIVE, Verdict.FAILED]


def test_two_steps_that_die_are_both_passed_over(tmp_path: Path) -> None:
    first = ("passes.tapped:TappedPass:add_part", CRASH, "fp16")
    second = ("passes.reruns:InvariancePass:result", KILLED, "fp32")
    done, report = audited(tmp_path, dying(first, second))
    assert done.returncode == 2, done.stderr
    verdicts = {(f.candidate, f.check): f.verdict for f in report.findings}
    assert [key for key, verdict in verdicts.items() if verdict is Verdict.INCONCLUSIVE] == [
        ("fp16", "finite"), ("fp32", "batchInvariance"),
    ]  # fmt: skip


def test_a_golden_run_that_dies_ends_the_audit_with_one_sentence(tmp_path: Path) -> None:
    good(tmp_path)
    (tmp_path / "scratch").mkdir()
    file = write(tmp_path, document(spec(candidates=[FP32])))
    program = dying(("golden.run:Golden:__iter__", CRASH, "golden"))
    done = ended(tmp_path, program, "run", "-f", file, "--out", str(tmp_path / "out"))
    assert done.returncode == 69
    sentence = "assay: making the golden outputs ended the process by SIGSEGV, a crash in a library's own code"
    assert done.stderr.splitlines()[-1] == sentence
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_audit_from_a_pipe_is_read_once(tmp_path: Path) -> None:
    good(tmp_path)
    text = Path(write(tmp_path, document(spec(candidates=[FP16], checks=CHECKS)))).read_text()
    program = dying(("passes.tapped:TappedPass:add_part", CRASH, "fp16"))
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "-f", "-", "--out", "out"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": PATHS}, input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert (tmp_path / "out" / "report.json").is_file()


def test_a_death_while_unloading_changes_no_verdict(tmp_path: Path) -> None:
    good(tmp_path)
    program = f"import atexit\natexit.register(lambda: exec({CRASH!r}))\nfrom assay_runner.__main__ import main\nmain()"
    file = write(tmp_path, document(spec(candidates=[FP32])))
    done = ended(tmp_path, program, "run", "-f", file, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr


def test_a_task_in_a_pod_passes_over_what_kills_its_process(tmp_path: Path) -> None:
    good(tmp_path)
    plans = tasks(tmp_path, candidates=[FP16], checks=CHECKS)
    pod(tmp_path, plans["golden"])
    code, answer, log = pod(
        tmp_path, plans["fp16"], program=dying(("passes.tapped:TappedPass:add_part", CRASH, "fp16"))
    )
    assert (code, answer and answer.verdict) == (0, Verdict.INCONCLUSIVE), log
    assert answer is not None
    assert "showing the candidate's tensors ended the process by SIGSEGV" in answer.message


WHOLE_POD: Final = "import os, signal; os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)"


def test_a_pod_after_two_that_died_whole_in_one_step_passes_over_it(tmp_path: Path) -> None:
    """As when the kernel ends every process of a container; a single time may have been a node that went away."""
    good(tmp_path)
    plans = tasks(tmp_path, candidates=[FP16], checks=CHECKS)
    pod(tmp_path, plans["golden"])
    program = dying(("passes.reruns:InvariancePass:result", WHOLE_POD, "fp16"))
    for _ in range(2):
        assert pod(tmp_path, plans["fp16"], program=program)[:2] == (-9, None)
    code, answer, log = pod(tmp_path, plans["fp16"], program=program)
    assert (code, answer and answer.verdict) == (0, Verdict.INCONCLUSIVE), log
    report = parse(Report, json.loads((tmp_path / "out" / "fp16" / "report.json").read_bytes()))
    found = findings(report, "fp16")
    words = "ended its Pod twice without a word, as where memory runs out or a node goes away"
    assert found["batchInvariance"].message == f"running the same samples in other batches {words}"
    assert found["finite"].verdict is found["outputDrift"].verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("full", "suspect", "words"),
    [
        (True, (), "building ended its Pod when memory was nearly full: give it more (spec.target.resources)"),
        (False, ("fp16", "Build"), "building ended its Pod twice without a word"),
        (False, ("fp16", "Serve"), None),
        (False, (), None),
    ],
)
def test_a_step_is_to_blame_where_memory_was_full_or_a_second_pod_ended(
    full: bool, suspect: tuple[str, ...], words: str | None
) -> None:
    left = Attempt(task="t", open=("fp16", "Build"), words="building", full=full, suspect=suspect)
    found = passed_over(left)
    assert list(found) == ([("fp16", "Build")] if words else [])
    assert not words or found[("fp16", "Build")].startswith(words)


@pytest.mark.parametrize(
    ("most", "anon", "shmem", "full"),
    [("1000", 700, 101, True), ("1000", 700, 99, False), ("max", 10**12, 0, False), ("", 10**12, 0, False)],
)
def test_memory_is_full_by_what_processes_hold_not_by_what_is_cached(
    tmp_path: Path, most: str, anon: int, shmem: int, full: bool
) -> None:
    (tmp_path / "memory.max").write_text(f"{most}\n")
    (tmp_path / "memory.stat").write_text(f"anon {anon}\nfile 990\nshmem {shmem}\n")
    assert nearly_full(tmp_path) is full
    assert not nearly_full(tmp_path / "nowhere")
