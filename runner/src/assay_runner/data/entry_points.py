"""Functions of the user's own, by entry point in the runner image: readers of files, and metrics."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from assay_runner.errors import InvalidInput


def loaded(entry: EntryPoint, what: str) -> Any:
    """The function that an entry point names; `what` it is called in a sentence.

    Raises:
        InvalidInput: it cannot be imported, or is no function.
    """
    try:
        found = entry.load()
    except Exception as error:
        raise InvalidInput(f"{what} {entry.name!r} cannot be imported: {said(error)}") from error
    if not callable(found):
        raise InvalidInput(f"{what} {entry.name!r} is {entry.value}, which is no function")
    return found


def said(error: Exception) -> str:
    """What a user's function says of its failure, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200] or 'no reason given'}"
