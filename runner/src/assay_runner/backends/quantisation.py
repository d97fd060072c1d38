"""INT8 by explicit Q/DQ pairs, placed by ONNX Runtime's quantiser the way TensorRT wants them.

Choices, all TensorRT's: activations and weights symmetric (zero point 0), weights per output channel where asked,
biases not quantised, Q/DQ in front of the inputs of convolutions and matrix products only (not behind their outputs),
nothing else quantised.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

from assay_api.audit import Calibration
from assay_runner.backends.calibration import ranges
from assay_runner.backends.emulation import fp32_model, listed, localised, upgraded
from assay_runner.backends.inspection import inspect
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import AuditError, InvalidInput
from assay_runner.evidence import Site
from assay_runner.graphs.documents import save
from assay_runner.graphs.inside import containing
from assay_runner.graphs.taps import sites, tapped
from assay_runner.tensors import Batches, Progress

QUANTISED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
INSIDE_LIMIT = 1 << 30


def quantised_model(
    path: Path, calibration: Calibration, batches: Batches, folder: Path, progress: Progress
) -> tuple[Path, tuple[str, ...]]:
    """Write the model with Q/DQ pairs into `folder`; returns its path and what to know about it.

    Raises:
        InvalidInput: nothing in it can be quantised, the calibration set is empty, or ONNX Runtime refuses the model.
    """
    path = upgraded(fp32_model(path, _made(folder / "fp32")), "int8", _made(folder / "newer"))
    with TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch)
        model = localised(path, place)
        found = inspect(model, place)
        skipped = containing(model, QUANTISED_OPS)
        weights = {tensor.name for tensor in model.graph.initializer}
        wanted = frozenset(
            name
            for node in model.graph.node
            if node.op_type in QUANTISED_OPS and node.domain in ("", "ai.onnx")
            for name in node.input[:2]
            if name in found.floats - weights
        )
        if not wanted:
            raise InvalidInput(f"{path.name} has none of {', '.join(QUANTISED_OPS)}: there is nothing to run in INT8")
        shown = save(tapped(model, wanted), place / "shown.onnx")
        made = wanted & {site.tensor for site in sites(model)}
        session = OrtSession(shown, Purpose.EXACT, made)
        largest = ranges(session, batches, wanted, calibration.method, progress)
        del session
        _quantise(path, calibration.per_channel, largest, folder / "model.onnx", place)
    return folder / "model.onnx", _notes(calibration, batches.samples, largest, skipped)


def _quantise(path: Path, per_channel: bool, largest: dict[str, float], target: Path, scratch: Path) -> None:
    cache = scratch / "ranges.json"
    data = {name: TensorData(lowest=np.float32(-value), highest=np.float32(value)) for name, value in largest.items()}
    save_tensors_data(TensorsData(quantization.CalibrationMethod.MinMax, data), cache)
    try:
        with _quiet():
            quantization.quantize_static(
                str(path),
                str(target),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED_OPS),
                per_channel=per_channel,
                activation_type=quantization.QuantType.QInt8,
                weight_type=quantization.QuantType.QInt8,
                use_external_data_format=_bytes(path) > INSIDE_LIMIT,
                calibration_cache_path=cache,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "QDQKeepRemovableActivations": True,
                    "OpTypesToExcludeOutputQuantization": list(QUANTISED_OPS),
                },
            )
    except AuditError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InvalidInput(f"ONNX Runtime's quantiser cannot quantise {path.name}: {reason}") from error


def _notes(
    calibration: Calibration, samples: int, largest: dict[str, float], skipped: Sequence[Site]
) -> tuple[str, ...]:
    scales = "per channel" if calibration.per_channel else "per tensor"
    notes = [
        f"int8: Q/DQ in front of {', '.join(QUANTISED_OPS)}, symmetric, weights {scales}, ranges of {len(largest)} "
        f"tensors by {calibration.method} from {samples} calibration samples; run in floating point by ONNX Runtime"
    ]
    if skipped:
        nodes = listed([site.node or site.tensor for site in skipped])
        notes.append(f"int8: products inside the control flow of {nodes} are not quantised, they run in floating point")
    if dead := [name for name, value in largest.items() if value == 0]:
        notes.append(f"always zero on the calibration set: {listed(dead)}")
    return tuple(notes)


def _bytes(path: Path) -> int:
    model = onnx.load(str(path), load_external_data=False)
    places = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    return sum((path.parent / place).stat().st_size for place in {path.name, *places})


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser logs advice about steps that are taken here already to the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
