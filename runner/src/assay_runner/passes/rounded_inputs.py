"""What rounding the graph inputs to the candidate's format does by itself: to them, and to what is computed from them.

A candidate rounds what it is fed, so a node that reads a graph input has that rounding in its local error. Whether it
is what the error comes of is seen by feeding golden with rounded inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import onnx

from assay_runner.backends import Built
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.evidence import LayerErrors
from assay_runner.golden.reference import Reference
from assay_runner.graphs.rounding import CASTS, rounder
from assay_runner.graphs.upstream import nearest
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Array, Batch

LARGE: Final = 20.0
"""dB of its own below which a tensor is asked about: one rounding to FP16 or BF16 leaves more than twice that."""


def with_rounding(
    errors: LayerErrors, graph: onnx.ModelProto, reference: Reference, built: Built, batches: Iterable[Batch]
) -> LayerErrors:
    """The errors with what comes of rounding alone, of tensors whose own error is large and that read graph inputs.

    Only where there are such tensors is golden run again; where it cannot be run so, the errors as they are.

    Args:
        errors: what was measured.
        graph: what the tensors are named after.
        reference: golden.
        built: the candidate.
        batches: the dataset's, in parts that fit into memory.
    """
    if built.precision not in CASTS:
        return errors
    fed = {value.name for value in graph.graph.input} - {tensor.name for tensor in graph.graph.initializer}
    reads = nearest(graph, errors.reads.keys() | fed)
    large = [layer.site.tensor for layer in errors.layers if layer.local and layer.local.snr < LARGE]
    asked = [name for name in large if not fed.isdisjoint(reads.get(name, ()))]
    if not asked:
        return errors
    try:
        found = _compared(asked, reference, rounder(built.precision), batches)
    except (InvalidInput, Unavailable):
        return errors
    decibels = {name: sums.snr for name, sums in found.items()}
    inputs = {name: each for name, each in decibels.items() if name in fed and each < float("inf")}
    kept = nearest(graph, errors.reads.keys() | inputs.keys())
    return replace(errors, reads=kept, inputs=inputs, rounding={n: decibels[n] for n in asked if n in decibels})


def _compared(
    asked: Sequence[str], reference: Reference, through: Callable[[Array], Array], batches: Iterable[Batch]
) -> dict[str, Sums]:
    """Graph inputs, and these tensors of golden's, as they are against as they are where the inputs are rounded."""
    found: dict[str, Sums] = {}
    for part in batches:
        rounded = {name: through(array) for name, array in part.inputs.items() if array.dtype == "float32"}
        golden = {**part.inputs, **reference.tensors(part, asked)}
        again = {**rounded, **reference.of_others({**part.inputs, **rounded}, asked)}
        for name in (*rounded, *asked):
            if name in golden and name in again and golden[name].shape == again[name].shape:
                found.setdefault(name, Sums()).add(golden[name], again[name])
    return found
