"""ONNX's own test data: folders with input_0.pb, input_1.pb … and output_0.pb …, each file one serialised tensor.

Tensors go by their name where the model has one of that name, else by their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from assay_runner.data.arrays import corruption
from assay_runner.data.readers.reader import File, Reader, Role, Wanted
from assay_runner.errors import InvalidInput
from assay_runner.stores.regular import open_regular
from assay_runner.tensors import Array

if TYPE_CHECKING:
    import onnx

_FILE: Final = re.compile(r"(?:^|/)(input|output)_(\d+)\.pb$")
MOST_BYTES: Final = 2**31 - 1
"""A protobuf message has no more."""


def number_of(name: str, role: Role) -> int | None:
    """The place among the model's inputs, or outputs, that a file's name tells; None where it tells none."""
    found = _FILE.search(name)
    return int(found[2]) if found and f"{found[1]}s" == role else None


def parts(files: Sequence[File], wanted: Wanted) -> Iterator[Mapping[str, Array]]:
    """The one part of a folder.

    Raises:
        InvalidInput: a file is no tensor of numbers, or two are of one name.
    """
    found: dict[str, Array] = {}
    for file in files:
        tensor = _tensor(file)
        place = number_of(file.name, wanted.role) or 0
        name = tensor.name
        if wanted.names and name not in wanted.names:
            name = wanted.names[place] if place < len(wanted.names) else ""
        name = name or f"{wanted.role[:-1]}_{place}"
        if name in found:
            raise InvalidInput(f"{file.name} holds {name!r}, as another file beside it does: keep one of them")
        found[name] = _array(tensor, file.name)
    yield found


def _tensor(file: File) -> onnx.TensorProto:
    import onnx
    from google.protobuf.message import DecodeError

    with corruption(file.name), open_regular(file.path, file.name) as content:
        data = content.read(MOST_BYTES + 1)
    tensor = onnx.TensorProto()
    try:
        if not data or len(data) > MOST_BYTES:
            raise DecodeError
        tensor.ParseFromString(data)
        known = onnx.TensorProto.DataType.values()
        if not tensor.data_type or tensor.data_type not in known or any(size < 0 for size in tensor.dims):
            raise DecodeError
    except DecodeError:
        raise InvalidInput(
            f"{file.name} holds no ONNX tensor (TensorProto), or not all of one: store one by "
            "onnx.numpy_helper.from_array; sequences, optionals and maps cannot be fed"
        ) from None
    return tensor


def _array(tensor: onnx.TensorProto, name: str) -> Array:
    import onnx
    from onnx import numpy_helper

    if tensor.data_location == tensor.EXTERNAL:
        raise InvalidInput(f"{name} keeps its values in another file: store the tensor with its values inside")
    if tensor.data_type == onnx.TensorProto.STRING:
        raise InvalidInput(f"{name} holds text, and datasets hold numbers: store the numbers that the model is fed")
    try:
        array: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # It raises what it likes over values that do not fill the shape.
        reason = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise InvalidInput(f"{name} is corrupt or truncated ({reason}): store it again") from error
    if array.shape != tuple(tensor.dims):
        raise InvalidInput(f"{name} is corrupt or truncated (its values do not fill its shape): store it again")
    return array


READER: Final = Reader(
    "onnx-test-sets",
    "ONNX's test_data_set_N/input_0.pb … and output_0.pb …",
    lambda name, role: number_of(name, role) is not None,
    parts=parts,
    folders=True,
    as_given=True,
)
