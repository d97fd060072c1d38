"""TensorRT's own INT8 calibrators, fed from a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay_runner.backends.tensorrt.device import Buffers, synchronize, to_device
from assay_runner.backends.tensorrt.library import tensorrt
from assay_runner.errors import InvalidInput
from assay_runner.tensors import Batch, Batches, Progress


def calibrator(method: str, batches: Batches, dtypes: dict[str, np.dtype[Any]], cache: Path, progress: Progress) -> Any:
    """A calibrator by entropy or minmax.

    TensorRT swallows exceptions of a calibrator, so what went wrong stands in its `error` after the build.

    Args:
        method: entropy or minmax.
        batches: calibration inputs; a last, shorter batch is left out, since TensorRT wants equal ones.
        dtypes: element type of each input of the network.
        cache: file of the ranges found; read where it is there, written else.
        progress: told how far it is.
    """
    trt = tensorrt()
    base = {"entropy": trt.IInt8EntropyCalibrator2, "minmax": trt.IInt8MinMaxCalibrator}[method]

    class Calibrator(base):  # type: ignore[misc, valid-type]
        """Feeds one batch after another."""

        def __init__(self) -> None:
            base.__init__(self)
            self.error: Exception | None = None
            self.fed = 0
            self._buffers = Buffers()
            self._batches: Iterator[Batch] | None = None
            first = next(iter(batches), None)
            self.shapes = {name: array.shape for name, array in first.inputs.items()} if first else {}
            self._rows = {name: first.row(name) for name in first.inputs} if first else {}
            self._size = first.count if first else 1

        def get_batch_size(self) -> int:
            return self._size

        def get_batch(self, names: list[str]) -> list[int] | None:
            try:
                return self._next(names)
            except Exception as error:  # Raised again after the build: TensorRT would swallow it.
                self.error = error
                return None

        def _next(self, names: list[str]) -> list[int] | None:
            if self._batches is None:
                self._batches = iter(batches)
                progress.stage("calibrate", batches.samples, "samples")
            batch = next(self._batches, None)
            if batch is None:
                return None
            check_shapes({name: batch.row(name) for name in batch.inputs}, self._rows)
            if batch.count < self._size and self.fed:
                return None
            pointers = []
            if missing := [name for name in names if name not in batch.inputs]:
                raise InvalidInput(f"the calibration set does not have input {missing[0]!r}")
            for name in names:
                array = np.ascontiguousarray(batch.inputs[name], dtypes[name])
                pointers.append(self._buffers[name].reserve(array.nbytes))
                to_device(array, pointers[-1], 0)
            synchronize(0)
            self.fed += batch.count
            progress.advance(batch.count)
            return pointers

        def read_calibration_cache(self) -> bytes | None:
            return cache.read_bytes() if cache.is_file() else None

        def write_calibration_cache(self, data: Any) -> None:
            cache.write_bytes(bytes(data))

        def close(self) -> None:
            self._buffers.free()

    return Calibrator()


def check_shapes(given: Mapping[str, tuple[int, ...]], first: Mapping[str, tuple[int, ...]]) -> None:
    """Do nothing where the samples of a batch have the shapes of the first batch's.

    Raises:
        InvalidInput: they do not: TensorRT would read them as if they had.
    """
    for name, shape in given.items():
        if shape != first[name]:
            raise InvalidInput(
                f"the calibration set has samples of input {name!r} of shapes {list(first[name])} and "
                f"{list(shape)}, and TensorRT's own calibrators take one: set calibration.quantization: explicit"
            )


def end(made: Any) -> None:
    """Give a calibrator's device memory back, and raise what it met, if anything."""
    made.close()
    if made.error is not None:
        raise made.error
