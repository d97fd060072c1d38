"""An 8-bit model by explicit Q/DQ pairs, for ONNX Runtime to emulate and for TensorRT's parser to build.

Ranges come from the calibration set; the graph is written by `graphs.pairs`, the way TensorRT wants it. ONNX Runtime's
own quantiser is not used: it takes the range of FP8 tensors from a fixed distribution and gives TensorRT zero scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import TensorProto

from assay_api.audit import Calibration
from assay_runner.backends.calibration import ranges
from assay_runner.backends.emulation import fp32_model, listed, localised, upgraded
from assay_runner.backends.inspection import inspect
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Site
from assay_runner.graphs.documents import load_outline, localise, save, subgraphs
from assay_runner.graphs.eight_bit import FORMATS, EightBit
from assay_runner.graphs.inside import containing
from assay_runner.graphs.pairs import insert, slots
from assay_runner.graphs.sample_axes import declared_axes
from assay_runner.graphs.taps import sites, tapped
from assay_runner.tensors import Batches, Progress

INSIDE_LIMIT = 1 << 30
STORED = {
    "int8": frozenset({TensorProto.INT8, TensorProto.UINT8}),
    "fp8": frozenset({TensorProto.FLOAT8E4M3FN}),
}


def quantised_model(
    path: Path,
    calibration: Calibration,
    batches: Batches,
    folder: Path,
    progress: Progress,
    kind: EightBit = "int8",
) -> tuple[Path, tuple[str, ...]]:
    """Write the model with Q/DQ pairs into `folder`; returns its path and what to know about it.

    Args:
        path: the ONNX model.
        calibration: how ranges are found.
        batches: calibration inputs.
        folder: where the model is written: one file, or two where its weights exceed 1 GiB.
        progress: told how far it is.
        kind: the 8-bit format.

    Raises:
        InvalidInput: nothing in it can be quantised, the calibration set is empty, a tensor or weight is not finite, or
            ONNX Runtime refuses the model.
    """
    form = FORMATS[kind]
    path = upgraded(fp32_model(path, _made(folder / "fp32")), kind, _made(folder / "newer"))
    with TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch)
        model = localised(path, place)
        floats = inspect(model, place).floats
        inside = containing(model, form.operators)
        chosen, left = slots(model, floats, kind, calibration.per_channel)
        if not chosen:
            if _stored(path):
                raise InvalidInput(
                    f"{path.name} has Q/DQ pairs inside already, so calibration finds nothing to put any in front of: "
                    "remove calibration, and the model is taken as it was trained"
                )
            why = f" that TensorRT runs in {form.label}" if left else ""
            operators = ", ".join(form.operators)
            raise InvalidInput(f"{path.name} has none of {operators}{why}: there is nothing to run in {form.label}")
        wanted = frozenset(slot.tensor for slot in chosen if not slot.weight)
        shown = save(tapped(model, wanted), place / "shown.onnx")
        session = OrtSession(shown, Purpose.EXACT, wanted & {site.tensor for site in sites(model)})
        percentile = calibration.percentile
        method, axes = calibration.method, declared_axes(path)
        largest = ranges(session, batches, wanted, method, progress, axes=axes, percentile=percentile, kind=kind)
        del session
        convert = insert(model, chosen, largest, kind, place)
        localise(model, place, _made(place / "quantised"), convert)
        target = _packed(save(model, place / "quantised" / "model.onnx"), folder)
    return target, _notes(kind, calibration, batches.samples, largest, left, inside)


def own_pairs(path: Path, kind: EightBit) -> None:
    """Do nothing if the model has Q/DQ pairs of this format inside.

    Raises:
        InvalidInput: it has none, so that building it would give no 8-bit engine.
    """
    found = _stored(path)
    if found & STORED[kind]:
        return
    label = FORMATS[kind].label
    held = "none" if not found else "only " + ", ".join(sorted(TensorProto.DataType.Name(k) for k in found))
    raise InvalidInput(
        f"{path.name} has no {label} QuantizeLinear and DequantizeLinear pairs inside ({held}): give the candidate "
        "calibration to have them put in, or a model trained with them"
    )


def no_pairs(path: Path) -> None:
    """Do nothing if the model has no Q/DQ pairs inside.

    Raises:
        InvalidInput: it has some, so that the builder would take their scales and calibrate nothing.
    """
    if _stored(path):
        raise InvalidInput(
            f"{path.name} has Q/DQ pairs inside, beside which TensorRT's own calibrator does nothing: remove "
            "calibration, and the model is taken as it was trained, or set calibration.quantization: explicit"
        )


def _stored(path: Path) -> set[int]:
    """Element types that the model's own pairs hold."""
    return {kind for graph in _graphs(load_outline(path).graph) for kind in _stored_types(graph)}


def _stored_types(graph: onnx.GraphProto) -> set[int]:
    """Element types of what the graph's DequantizeLinear nodes read."""
    known = {tensor.name: tensor.data_type for tensor in graph.initializer}
    found = set()
    for node in graph.node:
        # What a Q makes, and a DQ reads, has the type of the zero point; without one it is said, or uint8.
        said = [known[name] for name in node.input[2:] if name in known]
        said += [a.i for a in node.attribute if a.name == "output_dtype" and a.i]
        match node.op_type:
            case "QuantizeLinear":
                known[node.output[0]] = next(iter(said), TensorProto.UINT8)
            case "DequantizeLinear":
                found.add(known.get(node.input[0], next(iter(said), TensorProto.UNDEFINED)))
            case "Constant":
                known.update((node.output[0], a.t.data_type) for a in node.attribute if a.name == "value")
    return found


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    inner = [found for node in graph.node for each in subgraphs(node) for found in _graphs(each)]
    return [graph, *inner]


def _packed(path: Path, folder: Path) -> Path:
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
    calibration: Calibration,
    samples: int,
    largest: dict[str, float],
    left: Sequence[str],
    inside: Sequence[Site],
) -> tuple[str, ...]:
    form = FORMATS[kind]
    scales = "per channel" if calibration.per_channel and form.per_channel else "per tensor"
    method: str = calibration.method
    if method == "percentile":
        method = f"percentile {calibration.percentile:g}"
    notes = [
        f"{kind}: Q/DQ in front of {', '.join(form.operators)}, symmetric, weights {scales}, ranges of {len(largest)} "
        f"tensors by {method} from {samples} calibration samples"
    ]
    if left:
        notes.append(f"{kind}: left in floating point, as TensorRT has no {form.label} kernel: {listed(left)}")
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
