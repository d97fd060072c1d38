"""A process per device, with a deadline: one that tells nothing for too long hangs, and is killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from queue import Empty, Queue
from typing import IO, Any, Final, Protocol

from assay_api.model import to_wire
from assay_runner import interruption
from assay_runner.screening.orders import Order, Scan

WORKER: Final = "assay_runner.screening.worker"
END_SECONDS: Final = 10.0
LOAD_SECONDS: Final = 180.0
WORDS: Final = 300


class Scanner(Protocol):
    """Has one device scanned."""

    def scan(self, order: Order) -> Scan:
        """What became of it; whatever the device does, there is an answer."""
        ...

    def stop(self) -> None:
        """End what runs: nobody waits for it any more."""
        ...


class Processes:
    """Scans in processes of their own.

    Args:
        silence: seconds without a word after which a device hangs.
        loading: the same before the subject is loaded, of which nothing is told.
        module: what is run.
    """

    def __init__(self, silence: float, loading: float = LOAD_SECONDS, module: str = WORKER) -> None:
        self._silence, self._loading, self._module = silence, max(loading, silence), module
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def scan(self, order: Order) -> Scan:
        """Have one device scanned."""
        began = time.monotonic()
        if self._stopped:
            return _stopped(order, began)
        process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            env=_environment(order), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        self._running.add(process)
        try:
            # Either this sees that all was stopped while the process started, or `stop` sees the process.
            return _stopped(order, began) if self._stopped else self._followed(process, order, began)
        finally:
            _end(process)
            self._running.discard(process)

    def stop(self) -> None:
        """End what runs, and what would: nobody waits for it any more."""
        self._stopped = True
        # A second request would leave some of them, and whoever follows those would wait for them.
        with interruption.deferred():
            for process in list(self._running):
                _end(process)

    def _followed(self, process: subprocess.Popen[str], order: Order, began: float) -> Scan:
        lines: Queue[str | None] = Queue()
        assert process.stdin is not None, "a pipe is missing"
        assert process.stdout is not None, "a pipe is missing"
        assert process.stderr is not None, "a pipe is missing"
        last: list[str] = []
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        complaints = threading.Thread(target=_keep, args=(process.stderr, last), daemon=True)
        complaints.start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(to_wire(order)))
            process.stdin.close()
        runs, loaded, heard = 0, False, began
        while True:
            limit = self._silence if loaded else self._loading
            try:
                line = lines.get(timeout=max(heard + limit - time.monotonic(), 0.0))
            except Empty:
                where = f"{self._silence:g} s, after {runs} runs or more"
                where = where if loaded else f"{self._loading:g} s, while the subject was loaded"
                why = f"hangs: no word for {where}"
                return Scan(device=order.device, ended="Hung", message=why, runs=runs, seconds=_since(began))
            if line is None:
                complaints.join(END_SECONDS)
                return _died(process, order, runs, " ".join(last).strip(), began)
            told = _message(line)
            if "scan" in told:
                return Scan.model_validate_json(json.dumps(told["scan"]))
            if "runs" in told or "loaded" in told:
                # What libraries print beside is no sign of life.
                runs, loaded, heard = int(told.get("runs", runs)), True, time.monotonic()


def _stopped(order: Order, began: float) -> Scan:
    return Scan(device=order.device, ended="Died", message="the screening was stopped", seconds=_since(began))


def _died(process: subprocess.Popen[str], order: Order, runs: int, words: str, began: float) -> Scan:
    try:
        code: int | str = process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        code = "unknown"
    how = f"signal {-code}" if isinstance(code, int) and code < 0 else f"exit code {code}"
    why = f"its process died ({how}) after {runs} runs" + (f": {words[-WORDS:]}" if words else "")
    return Scan(device=order.device, ended="Died", message=why, runs=runs, seconds=_since(began))


def _environment(order: Order) -> Mapping[str, str]:
    """The process sees its device alone; what a stand-in is called means nothing to CUDA."""
    stand_in = order.device.startswith("cpu-")
    return {**os.environ, **({} if stand_in else {"CUDA_VISIBLE_DEVICES": order.device})}


def _end(process: subprocess.Popen[str]) -> None:
    """Kill it. One that waits for a device inside the kernel cannot be ended, and is not waited for."""
    if process.poll() is None:
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    for stream in (process.stdin, process.stdout, process.stderr):
        # What stays open belongs to a process that cannot be ended: its reader ends with this one.
        if stream is not None and process.returncode is not None:
            stream.close()


def _message(line: str) -> dict[str, Any]:
    """A line of a worker's; what libraries print beside is no message."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _read(stream: IO[str], lines: Queue[str | None]) -> None:
    with contextlib.suppress(ValueError):  # It is closed once its process has ended.
        for line in stream:
            lines.put(line)
    lines.put(None)


def _keep(stream: IO[str], last: list[str]) -> None:
    with contextlib.suppress(ValueError):
        for line in stream:
            last[:] = [*last, line.strip()][-4:]


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
