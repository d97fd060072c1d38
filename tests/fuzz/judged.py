"""One run of a case in this process, and what is wrong with how it ended."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay_runner.cli import run_command
from tests.fuzz import oracles
from tests.fuzz.case import AUDIT, CANARY, DAMAGE, OUT, Case

MOST_SENTENCE: Final = 1500
MOST_MEMORY: Final = 1 << 30
"""Bytes by which a case of a few kilobytes may let the process grow."""
ENVIRONMENT: Final = {
    "ASSAY_RETRY_SECONDS": "0.2",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_CODES: Final = (0, 1, 2, 64, 69)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]")


@dataclass(frozen=True)
class Judged:
    """How a case ended.

    Attributes:
        code: exit code of the run.
        wrong: what is wrong with that; empty where nothing is.
        said: what it said on standard error, its end.
        seconds: that it took.
    """

    code: int
    wrong: str
    said: str
    seconds: float


def judged(case: Case, folder: Path) -> Judged:
    """Run a case in an empty folder, which is removed."""
    began = time.monotonic()
    place, scratch = folder / "case", folder / "scratch"
    place.mkdir(parents=True)
    scratch.mkdir()
    (folder / "secret").write_bytes(CANARY)
    before = resident(peak=False)
    forget_peak()
    case.lay_out(place)
    try:
        with chdir(place), environment({**ENVIRONMENT, "ASSAY_SCRATCH": str(scratch)}):
            code, said, wrong = _ran(case, place)
            grown = resident(peak=True) - before
            if grown > MOST_MEMORY:
                wrong = wrong or f"memory: grew by {grown >> 20} MiB"
            wrong = wrong or _after(code, said, case, place, scratch)
        return Judged(code, wrong, said[-3000:], time.monotonic() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ran(case: Case, place: Path) -> tuple[int, str, str]:
    """Exit code and standard error of the run, and what was wrong before."""
    run = ("run", "-f", AUDIT, "--out", OUT)
    if case.kind.startswith("document"):
        checked, said = command("validate", "-f", AUDIT)
        planned, told = command("plan", "-f", AUDIT)
        if wrong := _wrongly(checked, said, asked=(0, 64)) or _wrongly(planned, told):
            return checked, said + told, wrong
        code, said = command(*run)
        return code, said, "" if checked == 0 or code == checked else f"validate ends with {checked}, run with {code}"
    if DAMAGE not in case.files:
        return (*command(*run), "")
    first, said = command(*run)
    if first not in (0, 1, 2):
        return first, said, ""
    path = damage(place / OUT, json.loads((place / DAMAGE).read_bytes()))
    second, said = command(*run)
    if second == first or path is None:
        return second, said, ""
    named = second in (64, 69) and any(str(p.relative_to(place)) in said for p in (path, path.parent))
    return second, said, "" if named else f"after {path} was changed a run ends with {second}, not {first}"


def command(*words: str) -> tuple[int, str]:
    """Exit code and standard error of the command; one that raises ends with -1."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = run_command(words)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else -1
        except Exception as error:
            return -1, f"{err.getvalue()}{type(error).__name__}: {error}"
    return code, err.getvalue()


def _wrongly(code: int, said: str, asked: tuple[int, ...] = _CODES) -> str:
    """What is wrong with an exit code and standard error; empty where nothing is."""
    if code not in asked or "a bug in Assay" in said or "Traceback" in said:
        return f"bug: ended with {code}"
    complaints = [line for line in said.splitlines() if line.startswith("assay: ")]
    if code in (64, 69) and not complaints and said:
        return f"{code} without a sentence"
    if any(len(line) > MOST_SENTENCE for line in complaints):
        return "a sentence without end"
    if any(_UNPRINTABLE.search(line) for line in complaints):
        return "a sentence that cannot be printed"
    return ""


def _after(code: int, said: str, case: Case, place: Path, scratch: Path) -> str:
    if wrong := _wrongly(code, said):
        return wrong
    if any(scratch.iterdir()):
        return "scratch files stay"
    if any(
        CANARY in path.read_bytes() for path in (place / OUT).rglob("*") if path.is_file() and not path.is_symlink()
    ):
        return "what lies outside the folder stands in the output"
    return oracles.refused(case, place) if code == 0 else ""


def damage(out: Path, said: dict[str, Any]) -> Path | None:
    """Change one file of those that a run left; which, and None where there is none."""
    found = sorted(path for path in out.glob(said["pattern"]) if path.is_file())
    if not found:
        return None
    path: Path = found[said["which"] % len(found)]
    content = bytearray(path.read_bytes())
    at = said["at"] % max(len(content), 1)
    match said["how"]:
        case "flip":
            if content:
                content[at] ^= 0x10
        case "cut":
            del content[at:]
        case "empty":
            content.clear()
        case "random":
            content = bytearray(os.urandom(len(content)))
        case "swap":
            content = bytearray(found[(said["which"] + 1) % len(found)].read_bytes())
        case how:
            path.unlink()
            if how == "folder":
                path.mkdir()
            elif how == "pipe":
                os.mkfifo(path)
            elif how == "device":
                path.symlink_to("/dev/zero")
            return path
    path.write_bytes(content)
    return path


@contextlib.contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """While the block runs, with these variables."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def resident(peak: bool) -> int:
    """Bytes of this process that are in memory, or were at most since `forget_peak`."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(wanted))


def forget_peak() -> None:
    """Let the most that was ever in memory be what is now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
