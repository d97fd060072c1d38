"""The end of a process: quick, and nothing lost by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from assay_runner.ending import Ending

ending = Ending()
import atexit, threading, time

class Slow:
    def __del__(self):
        print("freed")

kept = Slow()
atexit.register(lambda: open({file!r}, "w").write("handlers ran"))

def late():
    threading.main_thread().join()
    time.sleep(0.1)
    sys.stdout.closed or print("thread done")

threading.Thread(target=late).start()
sys.stdout.write("buffered ")
{last}
"""


def _run(tmp_path: Path, last: str) -> tuple[int, str, str]:
    file = tmp_path / "handler"
    program = PROGRAM.format(file=str(file), last=last)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert file.read_text() == "handlers ran"
    return ended.returncode, ended.stdout, ended.stderr


def test_threads_handlers_and_what_is_buffered_come_first_and_nothing_is_freed(tmp_path: Path) -> None:
    code, out, err = _run(tmp_path, "ending.code = 64; raise SystemExit(64)")
    assert (code, out, err) == (64, "buffered thread done\n", "")


def test_without_a_code_the_process_ends_as_any_other(tmp_path: Path) -> None:
    code, out, err = _run(tmp_path, "raise RuntimeError('told')")
    assert code == 1
    assert out.startswith("buffered thread done\n")
    assert "freed" in out
    assert "RuntimeError: told" in err


def test_a_stream_that_is_closed_changes_no_code(tmp_path: Path) -> None:
    code, out, _ = _run(tmp_path, "sys.stdout.close(); ending.code = 1; raise SystemExit(1)")
    assert (code, out) == (1, "buffered ")
