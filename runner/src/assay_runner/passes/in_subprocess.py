"""A candidate run in a process of its own: `python -m assay_runner.passes.in_subprocess FOLDER`.

What is asked for and what is found lie in FOLDER, which the asking process made and alone can write.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from assay_runner.backends import BACKENDS, Built
from assay_runner.errors import Unavailable, as_audit_error
from assay_runner.tensors import Array, Arrays

ASKED, FOUND = "asked.pickle", "found.pickle"
PATIENCE_SECONDS = 1800


def run_elsewhere(built: Built, batches: Sequence[Arrays], *, tapped: bool = False) -> list[dict[str, Array]]:
    """Outputs of each batch, from a new process; with `tapped`, every tensor.

    Raises:
        Unavailable: the process did not give them; one sentence says why.
    """
    with TemporaryDirectory(prefix="again-", dir=built.folder) as name:
        folder = Path(name)
        (folder / ASKED).write_bytes(pickle.dumps((built, [dict(batch) for batch in batches], tapped)))
        command = [sys.executable, "-m", "assay_runner.passes.in_subprocess", name]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"a new process did not end within {PATIENCE_SECONDS} s") from None
        if ended.returncode:
            raise Unavailable(f"a new process could not run the candidate: {_why(ended)}")
        found: list[dict[str, Array]] = pickle.loads((folder / FOUND).read_bytes())
        return found


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return f"it was ended by {name}" + (", as for lack of memory: give it more" if name == "SIGKILL" else "")
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {ended.returncode}"


def main(folder: Path) -> int:
    """Answer what is asked for in the folder; the exit status is the error's."""
    try:
        built, batches, tapped = pickle.loads((folder / ASKED).read_bytes())
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
