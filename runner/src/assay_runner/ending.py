"""The end of the process: once every handler has run and the streams are flushed, there is only memory left to free.

The interpreter would free it object by object, ONNX Runtime its arenas and a CUDA context its modules, a tenth to a
third of a second; the kernel takes all of it at once.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress


class Ending:
    """Ends the process with `code`, when there is one, after whatever else is done at exit.

    To be made before anything else is imported: handlers run in the reverse order of their registration. Without a
    code, after a traceback say, the process ends as any other does.
    """

    def __init__(self) -> None:
        """Register, and so be the last to run."""
        self.code: int | None = None
        atexit.register(self._leave)

    def _leave(self) -> None:
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # Who has gone, or closed it, is told nothing more.
                stream.flush()
        os._exit(self.code)
