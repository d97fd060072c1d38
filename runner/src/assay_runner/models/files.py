"""The files of a model: the ONNX file, what it really is, and the external data that belong to it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from assay_api.audit import ModelRef
from assay_runner.digests import file_sha256
from assay_runner.errors import InvalidInput, NotYet
from assay_runner.models.bounds import MOST_NAME, check_bounds, number_of
from assay_runner.models.outline import read_outline, stored_bytes, tensors
from assay_runner.models.room import Weights, check_weights
from assay_runner.models.witness import Witness, unchanged
from assay_runner.stores import basename, beside
from assay_runner.stores.files import human

if TYPE_CHECKING:
    from assay_runner.stores import Store

PROTOBUF_LIMIT: Final = 2**31 - 1

_KNOWN: Final = (
    (b"<", "a web page (HTML or XML), as a failed download leaves behind: fetch the model again"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` and store the file it stands for"),
    (b"PK\x03\x04", "a zip archive, perhaps of PyTorch: export the model to ONNX"),
    (b"\x80", "a Python pickle: export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file, perhaps of Keras: convert the model to ONNX"),
    (b"\x1f\x8b", "gzip-compressed: store it unpacked"),
    (b"ptrt", "a TensorRT engine: give the ONNX model it was built from"),
    (b"ftrt", "a TensorRT engine: give the ONNX model it was built from"),
    (b"{", "a JSON file: give the ONNX model"),
)


def fetch_model(store: Store, ref: ModelRef, folder: Path) -> Path:
    """The ONNX file, fetched into the folder.

    Raises:
        InvalidInput: missing or empty.
    """
    path = folder / basename(ref.uri)
    _fetch(store, ref.uri, path, "model")
    return path


def fetch_pinned(store: Store, uri: str, wanted: str | None, path: Path, what: str) -> str:
    """Fetch a file to `path`; returns its SHA-256 in hexadecimal.

    Args:
        store: where it lies.
        uri: where there.
        wanted: the SHA-256 it must have, or None.
        path: where it goes.
        what: what to call it in a sentence.

    Raises:
        InvalidInput: missing, empty, or not of the digest asked for.
    """
    _fetch(store, uri, path, what)
    return pinned_sha256(path, uri, wanted, what)


def pinned_sha256(path: Path, uri: str, wanted: str | None, what: str) -> str:
    """SHA-256 in hexadecimal of a file fetched from `uri`.

    Raises:
        InvalidInput: it is not the one that is wanted.
    """
    sha256 = file_sha256(path)
    if wanted and wanted != sha256:
        raise InvalidInput(
            f"the {what} {uri} has SHA-256 {sha256}, not {wanted} as the spec says: "
            f"store the {what} that was meant, or correct sha256"
        )
    return sha256


def _fetch(store: Store, uri: str, path: Path, what: str) -> None:
    store.get(uri, path)
    if path.stat().st_size == 0:
        raise InvalidInput(f"the {what} {uri} is empty (0 bytes): store it again")


def read_proto(path: Path, uri: str) -> Any:
    """The outline of the model, once it has been looked at.

    Raises:
        InvalidInput: it is no ONNX model, or not all of one.
    """
    from google.protobuf.message import DecodeError

    with path.open("rb") as file:
        head = file.read(64)
    known = next((what for magic, what in _KNOWN if head.lstrip().startswith(magic)), None)
    size = path.stat().st_size
    try:
        proto = read_outline(path)
    except DecodeError as error:
        if known:
            raise InvalidInput(f"the model {uri} is not ONNX but {known}") from error
        if size > PROTOBUF_LIMIT:
            raise InvalidInput(
                f"the model {uri} has {human(size)}, and one ONNX file holds at most 2 GiB: "
                "save its weights as external data beside it"
            ) from error
        raise InvalidInput(
            f"the model {uri} ({human(size)}) is not ONNX, or truncated: check its size and store it again"
        ) from error
    if not proto.opset_import or not proto.ir_version or not (proto.graph.node or proto.graph.output):
        what = f"but {known}" if known else "or truncated: check its size and store it again"
        raise InvalidInput(f"the model {uri} is not ONNX, {what}")
    check_bounds(proto, uri)
    return proto


def fetch_external(store: Store, proto: Any, uri: str, folder: Path) -> tuple[Witness, ...]:
    """Fetch the external data of a model beside it; their names, and what they are now.

    Raises:
        InvalidInput: a file is missing, too short, or not really below the model's folder.
    """
    needed: dict[str, int] = {}
    for location, end in external_tensors(proto, uri):
        needed[location] = max(end, needed.get(location, 0))
    fetched = []
    check_weights(Weights((folder / basename(uri)).stat().st_size, sum(needed.values())), uri)
    for location, end in sorted(needed.items()):
        path = folder / _safe(location, uri)
        source = beside(uri, location)
        found = store.stat(source)
        if found is None:
            raise NotYet(
                f"external data {location} of the model {uri} are missing: {source} does not exist, store it there"
            )
        if found.size < end:
            raise InvalidInput(
                f"external data {source} of the model {uri} are truncated: {found.size} bytes, "
                f"but the model's tensors need {end}; store the file again"
            )
        store.get(source, path, named_by=uri)
        fetched.append(Witness.of(path, source))
    return tuple(fetched)


def external_digests(files: Collection[Witness], folder: Path) -> tuple[str, ...]:
    """Name and SHA-256 of each file below the folder.

    Raises:
        InvalidInput: one was written to meanwhile.
    """
    digests = tuple(f"\0{file.path.relative_to(folder)}\0{file.read()}" for file in files)
    unchanged(files)
    return digests


def identity_of(sha256: str, external: tuple[str, ...]) -> str:
    """Digest of an ONNX file and its external data, as `external_digests` names them."""
    return hashlib.sha256("".join((sha256, *external)).encode()).hexdigest() if external else sha256


def _safe(location: str, uri: str) -> str:
    path = PurePosixPath(location)
    if not location or path.is_absolute() or ".." in path.parts or "\\" in location or "\0" in location:
        raise InvalidInput(
            f"the model {uri} wants external data at {location!r}, outside its own folder: "
            "save them beside the model, under a plain relative name"
        )
    if str(path) == basename(uri):
        raise InvalidInput(f"the model {uri} names itself as its external data: save it again")
    return str(path)


def external_tensors(proto: Any, uri: str = "") -> Iterator[tuple[str, int]]:
    """Location and the first byte after each tensor that lies outside the model's file.

    Raises:
        InvalidInput: an offset or a length is no number.
    """
    for tensor in tensors(proto):
        if tensor.data_location == tensor.EXTERNAL:
            entries = {e.key: e.value for e in tensor.external_data}
            location = entries.get("location", "")
            if len(location) > MOST_NAME:
                raise InvalidInput(
                    f"the model {uri} names external data in {len(location)} characters ({location[:40]!r}…), and "
                    f"{MOST_NAME} are the most that are taken: save them under a shorter name"
                )
            offset, length = (number_of(entries.get(key) or "0", key, location, uri) for key in ("offset", "length"))
            yield location, offset + (length or stored_bytes(tensor))
