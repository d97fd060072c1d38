"""Which graph inputs may hold NaN: those that a model reads as missing values.

NaN in data is a mistake, but where the model asks for it: trees know where to go on without a feature, an Imputer fills
it in, and IsNaN says where it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from assay_runner.models.outline import nodes_of, read_outline

ASKS: Final = frozenset({"IsNaN", "Imputer", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
"""Operators that treat NaN as something else than a number."""
HANDS_ON: Final = frozenset(
    {
        "Identity",
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Split",
        "Gather",
        "Concat",
        "Expand",
        "Where",
        "Cast",
        "CastLike",
        "Scaler",
        "ArrayFeatureExtractor",
        "FeatureVectorizer",
    }
)
"""Operators that make each element of one, so that what was missing still is."""


def may_be_missing(path: Path) -> frozenset[str]:
    """Graph inputs whose NaN a model asks for, by a node that reads them or what they were handed on as.

    Raises:
        google.protobuf.message.DecodeError: the file is no ONNX model.
    """
    graph = read_outline(path).graph
    came: dict[str, frozenset[str]] = {value.name: frozenset({value.name}) for value in graph.input}
    found: set[str] = set()
    for node in nodes_of(graph.node):
        sources = frozenset[str]().union(*(came.get(name, frozenset()) for name in node.input))
        if node.op_type in ASKS:
            found |= sources
        if node.op_type in HANDS_ON:
            came |= {name: came.get(name, frozenset()) | sources for name in node.output}
    return frozenset(found)
