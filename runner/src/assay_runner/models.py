"""An ONNX model on disk, checked once when it is fetched and trusted from then on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay_runner.tensors import TensorSpec


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check of `load_model`.

    Attributes:
        path: the ONNX file; external data lie beside it.
        sha256: of the ONNX file.
        identity: digest of the ONNX file and its external data; equal identities compute the same.
        inputs: graph inputs without initialisers, in order.
        outputs: graph outputs, in order.
        opset: version of the default operator set.
        batch: the fixed batch of the inputs' first axis, or None where it is free.
    """

    path: Path
    sha256: str
    identity: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    batch: int | None
