"""Gradient-boosted trees, trained here: no package ships such a model as ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["boosted_data", "boosted_model"]

TRAINED = 1200
"""Digits that the model is trained on; it is audited on others."""


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.data.astype(np.float32) / 16, loaded.target.astype(np.int64)


def boosted_model() -> bytes:
    """20 rounds of trees for ten classes, with their probabilities as a tensor."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingClassifier

    pixels, labels = _digits()
    trained = GradientBoostingClassifier(n_estimators=20, max_depth=3, max_features=8, random_state=0)
    trained.fit(pixels[:TRAINED], labels[:TRAINED])
    model: bytes = to_onnx(trained, pixels[:1], options={"zipmap": False}, target_opset=17).SerializeToString()
    return model


def boosted_data(random: np.random.Generator, samples: int) -> dict[str, NDArray[Any]]:
    """Digits that it has not seen, with their labels."""
    pixels, labels = _digits()
    chosen = TRAINED + random.permutation(len(pixels) - TRAINED)[:samples]
    return {"X": pixels[chosen], "label": labels[chosen]}
