"""The two 8-bit formats of explicit quantisation, symmetric as TensorRT has them: `x ≈ scale · q`, zero point 0.

Formulas: NVIDIA TensorRT documentation, "Quantization Schemes": q = round(clip(x / scale)), ties to even, clipped to
±127 (INT8) or ±448 (FP8 E4M3), cast to E4M3 where the format is FP8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from assay_runner.graphs.piecewise import Part, piecewise
from assay_runner.tensors import Array

EightBit = Literal["int8", "fp8"]

NEUTRAL_SCALE = 2.0**-14
"""Scale of what is always zero: TensorRT's parser refuses 0, and this one is positive in FP16 too."""


@dataclass(frozen=True)
class Format:
    """An 8-bit format.

    Attributes:
        label: as people write it.
        dtype: of the stored values.
        largest: magnitude that the end of a range is mapped to.
        operators: whose inputs TensorRT runs in it.
        per_channel: whether a weight may have one scale per output channel.
        opset: the oldest operator set whose QuantizeLinear knows it, with an axis.
    """

    label: str
    dtype: np.dtype[Any]
    largest: float
    operators: tuple[str, ...]
    per_channel: bool
    opset: int

    def scale(self, peak: Array | float) -> NDArray[np.float32]:
        """Scale of a range that ends at `peak`, elementwise; positive and a normal FP32 number for every finite one."""
        wide = np.asarray(peak, np.float64)
        least = np.finfo(np.float32).tiny
        return np.where(wide > 0, np.maximum(wide / self.largest, least), NEUTRAL_SCALE).astype(np.float32)

    def quantised(self, values: Array, scale: Array | float) -> Array:
        """The stored 8-bit values of float values; `scale` broadcasts against them."""
        found, step = np.empty(values.shape, self.dtype), np.asarray(scale, np.float32)
        step = step.reshape((1,) * (values.ndim - step.ndim) + step.shape)

        def work(part: Part) -> None:
            ratio = np.asarray(np.asarray(values[part], np.float32) / _along(step, part))
            np.clip(ratio, -self.largest, self.largest, out=ratio)
            found[part] = (ratio if self.dtype.kind != "i" else np.rint(ratio, out=ratio)).astype(self.dtype)

        piecewise(values.shape, work)
        return found


def _along(scale: Array, part: Part) -> Array:
    """What of a scale belongs to a block of what it broadcasts against, of as many axes."""
    return scale[part] if scale.ndim and scale.shape[0] > 1 else scale


# FP8: TensorRT fuses products whose two scales are scalars, and has no FP8 transposed convolution.
FORMATS: Mapping[EightBit, Format] = MappingProxyType(
    {
        "int8": Format("INT8", np.dtype(np.int8), 127.0, ("Conv", "ConvTranspose", "Gemm", "MatMul"), True, 13),
        "fp8": Format("FP8", np.dtype(ml_dtypes.float8_e4m3fn), 448.0, ("Conv", "Gemm", "MatMul"), False, 19),
    }
)
