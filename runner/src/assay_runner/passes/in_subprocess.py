"""A candidate run in a process of its own: `python -m assay_runner.passes.in_subprocess FOLDER`.

What is asked for and what is found lie in FOLDER, which the asking process made and alone can write.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from assay_runner import interruption, journal
from assay_runner.backends import BACKENDS, Built
from assay_runner.errors import Unavailable, as_audit_error
from assay_runner.tensors import Array, Arrays

ASKED, FOUND = "asked.pickle", "found.pickle"
_LOOK_SECONDS = 5.0


def run_elsewhere(built: Built, batches: Sequence[Arrays], *, tapped: bool = False) -> list[dict[str, Array]]:
    """Outputs of each batch, from a new process; with `tapped`, every tensor.

    Raises:
        Unavailable: the process did not give them; one sentence says why.
    """
    with TemporaryDirectory(prefix="again-", dir=built.folder) as name:
        folder = Path(name)
        asked = (os.getpid(), built, [dict(batch) for batch in batches], tapped)
        (folder / ASKED).write_bytes(pickle.dumps(asked))
        command = [sys.executable, "-m", "assay_runner.passes.in_subprocess", name]
        ended = _ended(command)
        if ended.returncode:
            raise Unavailable(f"a new process could not run the candidate: {_why(ended)}")
        found: list[dict[str, Array]] = pickle.loads((folder / FOUND).read_bytes())
        return found


def _ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The process, once it ended; to wait for it is a sign of life until its time is over."""
    seconds = journal.patience()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + seconds
        while True:
            try:
                out, err = process.communicate(timeout=min(_LOOK_SECONDS, seconds))
                return subprocess.CompletedProcess(command, process.returncode, out, err)
            except subprocess.TimeoutExpired:
                journal.alive()
            except BaseException:
                process.kill()
                raise
            if time.monotonic() > until:
                process.kill()
                raise Unavailable(f"a new process did not end within {seconds:g} s (spec.stallDeadlineSeconds)")


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return f"it was ended by {name}" + (", as for lack of memory: give it more" if name == "SIGKILL" else "")
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {ended.returncode}"


def main(folder: Path) -> int:
    """Answer what is asked for in the folder; the exit status is the error's."""
    try:
        parent, built, batches, tapped = pickle.loads((folder / ASKED).read_bytes())
        interruption.die_with(parent)
        backend = BACKENDS[built.backend]
        with backend.open_tapped(built) if tapped else backend.open(built) as session:
            found = [{name: np.array(array) for name, array in session.run(batch).items()} for batch in batches]
        (folder / FOUND).write_bytes(pickle.dumps(found))
    except Exception as error:
        ours = as_audit_error(error)
        print(" ".join(str(ours).split()), file=sys.stderr)
        return int(ours.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
