"""Is every tensor finite?"""

from __future__ import annotations

from typing import ClassVar

from assay_runner.checks.check import Check
from assay_runner.evidence import Need


class Finite(Check):
    """Is every tensor free of NaN and Inf, on every sample?

    Names the first tensor that is not, its node, and in how many samples; a value that is not finite in the golden run
    either is no fault of the candidate.
    """

    name: ClassVar[str] = "finite"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OUTPUTS, Need.TENSORS})
