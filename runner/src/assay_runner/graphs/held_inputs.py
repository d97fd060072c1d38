"""Branches that inputs held constant decide: the one that is taken stands in the graph then, where it can be looked at.

An exporter leaves an If where one model serves several rates of sampling, or runs with and without a cache. Where an
audit feeds it one of these alone, a builder that is told so makes one branch of it, and so do golden and candidates.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from assay_runner.graphs.branches import deciding
from assay_runner.graphs.documents import load_graph, load_outline, save
from assay_runner.graphs.weights import localise
from assay_runner.models.feeding import constant_values
from assay_runner.models.loading import LoadedModel
from assay_runner.models.outline import FEW
from assay_runner.tensors import Array


def with_held_inputs(model: LoadedModel) -> LoadedModel:
    """The model, each If of its outer graph that inputs held constant decide replaced by the nodes of its branch.

    An input stays one, though nothing may read it any more. The model is written into a folder of its own.

    Args:
        model: as it is fed.

    Raises:
        InvalidInput: a constant does not fit its input.
    """
    if not model.feeding.constants:
        return model
    if not any(node.op_type == "If" for node in load_outline(model.path).graph.node):
        return model
    held = _shared(model)
    taken = deciding(load_outline(model.path), held)
    if not taken:
        return model
    said = ", ".join(f"{name}={_value(array)}" for name, array in sorted(held.items()))
    digest = hashlib.sha256(f"{model.identity} {said}".encode()).hexdigest()
    folder = model.path.parent / f"held-{digest[:16]}"
    path = folder / model.path.name
    if not path.exists():
        folder.mkdir(exist_ok=True)
        whole = load_graph(model.path)
        deciding(whole, held)
        save(localise(whole, model.path.parent, folder), path)
    branches = ", ".join(f"{branch} of {node!r} (If)" for node, branch in taken.items())
    note = f"dataset.inputs holds {said}, which decides the branches that are taken and audited: {branches}"
    return replace(model, path=path, identity=digest, notes=(*model.notes, note))


def _shared(model: LoadedModel) -> dict[str, Array]:
    """Constants that are one for all samples, and small; what has a row for each is no condition."""
    found = constant_values(model.inputs, model.axes, model.feeding)
    return {name: array for name, array in found.items() if model.axes.get(name, 0) is None and array.size <= FEW}


def _value(array: Array) -> str:
    values = array.reshape(-1).tolist()
    return str(values[0]) if len(values) == 1 else str(values)
