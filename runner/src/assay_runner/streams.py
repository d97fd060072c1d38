"""Standard output and standard error, as a process may be given them: closed, full, without a reader, of any encoding.

What is said on standard error is said beside the answer: where it cannot be told, the work goes on, and the exit code
is the run's own. Standard output is the answer: where that cannot be given, the exit code tells it.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, Final

_ANSWERS: Final = "assay-answers"


class OutputLost(OSError):
    """Standard output takes nothing more, and not because its reader has gone."""


def open_streams() -> None:
    """Give this process three streams: standard error never fails, standard output fails as `OutputLost`.

    In the place of a stream that was closed before the start comes the null device. Otherwise the next file that is
    opened takes its number, and what a library prints ends up in that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_ANSWERS, _written_otherwise)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = _text(_Answers(1, "wb", closefd=False), sys.stdout, _ANSWERS)
    sys.stderr = _text(_Asides(2, "wb", closefd=False), sys.stderr, "backslashreplace", by_line=True)


def give_up_output() -> None:
    """Write nothing more to standard output: the interpreter must not complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _text(raw: io.FileIO, before: Any, errors: str, by_line: bool = False) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    by_line = by_line or raw.isatty() or bool(getattr(before, "write_through", False))
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)


class _Asides(io.FileIO):
    """A file that takes everything, also where it is full or its reader has gone."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content) or 0
        except OSError:
            return memoryview(content).nbytes


class _Answers(io.FileIO):
    """A file that says that it is standard output which cannot be written."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from error


def _written_otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    """Characters that an encoding lacks: of a file's name the bytes that it has on disk, of all else the escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    written = b""
    for character in error.object[error.start : error.end]:
        of_a_name = "\udc80" <= character <= "\udcff"
        written += bytes([ord(character) - 0xDC00]) if of_a_name else character.encode("ascii", "backslashreplace")
    return written, error.end
