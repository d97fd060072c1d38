"""Exit codes under pipes, full streams, odd encodings, tiny limits: the run's own, 69, 141, and 1 by no accident."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.audits import document, good, spec, write

PASSES, BREACHES = {"outputDrift": {"cosine": 0.9}}, {"outputDrift": {"snr": 90}}
FP16 = {"name": "fp16", "backend": "onnxruntime", "precision": "fp16"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good audit, one that is breached, one that is missing."""
    folder = tmp_path_factory.mktemp("place")
    good(folder)
    (folder / "scratch").mkdir()
    for name, check in (("passes", PASSES), ("breaches", BREACHES)):
        write(folder, document(spec(candidates=[FP16], checks=[check])))
        (folder / "audit.yaml").rename(folder / f"{name}.yaml")
    return folder


def shell(folder: Path, line: str, **environment: str) -> tuple[int, str]:
    """The exit code of a line in a shell that tells the first failure of a pipe, and what came out."""
    told = ran(folder, line, **environment)
    assert list((folder / "scratch").iterdir()) == []
    return told


def ran(folder: Path, line: str, **environment: str) -> tuple[int, str]:
    """The same, whatever it leaves behind."""
    program = f"{shlex.quote(sys.executable)} -m assay_runner"
    text = f"set -o pipefail; {line.replace('ASSAY', program)}"
    keys = {**os.environ, "ASSAY_SCRATCH": str(folder / "scratch"), **environment}
    ended = subprocess.run(["bash", "-c", text], cwd=folder, env=keys, capture_output=True, check=False)
    return ended.returncode, (ended.stdout + ended.stderr).decode("utf-8", "surrogateescape")


LINES = [
    ("nobody reads a verdict", "ASSAY run -f passes.yaml --out a 2>/dev/null | true", 141, ""),
    # Of more than a pipe holds: a few lines may all be written before who reads one of them is gone.
    ("the first line is read", "ASSAY schema report | head -1", 141, ""),
    ("nobody reads a breach", "ASSAY run -f breaches.yaml --out c 2>/dev/null | true", 141, ""),
    ("nobody reads what is valid", "ASSAY validate -f passes.yaml | true", 141, ""),
    ("nobody reads a comparison", "ASSAY run -f passes.yaml --out r >/dev/null 2>&1 && ASSAY diff r r | true", 141, ""),
    ("nobody reads help", "ASSAY --help | true", 141, ""),
    ("asides have no room", "ASSAY run -f passes.yaml --out d 2>/dev/full >/dev/null", 0, ""),
    ("asides of a breach have no room", "ASSAY run -f breaches.yaml --out e 2>/dev/full >/dev/null", 1, ""),
    ("an error has no room", "ASSAY run -f absent.yaml --out f 2>/dev/full", 64, ""),
    ("nobody reads asides", "ASSAY run -f passes.yaml --out g 2> >(true) >/dev/null", 0, ""),
    ("a verdict has no room", "ASSAY run -f passes.yaml --out h >/dev/full", 69, "standard output cannot be written"),
    ("help has no room", "ASSAY --help >/dev/full", 69, "standard output cannot be written"),
    ("a schema has no room", "ASSAY schema >/dev/full", 69, "no space left on device"),
    ("wrong usage has no room", "ASSAY nonsense >/dev/full 2>&1", 64, ""),
]


@pytest.mark.parametrize(("line", "code", "said"), [line[1:] for line in LINES], ids=[line[0] for line in LINES])
def test_a_stream_decides_no_verdict(place: Path, line: str, code: int, said: str) -> None:
    ended, out = shell(place, line)
    assert ended == code, out
    assert said in out
    assert "Traceback" not in out
    assert "BrokenPipe" not in out


def test_a_path_that_an_encoding_lacks_is_printed_in_escapes(place: Path) -> None:
    code, out = shell(place, "ASSAY run -f passes.yaml --out é 2>/dev/null", PYTHONIOENCODING="ascii")
    assert code == 0
    assert out.splitlines()[-1].endswith("\\xe9/report.html")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ASSAY run -f passes.yaml --out $'a\\xffb'", "a\\udcffb is no UTF-8 text"),
        ("cp -r . $'../c\\xff' && cd $'../c\\xff' && ASSAY run -f passes.yaml", "is no UTF-8 text"),
        ("mkdir gone && cd gone && rmdir ../gone && ASSAY run -f ../passes.yaml", "the current folder was removed"),
        ("mkdir left && cd left && rmdir ../left && ASSAY diff a b", "the current folder was removed"),
    ],
    ids=["out", "folder", "removed", "removed-diff"],
)
def test_a_folder_that_has_no_name_in_text_is_refused_at_once(place: Path, line: str, said: str) -> None:
    code, out = shell(place, line)
    assert (code, said in out, "golden" in out) == (64, True, False), out


RUN, INIT = "run -f passes.yaml --out limited", "init model.onnx data -o drafted.yaml --force"
VALIDATE = "validate -f passes.yaml"


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        *((RUN, limit) for limit in ("-n 5", "-n 6", "-n 9", "-f 1", "-f 16")),
        # Each lets one more library in, and the next fails in words of its own.
        *((RUN, f"-v {kib}") for kib in (100_000, 170_000, 200_000, 209_000, 225_000, 300_000)),
        *((RUN, f"-d {kib}") for kib in (60_000, 130_000)),
        (INIT, "-v 100000"),
        # NumPy's OpenBLAS ends the process with 1.
        (VALIDATE, "-v 100000"),
    ],
)
def test_a_tiny_limit_is_unavailable_or_enough(place: Path, command: str, limit: str) -> None:
    code, out = ran(place, f"(ulimit {limit}; ASSAY {command}; echo $? >&2) 2>&1 | cat", OPENBLAS_NUM_THREADS="1")
    # Where there is no memory to remove its scratch with, the next run does.
    assert list((place / "scratch").iterdir()) == [] or shell(place, "ASSAY run -f passes.yaml --out next")[0] == 0
    assert code == 0
    ended = int(out.split()[-1])
    # A library may abort where an allocation fails: then that candidate is Inconclusive, and the limit is named.
    aborted = ended == 2 and "of memory are not enough: raise the limit" in out
    assert ended in (0, 69) or aborted, out
    assert "Traceback" not in out
    assert "a bug in Assay" not in out
    assert ended == 0 or "assay: " in out
