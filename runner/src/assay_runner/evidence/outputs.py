"""What was measured on outputs: figures per sample against golden's, and how labels rank in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay_runner.tensors import Floats, Site


@dataclass(frozen=True)
class OutputDrifts:
    """One output of the candidate against the golden one; every array has one element per sample, in dataset order.

    Attributes:
        site: the output.
        max_abs: largest absolute difference; NaN or Inf where broken, as are all figures.
        max_rel: largest relative difference, see `statistics.samples`.
        cosine: cosine similarity in [-1, 1].
        psnr: dB; +Inf where nothing differs.
        snr: dB, likewise.
        broken: whether the candidate holds NaN or Inf where golden has another value.
        nan: whether NaN is among it.
        void: whether golden holds NaN or Inf where the candidate is finite, so that there is nothing to compare with.
        compared: elements that are finite in golden, or not the same.
        as_golden: elements that are not finite, in both alike; left out of all figures.
        top_k: for each k asked for, whether the k largest elements are golden's.
        classes: length of the last axis, 1 where there is none.
        elements: elements per sample.
        equal: of an output of integers or booleans, whether all elements are golden's; every array above is empty then.
    """

    site: Site
    max_abs: Floats
    max_rel: Floats
    cosine: Floats
    psnr: Floats
    snr: Floats
    broken: NDArray[np.bool_]
    nan: NDArray[np.bool_]
    void: NDArray[np.bool_]
    compared: NDArray[np.int64]
    as_golden: NDArray[np.int64]
    top_k: Mapping[int, NDArray[np.bool_]]
    classes: int
    elements: int
    equal: NDArray[np.bool_] | None = None

    @property
    def samples(self) -> int:
        """Samples compared."""
        return len(self.max_abs if self.equal is None else self.equal)

    @property
    def measured(self) -> NDArray[np.intp]:
        """Indices of the samples whose figures mean something, broken ones among them."""
        return np.flatnonzero((self.compared > 0) & (self.broken | ~self.void))


@dataclass(frozen=True)
class OutputsFound:
    """What was measured on the outputs.

    Attributes:
        drifts: one per output that could be compared, in graph order.
        unmeasured: outputs that could not be, and why.
    """

    drifts: tuple[OutputDrifts, ...]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """What a metric of the user's own gave, one number per sample.

    Attributes:
        site: the output that was scored.
        golden: golden against itself.
        candidate: the candidate against golden.
    """

    site: Site
    golden: Floats
    candidate: Floats


@dataclass(frozen=True)
class LabelRanks:
    """How many classes score above the label, per sample; 0 is a top-1 hit. NaN scores rank last.

    Attributes:
        output: output the scores are read from.
        classes: number of classes.
        golden: int64, one per sample.
        candidate: int64, one per sample.
    """

    output: str
    classes: int
    golden: NDArray[np.int64]
    candidate: NDArray[np.int64]
