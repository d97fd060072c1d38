"""The text of an audit's file, from a disk, from a pipe that a shell hands on, or from standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from assay_runner import journal
from assay_runner.errors import InvalidInput
from assay_runner.stores.files import human
from assay_runner.stores.regular import Irregular, open_regular

STANDARD_INPUT: Final = "standard input"
MOST_BYTES: Final = 1 << 20
"""Bytes of a file; etcd keeps no object that is much larger."""
_HANDED_ON: Final = ("/dev/fd/", "/dev/std", "/proc/")
"""Where a shell's `<(…)` is found: a pipe that somebody writes to."""


def text_of(filename: str) -> str:
    """The text of a file; `-` is standard input.

    Raises:
        InvalidInput: it is not there, no regular file, too large, or no text.
    """
    try:
        content = _content(filename)
    except Irregular:
        if os.path.isdir(filename):
            raise InvalidInput(f"{filename} is a folder: name the audit's YAML file in it") from None
        raise
    except FileNotFoundError:
        raise InvalidInput(f"{filename} does not exist: name the audit's YAML file") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidInput(f"{filename} cannot be read ({reason}): name the audit's YAML file") from error
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"{filename} has more than {human(MOST_BYTES)}: name the audit's YAML file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{filename} is not UTF-8 text (byte {error.start}): store it as UTF-8") from error


def _content(filename: str) -> bytes:
    """A file's bytes, and one more than are allowed at most; of pipes and devices those that a shell hands on."""
    if filename == "-":
        return _standard_input()
    if not os.path.normpath(filename).startswith(_HANDED_ON):
        with open_regular(Path(filename), filename) as file:
            return file.read(MOST_BYTES + 1)
    with Path(filename).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _standard_input() -> bytes:
    """What was read by the process before this one, if it died: a pipe can be read once."""
    kept = journal.kept(STANDARD_INPUT)
    if isinstance(kept, str):
        return kept.encode("latin-1")
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    journal.keep(STANDARD_INPUT, content.decode("latin-1"))
    return content
