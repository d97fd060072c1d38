"""Weights of models of any size: in files beside the graph, of which no copy is made to rewrite the graph.

A serialised ONNX model ends at 2 GB and a session copies what is inside it. So the first thing done to a model that is
to be rewritten is to lay its weights beside it. Those that lie in a file of their own already stay in it: the folder
gets a second name of the file, a hard link. What stands inside the model, and what is converted, goes into
`weights.bin` one by one. Everything after that handles a few kilobytes.

A file here may so be one that its user wrote: nothing of a folder is ever opened to be changed, only made anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from assay_runner.graphs.documents import all_nodes, subgraphs
from assay_runner.models.outline import PACKED_BITS, stored_bytes
from assay_runner.tensors import Array

WEIGHTS: Final = "weights.bin"
ALIGNMENT: Final = 4096
INSIDE_BYTES: Final = 1024
WIDEST: Final = 8
"""Bytes of an element, at most."""
INSIDE_LIMIT: Final = 1 << 30
"""Bytes of weights up to which a model is one file."""

_FIELDS: Final = (
    "raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "external_data",
)  # fmt: skip

Convert = Callable[[str, Array], Array]


def localise(model: onnx.ModelProto, source: Path, folder: Path, convert: Convert | None = None) -> onnx.ModelProto:
    """Lay the weights of the model into `folder`, in place; returns the model.

    Args:
        model: as `load_graph` gives it.
        source: folder in which its external data lie.
        folder: where derived models will be saved.
        convert: what becomes of a weight: name and array to array (the same array: unchanged). Applied to the weights
            of the outer graph; those of subgraphs stay as they are.
    """
    _inline_attributes(model.graph, source)
    outer = {tensor.name for tensor in model.graph.initializer}
    with _Laid(source, folder) as laid:
        for tensor in _tensors(model.graph):
            old = weight(tensor, source) if convert is not None and tensor.name in outer and _numbers(tensor) else None
            new = old if old is None or convert is None else convert(tensor.name, old)
            if new is old or new is None:
                laid.lay(tensor)
            else:
                laid.write(tensor, new)
    return model


def packed(path: Path, folder: Path, *, limit: int | None = None, links: bool = False) -> Path:
    """A localised model moved into `folder`, its weights inside, or in one file beside it where they are too large.

    Args:
        path: of the model, in a folder with nothing else.
        folder: another one of the same disk.
        limit: bytes of weights up to which they stand inside; None: as many as one file is good for.
        links: whether too large weights may stay in as many files as they are in, some of them second names of others.
    """
    target = folder / path.name
    model = onnx.load(str(path), load_external_data=False)
    outside = [tensor for tensor in _tensors(model.graph) if is_outside(tensor)]
    if sum(map(_stated, outside)) <= (INSIDE_LIMIT if limit is None else min(limit, INSIDE_LIMIT)):
        for tensor in outside:
            _put_inside(tensor, _mapped(tensor, path.parent, _stated(tensor)))
    elif links or {external_entries(tensor)["location"] for tensor in outside} == {WEIGHTS}:
        for file in path.parent.iterdir():
            file.replace(folder / file.name)
        return target
    else:
        with _Laid(path.parent, folder, links=False) as laid:
            for tensor in outside:
                laid.lay(tensor)
    target.write_bytes(model.SerializeToString())
    return target


def weight(tensor: onnx.TensorProto, source: Path) -> Array:
    """The value of an initialiser; external data are mapped, not read."""
    if not is_outside(tensor):
        return np.asarray(numpy_helper.to_array(tensor))
    dtype, shape = helper.tensor_dtype_to_np_dtype(tensor.data_type), tuple(tensor.dims)
    data = _mapped(tensor, source, stored_bytes(tensor))
    if dtype.name in PACKED_BITS:
        packed_ = onnx.TensorProto(data_type=tensor.data_type, dims=shape, raw_data=data.tobytes())
        return np.asarray(numpy_helper.to_array(packed_))
    return np.asarray(data).view(dtype).reshape(shape)


def is_outside(tensor: onnx.TensorProto) -> bool:
    """Whether its values lie in a file beside the model."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


class _Laid:
    """A folder into which weights are laid: those of one file by one link to it, all others in `weights.bin`."""

    def __init__(self, source: Path, folder: Path, links: bool = True) -> None:
        self._source, self._folder, self._links = source, folder, links
        self._linked: dict[str, str | None] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Laid:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def lay(self, tensor: onnx.TensorProto) -> None:
        """Put its values where it finds them in the folder, and let it say so; small ones stand inside."""
        outside = is_outside(tensor)
        if not _numbers(tensor) or (not outside and tensor.ByteSize() < INSIDE_BYTES):
            return
        size = _stated(tensor) if outside else 0
        # Elsewhere than at a multiple of their size, elements are moved to one.
        if size >= INSIDE_BYTES and external_offset(tensor) % WIDEST == 0 and (link := self._link(tensor)):
            _point(tensor, link, external_offset(tensor), size)
            return
        data: Any = _mapped(tensor, self._source, size) if outside else _raw(tensor)
        if len(data) < INSIDE_BYTES:
            _put_inside(tensor, data)
        else:
            self._append(tensor, data)

    def write(self, tensor: onnx.TensorProto, array: Array) -> None:
        """Give it other values."""
        if array.nbytes < INSIDE_BYTES or array.dtype.name in PACKED_BITS:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(array, order="C"), tensor.name))
            self.lay(tensor)
            return
        # Straight into the file: a message would take two copies of them.
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.dims[:] = array.shape
        self._append(tensor, np.ascontiguousarray(array).reshape(-1).view(np.uint8))

    def _append(self, tensor: onnx.TensorProto, data: Any) -> None:
        file = self._own()
        file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
        offset = file.tell()
        file.write(data)
        _point(tensor, WEIGHTS, offset, len(data))

    def _own(self) -> BinaryIO:
        if self._file is None:
            path = self._folder / WEIGHTS
            # Made anew: what bears the name may be a link to somebody's file.
            path.unlink(missing_ok=True)
            self._file = path.open("xb")
        return self._file

    def _link(self, tensor: onnx.TensorProto) -> str | None:
        """Name in the folder of the file it is in; None where there shall be none, or the disk has none."""
        if not self._links:
            return None
        location = external_entries(tensor)["location"]
        if location not in self._linked:
            self._linked[location] = linked(self._source / location, self._folder)
        return self._linked[location]


def linked(file: Path, folder: Path) -> str | None:
    """Name of a hard link to the file in the folder, one for as many models as are derived of it there."""
    status = file.stat()
    name = f"linked-{status.st_dev:x}-{status.st_ino:x}.bin"
    try:
        with suppress(FileExistsError):
            os.link(file, folder / name)
    except OSError:  # Another disk, or one that cannot.
        return None
    return name if os.path.samefile(file, folder / name) else None


def _numbers(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_type != onnx.TensorProto.STRING)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for inner in subgraphs(node) if node.attribute else ():
            yield from _tensors(inner)


def _inline_attributes(graph: onnx.GraphProto, source: Path) -> None:
    """ONNX Runtime reads no external data inside attributes of subgraphs; they are small."""
    for node in all_nodes(graph):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and is_outside(attribute.t):
                attribute.t.CopyFrom(numpy_helper.from_array(weight(attribute.t, source), attribute.t.name))


def _point(tensor: onnx.TensorProto, location: str, offset: int, size: int) -> None:
    for field in _FIELDS:
        tensor.ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)


def _put_inside(tensor: onnx.TensorProto, data: Any) -> None:
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = bytes(data)


def _raw(tensor: onnx.TensorProto) -> Any:
    if not tensor.raw_data:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return tensor.raw_data


def external_entries(tensor: onnx.TensorProto) -> dict[str, str]:
    """What a tensor says of its external data, by key: location, offset, length."""
    return {entry.key: entry.value for entry in tensor.external_data}


def external_offset(tensor: onnx.TensorProto) -> int:
    """Where in its file its values begin, in bytes."""
    return int(external_entries(tensor).get("offset") or 0)


def _stated(tensor: onnx.TensorProto) -> int:
    """Bytes of external data."""
    return int(external_entries(tensor).get("length") or 0) or stored_bytes(tensor)


def _mapped(tensor: onnx.TensorProto, source: Path, length: int) -> NDArray[np.uint8]:
    """The first bytes of external data."""
    if length == 0:
        return np.empty(0, np.uint8)
    return np.memmap(source / external_entries(tensor)["location"], np.uint8, "r", external_offset(tensor), length)
