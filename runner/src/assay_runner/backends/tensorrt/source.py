"""The ONNX model that is handed to TensorRT's parser: precision and Q/DQ written into it where typing is strong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from assay_runner.backends.conversion import fp32_model, listed, localised
from assay_runner.backends.inspection import inspect
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.quantisation import quantised_model
from assay_runner.backends.schemes import no_pairs, own_pairs, paired
from assay_runner.backends.tensorrt.configuration import Settings
from assay_runner.errors import InvalidInput, Unsupported
from assay_runner.graphs.dimension_names import forget_names
from assay_runner.graphs.documents import localise, save
from assay_runner.graphs.retype import converter
from assay_runner.graphs.strong import HALVES, strong
from assay_runner.models.loading import LoadedModel
from assay_runner.models.outline import read_outline
from assay_runner.tensors import Batches, Extents, Progress, Site, TensorSpec


def source_model(
    model: LoadedModel,
    order: BuildOrder,
    settings: Settings,
    calibration: Batches | None,
    folder: Path,
    progress: Progress,
) -> tuple[Path, tuple[str, ...]]:
    """The model to parse, written into `folder` unless it is the given one; and what to know about it.

    Raises:
        InvalidInput: it cannot be quantised, or lacks the Q/DQ pairs it should bring.
        Unsupported: what is asked for cannot be said in a strongly typed graph here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wide = {name for name, precision in order.held.items() if precision == "fp32"}
    if settings.typing == "strong":
        _check_strong(order)
    match order.precision:
        case "int8" | "fp8" as kind:
            if order.quantisation is None:
                own_pairs(model.path, kind)
                return model.path, (f"{kind}: Q/DQ as in the candidate's own model", *paired(model.path, order.held))
            if calibration is None:
                raise InvalidInput("the candidate needs its calibration inputs to be built")
            if settings.implicit:
                no_pairs(model.path)
                return model.path, ()
            quantised = quantised_model(
                model.path, order.quantisation, calibration, folder, progress, kind, order.held, model.axes
            )
            return quantised.path, (*quantised.notes, *_bodies(model.path))
        case "fp16" | "bf16" as half if settings.typing == "strong":
            path, notes = strong_model(model.path, half, wide, folder)
            return path, (*notes, *_bodies(model.path))
        case "fp32" | "tf32":
            made = fp32_model(model.path, folder)
            return made.path, made.notes
        case _:
            return model.path, ()


def truly_named(
    source: Path, inputs: Sequence[TensorSpec], shapes: Mapping[str, Extents], folder: Path
) -> tuple[Path, tuple[str, ...]]:
    """The model without the names of dimensions that the data contradict, written into `folder`; and a note of them.

    TensorRT holds axes of one name to one size, and refuses a profile that says otherwise.

    Args:
        source: the model to parse; returned as it is where every name is true.
        inputs: of the model.
        shapes: in which they are fed.
        folder: where another one may be written.
    """
    wrong = {
        (str(spec.shape[axis]), f"{spec.name!r} axis {axis}")
        for spec in inputs
        if spec.name in shapes
        for axis in shapes[spec.name].misnamed
    }
    if not wrong:
        return source, ()
    names = sorted({name for name, _ in wrong})
    with TemporaryDirectory(dir=folder) as scratch:
        model = localised(source, Path(scratch))
        forget_names(model, names)
        path = save(localise(model, Path(scratch), folder), folder / "named.onnx")
    told = listed(sorted(where for _, where in wrong))
    return path, (
        f"dimension names that the data contradict, dropped for TensorRT: {', '.join(map(repr, names))} (input {told})",
    )


def _check_strong(order: BuildOrder) -> None:
    """Do nothing where a strongly typed graph can say what nodes are held to."""
    kind = order.precision
    if order.held and kind in ("fp32", "tf32"):
        raise Unsupported(
            f"layers hold nodes wider than the candidate; with precision {kind} and typing strong there is nothing "
            "wider: set typing: weak, or remove layers"
        )
    if other := set(order.held.values()) - {"fp32", kind}:
        raise Unsupported(
            f"with typing strong, layers of a {kind} candidate may be fp32, not {', '.join(sorted(other))}"
        )


def strong_model(path: Path, kind: str, keep: Collection[str], folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The model with a half type written into it, as `graphs.strong` does; and what to know about it.

    Args:
        path: of the model.
        kind: fp16 or bf16.
        keep: names of nodes that stay in FP32.
        folder: where it is written.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
    """
    with TemporaryDirectory(dir=folder) as scratch:
        home = Path(scratch) / "own"
        home.mkdir()
        given = fp32_model(path, Path(scratch))
        model = localised(given.path, home)
        found = inspect(model, home)
        made = strong(model, kind, found.types, found.ranks, keep)
        localise(model, home, folder, converter(HALVES[kind], made.wide))
    return save(model, folder / "model.onnx"), (*given.notes, *_notes(kind, made.islands, keep))


def _bodies(path: Path) -> tuple[str, ...]:
    """What to know where the model has functions of its own, which a graph that is written anew has no more."""
    found = sorted({f"{function.domain}:{function.name}" for function in read_outline(path).functions})
    if not found:
        return ()
    what = "operators that are functions inside the model are in the engine as their bodies, not as plugins"
    return (f"{what}: {listed(found)}",)


def _notes(kind: str, islands: Sequence[Site], keep: Collection[str]) -> tuple[str, ...]:
    others = [site.node or site.tensor for site in islands if site.node not in keep]
    notes = [f"{kind}: written into the graph as types, which a strongly typed engine keeps to"]
    if keep:
        notes.append(f"held in FP32 as asked: {listed(sorted(keep))}")
    if others:
        notes.append(f"{kind}: these nodes have no {kind} in ONNX and stay in FP32 between casts: {listed(others)}")
    return tuple(notes)
