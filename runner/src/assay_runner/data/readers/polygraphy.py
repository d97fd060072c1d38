"""What Polygraphy saves: inputs (`polygraphy run --save-inputs`) and outputs (`--save-outputs`), as JSON.

Inputs are a list with a table of arrays per iteration; outputs are a list of runners, each with such a list. An array
is a .npy file in base64. Polygraphy itself is not needed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.lib import format as npy

from assay_runner.data.arrays import corruption
from assay_runner.data.readers.json_events import Event, events
from assay_runner.data.readers.npz import read_header
from assay_runner.data.readers.reader import File, Reader, Wanted
from assay_runner.errors import InvalidInput
from assay_runner.stores.regular import open_regular
from assay_runner.tensors import Array

ARRAY: Final = "array"
RUNNERS: Final = "lst"


def parts(files: Sequence[File], wanted: Wanted) -> Iterator[Mapping[str, Array]]:
    """The iterations of each file, in order.

    Raises:
        InvalidInput: it is no JSON of Polygraphy's, is cut off, or holds outputs of several runners, or no inputs.
    """
    for file in files:
        with corruption(file.name), open_regular(file.path, file.name) as stream:
            yield from _iterations(file.name, events(stream), wanted)


def _iterations(name: str, found: Iterator[Event], wanted: Wanted) -> Iterator[Mapping[str, Array]]:
    part: dict[str, Array] = {}
    given = False
    for event in found:
        path = _within(name, event.path, wanted)
        if path is None:
            continue
        if len(path) == 1 and event.end:
            yield part
            part, given = {}, True
        elif len(path) > 1 and path[-1] == ARRAY and isinstance(event.value, bytes):
            key = str(path[1])
            if key in part:
                raise InvalidInput(f"{name} holds {key!r} twice in iteration {path[0]}: save it again")
            part[key] = _array(name, key, event.value)
    if not given:
        raise InvalidInput(
            f"{name} holds nothing that Polygraphy saved (polygraphy run --save-inputs, --save-outputs): name a file "
            "that it wrote, or store the arrays as .npz"
        )


def _within(name: str, path: tuple[int | str, ...], wanted: Wanted) -> tuple[int | str, ...] | None:
    """The path from the list of iterations on; None beside it."""
    if path[:1] != (RUNNERS,):
        return path if path and isinstance(path[0], int) else None
    if wanted.role == "inputs":
        raise InvalidInput(f"{name} holds outputs that Polygraphy saved, not inputs: name the file of --save-inputs")
    if len(path) > 1 and path[1] != 0:
        raise InvalidInput(f"{name} holds the outputs of several runners: save those of the one that is to be golden")
    # ("lst", runner, 1, iteration, "outputs", name, "values", "array"), of which the table of outputs matters.
    inside = path[3:]
    if path[2:3] != (1,) or not inside:
        return None
    if len(inside) == 1:
        return inside
    return (inside[0], *inside[2:]) if inside[1] == "outputs" and len(inside) > 2 else None


def _array(file: str, name: str, text: bytes) -> Array:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidInput(
            f"array {name!r} of {file} is no base64: save it again by Polygraphy 0.30 or newer"
        ) from None
    del text
    if not data.startswith(npy.MAGIC_PREFIX):
        raise InvalidInput(f"array {name!r} of {file} is no NumPy array, perhaps a PyTorch tensor: save NumPy arrays")
    stream = io.BytesIO(data)
    header = read_header(stream, name)
    rest = len(data) - stream.tell()
    if header.dtype.hasobject or rest != header.nbytes:
        raise ValueError(f"array {name} has {rest} bytes, and its shape another number of them")
    flat = np.frombuffer(data, header.dtype, offset=stream.tell())
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


READER: Final = Reader(
    "polygraphy",
    "Polygraphy's saved inputs or outputs (.json)",
    lambda name, _: name.endswith(".json"),
    parts=parts,
    as_given=True,
    ordered=True,
    last=True,
)
