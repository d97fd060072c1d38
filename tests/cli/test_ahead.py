"""What is loaded ahead is there when the work beside it ends, does not outlive it, and spoils nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from assay_runner.cli.preload import loading

PROGRAM = """
import sys, threading
from assay_runner.cli.preload import loading
with loading({"onnxruntime"}):
    assert "assay_runner.golden.run" in sys.modules
    for thread in threading.enumerate():
        if thread.name == "ahead":
            thread.join()
print(all(name in sys.modules for name in ("assay_runner.tasks.candidate", "assay_runner.tasks.summary", "rich.table")))
"""


def _running(seconds: float = 0.0) -> bool:
    """Whether something is being loaded, and will be for longer than that."""
    ahead = [thread for thread in threading.enumerate() if thread.name == "ahead"]
    for thread in ahead:
        thread.join(seconds)
    return any(thread.is_alive() for thread in ahead)


def test_what_comes_after_golden_is_loaded_beside_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_backend_that_cannot_be_loaded_is_left_to_whoever_asks_for_it(capfd: pytest.CaptureFixture[str]) -> None:
    with loading({"tensorrt"}):
        pass
    assert not _running()
    assert capfd.readouterr() == ("", "")


def test_an_error_beside_it_is_the_error_that_is_seen() -> None:
    with pytest.raises(ZeroDivisionError), loading({"onnxruntime"}):
        raise ZeroDivisionError
    # What was begun may take longer than anybody waits for it.
    assert not _running(60)
