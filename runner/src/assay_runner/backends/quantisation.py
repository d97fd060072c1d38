"""An 8-bit model by explicit Q/DQ pairs, for ONNX Runtime to emulate and for TensorRT's parser to build.

Ranges come from the calibration set; the graph is written by `graphs.pairs`, the way TensorRT wants it. ONNX Runtime's
own quantiser is not used: it takes the range of FP8 tensors from a fixed distribution and gives TensorRT zero scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import onnx

from assay_runner.backends.calibration import ranges
from assay_runner.backends.constants import Constants
from assay_runner.backends.conversion import fp32_model, localised, upgraded
from assay_runner.backends.emulation import NOTHING
from assay_runner.backends.found import Range
from assay_runner.backends.inspection import inspect
from assay_runner.backends.order import Quantisation
from assay_runner.backends.quantisation_notes import cut_of, cuts, held_note, quantisation_notes, seen_of
from assay_runner.backends.schemes import nothing_to_quantise
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import CannotBuild, InvalidInput
from assay_runner.evidence import Cut
from assay_runner.graphs.batch_shapes import FIRST
from assay_runner.graphs.control_flow import containing
from assay_runner.graphs.documents import save
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.pairs import insert
from assay_runner.graphs.sample_axes import declared_axes
from assay_runner.graphs.slots import Chosen, choose
from assay_runner.graphs.taps import name_of, sites, tapped
from assay_runner.graphs.weights import localise, packed
from assay_runner.tensors import Batches, InputAxes, Progress, Site

INSIDE: Final = 64 << 20
"""Bytes of weights that stand inside a model that is built: one with more in it takes memory for every copy."""


@dataclass(frozen=True)
class Quantised:
    """A model with Q/DQ pairs.

    Attributes:
        path: where it lies.
        notes: what to know about it.
        cut: where its calibration cuts most of a tensor's range.
        seen: by graph input that is quantised, its range.
    """

    path: Path
    notes: tuple[str, ...]
    cut: Cut | None
    seen: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """A model about to be quantised.

    Attributes:
        path: the model in FP32, of an operator set that knows the format.
        model: localised.
        place: where its weights lie.
        fixed: its constants.
        chosen: what is to be quantised.
        inside: nodes inside whose control flow products stand.
        notes: how it came to be in FP32.
    """

    path: Path
    model: onnx.ModelProto
    place: Path
    fixed: Constants
    chosen: Chosen
    inside: Sequence[Site]
    notes: tuple[str, ...]

    @property
    def wanted(self) -> frozenset[str]:
        """The tensors that need ranges."""
        return frozenset(slot.tensor for slot in self.chosen.slots if not slot.weight)

    @property
    def readers(self) -> dict[str, str]:
        """The first node that reads each of the tensors to be quantised."""
        return {slot.tensor: name_of(self.model.graph.node[slot.node]) for slot in reversed(self.chosen.slots)}

    def session(self) -> OrtSession:
        """The model in FP32, with the tensors that need ranges shown; graph inputs among them are not."""
        shown = save(tapped(self.model, self.wanted), self.place / "shown.onnx")
        return OrtSession(shown, Purpose.EXACT, self.wanted & {site.tensor for site in sites(self.model)})


@contextmanager
def ready(
    path: Path, calibration: Quantisation, folder: Path, kind: EightBit, held: Mapping[str, str]
) -> Iterator[Ready]:
    """Choose what to quantise of a model; what is derived for that in `folder` is gone afterwards.

    Raises:
        CannotBuild: nothing in it can be quantised, or all of that is held.
        InvalidInput: ONNX Runtime refuses the model.
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
            raise CannotBuild(nothing_to_quantise(name, kind, chosen, inside, model))
        if calibration.weights_only:
            chosen.slots = [slot for slot in chosen.slots if slot.weight]
            if not chosen.slots:
                raise CannotBuild(f"no product in {name} reads a weight, so there are none to quantise alone")
        yield Ready(path, model, place, fixed, chosen, inside, own.notes)


def quantised_model(
    path: Path,
    calibration: Quantisation,
    batches: Batches | None,
    folder: Path,
    progress: Progress,
    kind: EightBit = "int8",
    held: Mapping[str, str] = NOTHING,
    inputs: InputAxes = FIRST,
    zeros: bool = True,
) -> Quantised:
    """Write the model with Q/DQ pairs into `folder`.

    Args:
        path: the ONNX model.
        calibration: how ranges are found, or what they are.
        batches: calibration inputs; None where none need to be read.
        folder: where the model is written: one file, or more where its weights exceed 64 MiB.
        progress: told how far it is.
        kind: the 8-bit format.
        held: precision by name of the nodes that get no pairs.
        inputs: where the samples of its inputs are.
        zeros: whether the zero points of large weights are written out.

    Raises:
        CannotBuild: nothing in it can be quantised, or all of that is held, or a tensor or weight is not finite.
        InvalidInput: the calibration set is empty, ranges are missing, or ONNX Runtime refuses the model.
    """
    with ready(path, calibration, folder, kind, held) as it:
        found = _ranges(it, calibration, batches, progress, kind, inputs)
        found = {name: found[name] for name in sorted(it.wanted)}
        largest = {name: each.end for name, each in found.items()}
        cut = cut_of(found, calibration.called, it.readers)
        seen = seen_of(it.model, found)
        convert = insert(it.model, it.chosen.slots, largest, kind, it.fixed, zeros)
        localise(it.model, it.place, _made(it.place / "quantised"), convert)
        target = packed(save(it.model, it.place / "quantised" / "model.onnx"), folder, limit=INSIDE, links=True)
    samples = calibration.found.samples if calibration.found else batches.samples if batches else 0
    notes = quantisation_notes(kind, calibration, samples, largest, it.chosen, it.inside)
    return Quantised(target, (*it.notes, *notes, *cuts(kind, cut), *held_note(kind, it.chosen.held)), cut, seen)


def _ranges(
    it: Ready, calibration: Quantisation, batches: Batches | None, progress: Progress, kind: EightBit, inputs: InputAxes
) -> Mapping[str, Range]:
    if calibration.weights_only:
        return {}
    if calibration.found:
        known = dict(calibration.found.ranges)
        if lost := sorted(it.wanted - known.keys()):
            raise InvalidInput(f"no range is known of tensor {lost[0]!r}: the ranges are of another model")
        return known
    if batches is None:
        raise InvalidInput("the candidate needs its calibration inputs to be built")
    return ranges(
        it.session(), batches, it.wanted, calibration.method, progress,
        axes=declared_axes(it.path, inputs), percentile=calibration.percentile, kind=kind,
    )  # fmt: skip


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


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
