"""A request to stop that cannot be raised where it comes: it is raised later, once, and before long."""

from __future__ import annotations

import subprocess
import sys

import pytest


def ended(program: str, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a program in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=60
    )
    return run.returncode, run.stdout, run.stderr


THROWN_AWAY = """
import os, signal, sys, threading, weakref
from assay_runner import interruption

class Gone:
    pass

def ask(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    while not interruption.came():
        pass
    for _ in range(1000):
        pass

class Asking:
    __del__ = ask

interruption.install()
try:
    if sys.argv[1] == "a __del__":
        Asking()
    else:
        gone = Gone()
        reference = weakref.ref(gone, ask)
        del gone
    threading.Event().wait(30)
    print("went on")
except KeyboardInterrupt:
    sys.exit(interruption.told())
"""


@pytest.mark.parametrize("where", ["a __del__", "a weak reference's callback"])
def test_a_request_that_python_throws_away_is_raised_again(where: str) -> None:
    """What is raised there is printed, and the run would go on."""
    assert ended(THROWN_AWAY, where) == (143, "", "assay: terminated\n")


WAITING = """
import os, signal, sys, threading, time
from importlib.util import spec_from_loader
from assay_runner import interruption

class Hangs:
    def find_spec(self, name, *_):
        return spec_from_loader(name, self) if name == "hangs" else None

    def create_module(self, _):
        pass

    def exec_module(self, _):
        found.set()
        time.sleep(30)

found = threading.Event()
interruption._IMPORT_SECONDS = 0.3
interruption.install()
sys.meta_path.insert(0, Hangs())
threading.Thread(target=__import__, args=("hangs",), daemon=True).start()
found.wait()
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    import hangs
    print("imported")
except KeyboardInterrupt:
    sys.exit(interruption.told())
"""


def test_a_request_waits_for_no_import_of_another_thread_that_hangs() -> None:
    """Whoever asked would send what cannot be listened to, and scratch files would stay."""
    assert ended(WAITING) == (143, "", "assay: terminated\n")


TWICE = """
import signal, sys, time
from assay_runner import interruption

class Asking:
    def find_spec(self, *_):
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, sys._getframe(1))

interruption._AGAIN_SECONDS = 0.3
signal.signal(signal.SIGINT, signal.default_int_handler)  # Who started the tests may have ignored it.
interruption.install()
sys.meta_path.insert(0, Asking())
try:
    import colorsys
    if sys.argv[1] == "postponed":
        with interruption.postponed():
            pass
    elif sys.argv[1] == "another":
        signal.raise_signal(signal.SIGINT)
    print("never")
except KeyboardInterrupt:
    time.sleep(0.5)
    signal.raise_signal(signal.SIGALRM)
    print("cleaned up")
    sys.exit(interruption.told())
"""


@pytest.mark.parametrize("raised", ["postponed", "another"])
def test_a_request_that_waited_and_was_raised_since_interrupts_no_clean_up(raised: str) -> None:
    assert ended(TWICE, raised) == (143, "cleaned up\n", "assay: terminated\n")
