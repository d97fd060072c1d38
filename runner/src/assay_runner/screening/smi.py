"""nvidia-smi, asked with a deadline that holds even where the driver hangs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

SMI: Final = "nvidia-smi"
ELSEWHERE: Final = ("/usr/local/nvidia/bin/nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")
"""Where it lies on no PATH: GKE's device plugin, and WSL."""
END_SECONDS: Final = 1.0


def program() -> str:
    """Its path, or its name where it is nowhere."""
    return shutil.which(SMI) or next((path for path in ELSEWHERE if os.access(path, os.X_OK)), SMI)


def run(arguments: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """What it printed.

    `subprocess.run` would wait for it after killing it, for ever where it waits for the driver inside the kernel.

    Raises:
        FileNotFoundError: it is not here.
        TimeoutExpired: it does not answer within so many seconds.
    """
    process = subprocess.Popen(
        [program(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
