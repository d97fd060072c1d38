"""Element types and ranks of every tensor of a graph, as ONNX Runtime infers them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import onnx
from onnx import TensorProto, helper

from assay_runner.backends.sessions import DTYPES, TEXT, OrtSession, Purpose
from assay_runner.graphs.documents import save
from assay_runner.graphs.taps import sites, tapped

ELEMENT_TYPES: Mapping[str, int] = MappingProxyType(
    {
        name: TensorProto.BFLOAT16 if name == "tensor(bfloat16)" else helper.np_dtype_to_tensor_dtype(dtype)
        for name, dtype in DTYPES.items()
    }
)

KEPT: Final = 4
"""Graphs of which it is remembered."""
_KNOWN: dict[bytes, Inspection] = {}


@dataclass(frozen=True)
class Inspection:
    """What the tensors of the outer graph are.

    Attributes:
        types: `TensorProto` element type by name: node outputs, graph inputs and initialisers that are tensors of
            numbers.
        ranks: number of axes by name, where known.
        skipped: node outputs that are sequences or optionals.
        texts: node outputs that are strings.
    """

    types: Mapping[str, int]
    ranks: Mapping[str, int]
    skipped: tuple[str, ...]
    texts: tuple[str, ...] = ()

    @property
    def floats(self) -> frozenset[str]:
        """Names of the FP32 tensors."""
        return frozenset(name for name, kind in self.types.items() if kind == TensorProto.FLOAT)


def inspect(model: onnx.ModelProto, folder: Path) -> Inspection:
    """Ask ONNX Runtime what each tensor of a localised model is; `folder` holds its weights.

    It is asked once about a graph: of one with thousands of nodes the answer takes as long as a run.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    # Of the graph alone: types and ranks do not depend on what lies in its files of weights.
    key = hashlib.sha256(model.SerializeToString(deterministic=True)).digest()
    if (known := _KNOWN.get(key)) is not None:
        return known
    everything = {site.tensor for site in sites(model)}
    path = save(tapped(model, everything), folder / "inspected.onnx")
    try:
        session = OrtSession(path, Purpose.EXACT)
    finally:
        path.unlink()
    found = _KNOWN[key] = inspection_of(session, model)
    while len(_KNOWN) > KEPT:
        del _KNOWN[next(iter(_KNOWN))]
    return found


def inspection_of(session: OrtSession, model: onnx.ModelProto) -> Inspection:
    """What a session tells of the tensors that it shows, and the model of its weights."""
    found = {**session.types, **session.inputs}
    types = {name: ELEMENT_TYPES[kind] for name, kind in found.items() if kind in ELEMENT_TYPES}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    texts = tuple(sorted(name for name, kind in found.items() if kind == TEXT))
    skipped = (name for name, kind in found.items() if kind not in ELEMENT_TYPES and kind != TEXT)
    return Inspection(types, session.ranks, tuple(sorted(skipped)), texts)
