"""An 8-bit model by explicit Q/DQ pairs, for ONNX Runtime to emulate and for TensorRT's parser to build.

Ranges come from the calibration set; the graph is written by `graphs.pairs`, the way TensorRT wants it. ONNX Runtime's
own quantiser is not used: it takes the range of FP8 tensors from a fixed distribution and gives TensorRT zero scales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from assay_runner.backends.calibration import Range, ranges
from assay_runner.backends.constants import Constants
from assay_runner.backends.conversion import fp32_model, listed, localised, upgraded
from assay_runner.backends.emulation import NOTHING
from assay_runner.backends.inspection import inspect
from assay_runner.backends.order import Quantisation
from assay_runner.backends.schemes import nothing_to_quantise
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Cut
from assay_runner.graphs.batch_shapes import FIRST
from assay_runner.graphs.control_flow import containing
from assay_runner.graphs.documents import localise, save
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.pairs import insert
from assay_runner.graphs.sample_axes import declared_axes
from assay_runner.graphs.slots import Chosen, choose, told
from assay_runner.graphs.taps import name_of, sites, tapped
from assay_runner.tensors import Batches, InputAxes, Progress, Site

INSIDE_LIMIT = 1 << 30
HALF = 0.5
"""Share of a tensor's range below which it is told that calibration cuts it."""


@dataclass(frozen=True)
class Quantised:
    """A model with Q/DQ pairs.

    Attributes:
        path: where it lies.
        notes: what to know about it.
        cut: where its calibration cuts most of a tensor's range.
    """

    path: Path
    notes: tuple[str, ...]
    cut: Cut | None


def quantised_model(
    path: Path,
    calibration: Quantisation,
    batches: Batches,
    folder: Path,
    progress: Progress,
    kind: EightBit = "int8",
    held: Mapping[str, str] = NOTHING,
    inputs: InputAxes = FIRST,
) -> Quantised:
    """Write the model with Q/DQ pairs into `folder`.

    Args:
        path: the ONNX model.
        calibration: how ranges are found.
        batches: calibration inputs.
        folder: where the model is written: one file, or two where its weights exceed 1 GiB.
        progress: told how far it is.
        kind: the 8-bit format.
        held: precision by name of the nodes that get no pairs.
        inputs: where the samples of its inputs are.

    Raises:
        InvalidInput: nothing in it can be quantised, or all of that is held, the calibration set is empty, a tensor or
            weight is not finite, or ONNX Runtime refuses the model.
    """
    name, form = path.name, FORMATS[kind]
    own = fp32_model(path, _made(folder / "fp32"))
    path = upgraded(own.path, kind, _made(folder / "newer"), name)
    with TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch)
        model = localised(path, place)
        fixed, floats = Constants(model, place), inspect(model, place).floats
        inside = containing(model, form.operators)
        chosen = choose(model, floats, kind, calibration.per_channel, fixed, held)
        if not chosen.slots:
            raise InvalidInput(nothing_to_quantise(name, kind, chosen, inside, model))
        wanted = frozenset(slot.tensor for slot in chosen.slots if not slot.weight)
        shown = save(tapped(model, wanted), place / "shown.onnx")
        session = OrtSession(shown, Purpose.EXACT, wanted & {site.tensor for site in sites(model)})
        percentile = calibration.percentile
        method, axes = calibration.method, declared_axes(path, inputs)
        found = ranges(session, batches, wanted, method, progress, axes=axes, percentile=percentile, kind=kind)
        del session
        largest = {name: each.end for name, each in found.items()}
        readers = {slot.tensor: name_of(model.graph.node[slot.node]) for slot in reversed(chosen.slots)}
        cut = _cut(found, _called(calibration), readers)
        convert = insert(model, chosen.slots, largest, kind, fixed)
        localise(model, place, _made(place / "quantised"), convert)
        target = packed(save(model, place / "quantised" / "model.onnx"), folder)
    notes = _notes(kind, calibration, batches.samples, largest, chosen, inside)
    return Quantised(target, (*own.notes, *notes, *_cuts(kind, cut), *_held(kind, chosen.held)), cut)


def quantised_nodes(path: Path, calibration: Quantisation, kind: EightBit, folder: Path) -> frozenset[str]:
    """Names of the nodes that would get Q/DQ pairs, were none held.

    Args:
        path: the ONNX model.
        calibration: how it is quantised.
        kind: the 8-bit format.
        folder: to work in; empty.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    newer = upgraded(fp32_model(path, _made(folder / "fp32")).path, kind, _made(folder / "newer"), path.name)
    model = localised(newer, _made(folder / "own"))
    fixed, floats = Constants(model, folder / "own"), inspect(model, folder / "own").floats
    chosen = choose(model, floats, kind, calibration.per_channel, fixed)
    return frozenset(name_of(model.graph.node[slot.node]) for slot in chosen.slots)


def _cut(found: Mapping[str, Range], method: str, readers: Mapping[str, str]) -> Cut | None:
    """Where most of a range is cut."""
    shares = {name: each.end / each.peak for name, each in found.items() if each.peak and each.end < HALF * each.peak}
    if not shares:
        return None
    name = min(shares, key=shares.__getitem__)
    return Cut(name, readers[name], method, found[name].end, found[name].peak, len(shares) - 1)


def _cuts(kind: EightBit, cut: Cut | None) -> tuple[str, ...]:
    if cut is None:
        return ()
    share = f"{100 * cut.end / cut.peak:.2g} %"
    more = f", and {cut.others} more to less than half" if cut.others else ""
    return (f"{kind}: {cut.method} cuts tensor {cut.tensor!r} to {share} of its range{more}; minmax would keep all",)


def _called(calibration: Quantisation) -> str:
    method: str = calibration.method
    return f"percentile {calibration.percentile:g}" if method == "percentile" else method


def _held(kind: EightBit, kept: Sequence[str]) -> tuple[str, ...]:
    return (f"{kind}: held to another precision as asked, with no Q/DQ in front: {listed(kept)}",) if kept else ()


def packed(path: Path, folder: Path) -> Path:
    """The model moved into `folder`, with its weights inside where they are not too large for one file."""
    target = folder / path.name
    files = list(path.parent.iterdir())
    if sum(file.stat().st_size for file in files) <= INSIDE_LIMIT:
        onnx.save(onnx.load(str(path)), str(target))
    else:
        for file in files:
            file.replace(folder / file.name)
    return target


def _notes(
    kind: EightBit,
    calibration: Quantisation,
    samples: int,
    largest: dict[str, float],
    chosen: Chosen,
    inside: Sequence[Site],
) -> tuple[str, ...]:
    form = FORMATS[kind]
    scales = "per channel" if calibration.per_channel and form.per_channel else "per tensor"
    notes = [
        f"{kind}: Q/DQ in front of {', '.join(form.operators)}, symmetric, weights {scales}, ranges of {len(largest)} "
        f"tensors by {_called(calibration)} from {samples} calibration samples"
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


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
