"""Watches batches of cases: what hangs is ended and kept, what dies is kept, what is wrong is kept."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from tests.fuzz.case import unpacked
from tests.fuzz.child import CURRENT

HANG_SECONDS: Final = 20.0
"""Of CPU time that a case may take; and of time on the clock while it takes none."""
LOADING_SECONDS: Final = 60.0
_LOOK: Final = 0.5
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finding:
    """A case that ended as none may.

    Attributes:
        kind: of the case.
        what: is wrong with it.
        said: what it said.
        packed: the case.
    """

    kind: str
    what: str
    said: str
    packed: bytes


@dataclass
class Tally:
    """What became of cases.

    Attributes:
        codes: how many ended with each exit code, by kind.
        findings: those that ended as none may.
        endless: cases that bare ONNX Runtime does not end either.
        slowest: seconds of the slowest case.
    """

    codes: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    endless: int = 0
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        """All of them."""
        return sum(self.codes.values()) + self.endless


def batch(kind: str, seed: int, count: int, tally: Tally, hang: float = HANG_SECONDS) -> None:
    """Run a batch in a process of its own; what comes after a case that ended the process is not run."""
    with tempfile.TemporaryDirectory(prefix="assay-fuzz-") as name:
        folder = Path(name)
        words = [sys.executable, "-m", "tests.fuzz.child", kind, str(seed), str(count), name]
        environment = {**os.environ, "TMPDIR": name, "PYTHONPATH": str(_ROOT)}
        child = subprocess.Popen(words, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, start_new_session=True)
        try:
            _follow(child, kind, folder, tally, hang)
        finally:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()


def _follow(child: subprocess.Popen[bytes], kind: str, folder: Path, tally: Tally, hang: float) -> None:
    assert child.stdout is not None
    open_case = False
    for told in _lines(child.stdout, child.pid, hang):
        if told is None:
            what = "hang" if open_case else "hang while it loaded"
            if open_case and _bare_hangs(kind, folder):
                tally.endless += 1
                return
            _keep(tally, kind, what, "", folder, -9)
            return
        open_case = "begun" in told
        if "ended" in told:
            tally.codes[kind, told["code"]] += 1
            tally.slowest = max(tally.slowest, told["seconds"])
            if told["wrong"]:
                tally.findings.append(Finding(kind, told["wrong"], told["said"], (folder / CURRENT).read_bytes()))
        if "over" in told:
            return
    _keep(tally, kind, f"the process ended with {child.wait()}", "", folder, child.returncode)


def _keep(tally: Tally, kind: str, what: str, said: str, folder: Path, code: int) -> None:
    current = folder / CURRENT
    tally.codes[kind, code] += 1
    tally.findings.append(Finding(kind, what, said, current.read_bytes() if current.exists() else b""))


def _lines(stream: IO[bytes], pid: int, hang: float) -> Iterator[dict[str, Any] | None]:
    """What a child tells, line by line; None where it computes or sleeps for too long and tells nothing."""
    spent, asleep, first = _cpu(pid), 0.0, True
    rest = b""
    while True:
        began = time.monotonic()
        if select.select([stream], [], [], _LOOK)[0]:
            chunk = os.read(stream.fileno(), 1 << 16)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines)
            spent, asleep, first = _cpu(pid), 0.0, first and not lines
            continue
        # On a busy machine a process waits for its turn: that is not its fault, and no time that counts.
        asleep += 0.0 if _runs(pid) else time.monotonic() - began
        most = LOADING_SECONDS if first else hang
        if _cpu(pid) - spent > most or asleep > 2 * most:
            yield None
            return


def _runs(pid: int) -> bool:
    """Whether a thread of the process runs, waits for its turn or for a disk."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return any(stat.rpartition(")")[2].split()[0] in "RD" for stat in stats)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process took."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _bare_hangs(kind: str, folder: Path) -> bool:
    """Whether bare ONNX Runtime does not end either on the model of the current case."""
    if not kind.startswith("model"):
        return False
    place = folder / "bare"
    place.mkdir()
    unpacked((folder / CURRENT).read_bytes(), kind).lay_out(place)
    try:
        words = [sys.executable, "-m", "tests.fuzz.oracles", str(place)]
        subprocess.run(words, cwd=_ROOT, capture_output=True, timeout=HANG_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True
    return False
