"""Readers: one file each, and one table. A reader of the user's own is an entry point in the image (`own.py`)."""

from __future__ import annotations

from typing import Final

from assay_runner.data.readers import npz, onnx_test_sets, polygraphy, safetensors
from assay_runner.data.readers.own import own_readers
from assay_runner.data.readers.reader import Reader
from assay_runner.errors import InvalidInput

READERS: Final = (npz.READER, safetensors.READER, onnx_test_sets.READER, polygraphy.READER)
"""What is read without anything installed."""


def every_reader() -> tuple[Reader, ...]:
    """Those of the table and the user's; last those that give way to others.

    Raises:
        InvalidInput: two have the same name.
    """
    own, built_in = own_readers(), {reader.name for reader in READERS}
    for reader in own:
        if reader.name in built_in:
            raise InvalidInput(f"reader {reader.what} has the name of one that is built in: give it another extension")
    return tuple(sorted((*READERS, *own), key=lambda reader: reader.last))


def known() -> str:
    """What is read, in a sentence."""
    names = [reader.what for reader in every_reader()]
    return f"{', '.join(names[:-1])} and {names[-1]}"
