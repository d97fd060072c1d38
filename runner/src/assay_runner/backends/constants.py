"""Values of constant tensors, weights as they are stored and those behind nodes that a builder folds; one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.graphs.constants import Upstream, constants, static_shape
from assay_runner.graphs.documents import save
from assay_runner.graphs.weights import weight
from assay_runner.tensors import Array


class Constants:
    """The constant tensors of a model; nothing is computed before it is asked for."""

    def __init__(self, model: onnx.ModelProto, source: Path) -> None:
        """Remember the model as it is now.

        Args:
            model: localised.
            source: folder in which its weights lie, and stay.
        """
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._source, self._upstream = source, Upstream(self._model)
        self._stored = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.names = constants(self._model)

    def __contains__(self, name: object) -> bool:
        """Whether a tensor is constant."""
        return name in self.names

    def stored(self, name: str) -> bool:
        """Whether it is a weight as it is stored; else nodes make it."""
        return name in self._stored

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a constant.

        Raises:
            InvalidInput: ONNX Runtime cannot compute it.
        """
        if name in self._stored:
            return tuple(self._stored[name].dims)
        if name not in self._shapes:
            known = static_shape(self._upstream.of(name))
            self._shapes[name] = self.value(name).shape if known is None else known
        return self._shapes[name]

    def value(self, name: str) -> Array:
        """The values of a constant; of a stored one they may be mapped.

        Raises:
            InvalidInput: ONNX Runtime cannot compute it.
        """
        if name in self._stored:
            return weight(self._stored[name], self._source)
        path = save(self._upstream.of(name), self._source / "constant.onnx")
        try:
            return np.array(OrtSession(path, Purpose.EXACT).run({})[name])
        finally:
            path.unlink()
