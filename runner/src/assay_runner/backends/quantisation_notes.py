"""What a reader of the report must know of an 8-bit model that was made here: how, what was left, what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import onnx

from assay_runner.backends.conversion import listed
from assay_runner.backends.found import Range
from assay_runner.backends.order import Quantisation
from assay_runner.evidence import Cut
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.slots import Chosen, told
from assay_runner.tensors import Site

UNCHANGED: Final = frozenset({"Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})
"""They move all elements of their first input, and leave none out."""
HALF = 0.5
"""Share of a tensor's range below which it is told that calibration cuts it."""


def cut_of(found: Mapping[str, Range], method: str, readers: Mapping[str, str]) -> Cut | None:
    """Where most of a range is cut."""
    shares = {name: each.end / each.peak for name, each in found.items() if each.peak and each.end < HALF * each.peak}
    if not shares:
        return None
    name = min(shares, key=shares.__getitem__)
    return Cut(name, readers[name], method, found[name].end, found[name].peak, len(shares) - 1)


def seen_of(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """By graph input, the range of what is quantised of it as it is, or moved.

    Args:
        model: its pairs may be there or not.
        ranges: by quantised tensor.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    inputs = {value.name for value in model.graph.input}
    found: dict[str, Range] = {}
    for tensor, its in ranges.items():
        name = tensor
        while name in makers and makers[name].op_type in UNCHANGED and makers[name].domain in ("", "ai.onnx"):
            name = makers[name].input[0]
        if name in inputs:
            before = found.get(name, its)
            found[name] = Range(max(its.end, before.end), max(its.peak, before.peak))
    return found


def cuts(kind: EightBit, cut: Cut | None) -> tuple[str, ...]:
    """A note on where calibration cuts; none where it does not."""
    if cut is None:
        return ()
    share = f"{100 * cut.end / cut.peak:.2g} %"
    more = f", and {cut.others} more to less than half" if cut.others else ""
    return (f"{kind}: {cut.method} cuts tensor {cut.tensor!r} to {share} of its range{more}; minmax would keep all",)


def held_note(kind: EightBit, kept: Sequence[str]) -> tuple[str, ...]:
    """A note on the nodes that are held; none where none is."""
    return (f"{kind}: held to another precision as asked, with no Q/DQ in front: {listed(kept)}",) if kept else ()


def quantisation_notes(
    kind: EightBit,
    calibration: Quantisation,
    samples: int,
    largest: dict[str, float],
    chosen: Chosen,
    inside: Sequence[Site],
) -> tuple[str, ...]:
    """How it was made, and what is not quantised.

    Args:
        kind: the format.
        calibration: how ranges were found.
        samples: number of samples they were found with.
        largest: where each range ends.
        chosen: what is quantised.
        inside: nodes inside whose control flow products stand.
    """
    form = FORMATS[kind]
    scales = "per channel" if calibration.per_channel and form.per_channel else "per tensor"
    if calibration.weights_only:
        products = len({slot.node for slot in chosen.slots})
        notes = [
            f"{kind}: weights of {products} products in 8 bits behind DequantizeLinear, symmetric, {scales}; "
            "activations as they are"
        ]
    else:
        notes = [
            f"{kind}: Q/DQ in front of {', '.join(form.operators)}, symmetric, weights {scales}, ranges of "
            f"{len(largest)} tensors by {calibration.called} from {samples} calibration samples"
        ]
    if chosen.left:
        names = listed(list(chosen.left))
        notes.append(
            f"{kind}: left in floating point, as TensorRT has no {form.label} kernel: {names}; {told(chosen.left)}"
        )
    if inside:
        nodes = listed([site.node or site.tensor for site in inside])
        notes.append(
            f"{kind}: products inside the control flow of {nodes} are not quantised, they run in floating point"
        )
    if dead := [name for name, value in largest.items() if value == 0]:
        notes.append(f"always zero on the calibration set: {listed(dead)}")
    return tuple(notes)
