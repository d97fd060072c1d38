"""An ONNX model on disk, checked once when it is fetched and trusted from then on.

Whatever is wrong with a model is found here, before any minute of compute is spent, and said in one sentence: what is
no ONNX, what is cut off, what belongs to it and is not there, what ONNX Runtime cannot run.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay_api.audit import ModelRef
from assay_runner.errors import InvalidInput
from assay_runner.models.feeding import AS_EVER, Feeding, fixed_batch, input_axes
from assay_runner.models.files import (
    external_digests,
    fetch_external,
    fetch_model,
    identity_of,
    pinned_sha256,
    read_proto,
)
from assay_runner.models.room import check_declared
from assay_runner.models.rules import check_graph, check_runs
from assay_runner.models.witness import Witness
from assay_runner.tensors import InputAxes, TensorSpec

if TYPE_CHECKING:
    from assay_runner.stores import Store

FED: Final = frozenset(
    {"float16", "bfloat16", "float32", "float64", "bool"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""Element types that a dataset can hold and ONNX Runtime can be fed."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check of `load_model`.

    Attributes:
        path: the ONNX file; external data lie beside it.
        sha256: of the ONNX file.
        identity: digest of the ONNX file and its external data, and of inputs held constant that decide branches;
            equal identities compute the same.
        inputs: graph inputs without initialisers, in order.
        outputs: graph outputs, in order; an output of unknown rank has the shape (None,).
        opset: version of the default operator set.
        batch: the batch that the inputs fix, or None where it is free; of feeds, 1.
        feeding: what the spec says of how it is fed.
        axes: where the samples of its inputs are; along the first axis of one that is not named.
        notes: what became of it on the way.
        files: its external data, to be looked at once more before anything is stored or told of it.
    """

    path: Path
    sha256: str
    identity: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    batch: int | None
    feeding: Feeding = AS_EVER
    axes: InputAxes = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[Witness, ...] = ()


def load_model(store: Store, ref: ModelRef, scratch: Path, feeding: Feeding = AS_EVER) -> LoadedModel:
    """Fetch a model with its external data and check everything that can be known before it runs.

    Args:
        store: where it lies.
        ref: its URI and, where given, its SHA-256.
        scratch: folder for it; each URI gets a folder of its own below.
        feeding: how its inputs are fed.

    Raises:
        InvalidInput: missing, empty, not ONNX, truncated, wrong digest, external data missing, no inputs, operators
            or versions that ONNX Runtime does not run; or it cannot be fed so.
        Unavailable: the store does not answer, the disk is full, memory is short.
    """
    folder = scratch / "models" / hashlib.sha256(ref.uri.encode()).hexdigest()[:16]
    path = fetch_model(store, ref, folder)
    # Side by side, for each reads all of the file: a digest and ONNX Runtime leave the interpreter to the others.
    with ThreadPoolExecutor(2, "check") as beside:
        digest = beside.submit(pinned_sha256, path, ref.uri, ref.sha256, "model")
        if ref.sha256:
            digest.result()  # What is not the file that was meant need not be looked at.
        proto = read_proto(path, ref.uri)
        files = fetch_external(store, proto, ref.uri, folder)
        others = beside.submit(external_digests, files, folder)
        shown = beside.submit(check_runs, path, ref.uri)
        check_graph(path, proto, ref.uri)
        shapes, sha256, external = shown.result(), digest.result(), others.result()
    inputs = _inputs(proto, ref.uri)
    opsets = {o.domain: int(o.version) for o in proto.opset_import}
    loaded = LoadedModel(
        path=path,
        sha256=sha256,
        identity=identity_of(sha256, external),
        files=files,
        inputs=inputs,
        outputs=tuple(_output(o, shapes.get(o.name)) for o in proto.graph.output),
        opset=opsets.get("", opsets.get("ai.onnx", 1)),
        batch=None,
    )
    return as_fed(loaded, feeding, ref.uri)


def as_fed(model: LoadedModel, feeding: Feeding, uri: str) -> LoadedModel:
    """The model, to be fed in this way.

    Args:
        model: fed in any way.
        feeding: how its inputs are fed.
        uri: of the model, for a sentence.

    Raises:
        InvalidInput: it cannot be fed so.
    """
    check_declared(model.inputs, uri)
    axes = input_axes(model.inputs, feeding, uri)
    batch = 1 if feeding.feeds else fixed_batch(model.inputs, axes, uri)
    return replace(model, feeding=feeding, axes=axes, batch=batch)


def _inputs(proto: Any, uri: str) -> tuple[TensorSpec, ...]:
    constants = {t.name for t in proto.graph.initializer} | {t.values.name for t in proto.graph.sparse_initializer}
    inputs = tuple(_input(i, uri) for i in proto.graph.input if i.name not in constants)
    if not inputs:
        raise InvalidInput(f"the model {uri} has no inputs, so no dataset can be fed to it: export it with its inputs")
    return inputs


def _input(info: Any, uri: str) -> TensorSpec:
    dtype = _dtype(info)
    if dtype is None or dtype.hasobject:
        raise InvalidInput(
            f"input {info.name!r} of the model {uri} is no tensor of numbers, and datasets hold nothing else: "
            "export the model without the steps before its first numeric tensor"
        )
    if dtype.name not in FED:
        raise InvalidInput(
            f"input {info.name!r} of the model {uri} is {dtype.name}, a type that .npz cannot hold: export the "
            f"model with a float32 input, and a Cast to {dtype.name} behind it, and store float32"
        )
    if not info.type.tensor_type.HasField("shape"):
        raise InvalidInput(f"input {info.name!r} of the model {uri} has no shape: export the model with input shapes")
    return TensorSpec(info.name, dtype, _dims(info))


def _output(info: Any, runtime_shape: tuple[int | str | None, ...] | None) -> TensorSpec:
    import numpy as np

    dtype = _dtype(info)
    shape = _dims(info) if info.type.tensor_type.HasField("shape") else runtime_shape or (None,)
    return TensorSpec(info.name, np.dtype(object) if dtype is None else dtype, shape)


def _dtype(info: Any) -> Any:
    from onnx import helper

    if not info.type.HasField("tensor_type"):
        return None
    try:
        return helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    except KeyError:
        return None


def _dims(info: Any) -> tuple[int | str | None, ...]:
    return tuple(
        int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or None
        for d in info.type.tensor_type.shape.dim
    )
