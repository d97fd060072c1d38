"""Readers: one file each, and one table. A reader of the user's own is an entry point in the image (`own.py`)."""

from __future__ import annotations

from typing import Final

from assay_runner.data.readers import npz, onnx_test_sets, polygraphy, safetensors
from assay_runner.data.readers.own import own_readers
from assay_runner.data.readers.reader import Reader

READERS: Final = (npz.READER, safetensors.READER, onnx_test_sets.READER, polygraphy.READER)
"""What is read without anything installed."""


def every_reader() -> tuple[Reader, ...]:
    """Those of the table, then the user's.

    Raises:
        InvalidInput: two of the user's have the same name.
    """
    return (*READERS, *own_readers())


def known() -> str:
    """What is read, in a sentence."""
    names = [reader.what for reader in every_reader()]
    return f"{', '.join(names[:-1])} and {names[-1]}"
