"""What the number formats can hold, so that a tensor's values can be seen against it.

Limits are of IEEE 754 (FP16, FP32), of bfloat16 and of the OCP 8-bit format E4M3. TF32 keeps FP32's exponents.
INT8 has no limits of its own: a scale per tensor sets them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay_api.report import CandidateReport
from assay_runner.report.figures import plain

NARROW = 48
"""Powers of two a format may span to be drawn whole; a wider one would press the values into a line."""


@dataclass(frozen=True)
class Format:
    """A floating-point format.

    Attributes:
        name: as a person writes it.
        largest: largest finite value.
        normal: smallest value with full precision.
        subnormal: smallest value other than zero; below half of it there is only zero.
    """

    name: str
    largest: float
    normal: float
    subnormal: float

    @property
    def narrow(self) -> bool:
        """Whether all its limits fit one chart."""
        return math.log2(self.largest / self.normal) + math.log2(self.normal / self.subnormal) <= NARROW

    @property
    def limits(self) -> tuple[tuple[float, str], ...]:
        """(value, what it is), largest first."""
        return (
            (self.largest, f"{self.name} largest {plain(self.largest, 5)}"),
            (self.normal, f"smallest normal {plain(self.normal, 2)}"),
            (self.subnormal, f"smallest subnormal {plain(self.subnormal, 2)}"),
        )


_BINARY32 = 3.4028234663852886e38

FORMATS = {
    "fp16": Format("FP16", 65504.0, 2.0**-14, 2.0**-24),
    "bf16": Format("BF16", 3.3895313892515355e38, 2.0**-126, 2.0**-133),
    "fp8": Format("FP8 E4M3", 448.0, 2.0**-6, 2.0**-9),
    "tf32": Format("TF32", _BINARY32, 2.0**-126, 2.0**-136),
    "fp32": Format("FP32", _BINARY32, 2.0**-126, 2.0**-149),
}
_ACHIEVED = (("FP8", "fp8"), ("FP16", "fp16"), ("HALF", "fp16"), ("BF16", "bf16"), ("TF32", "tf32"), ("FP32", "fp32"))


def format_of(candidate: CandidateReport) -> Format | None:
    """The format asked for, or the narrowest that a ready engine's layers ran in; None where a scale decides."""
    if candidate.precision is not None:
        return FORMATS.get(candidate.precision)
    ran = {name.upper() for name in candidate.achieved}
    return next((FORMATS[key] for name, key in _ACHIEVED if name in ran), None)
