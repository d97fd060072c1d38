"""What was measured on outputs: figures per sample against golden's, and how labels rank in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay_api.entries import FloorEntry
from assay_runner.statistics.bootstrap import Reduced
from assay_runner.statistics.samples import Drift
from assay_runner.statistics.scales import Part
from assay_runner.tensors import Floats, Site


@dataclass(frozen=True)
class OutputsDigest:
    """SHA-256 of all outputs of all samples, in hexadecimal: equal ones are equal to the last bit."""

    value: str


@dataclass(frozen=True)
class Resized:
    """Samples that hold another number of rows than golden's.

    Attributes:
        flags: one per sample.
        golden: how many rows golden holds in the first of them; its shape where more than one length differs.
        candidate: how many the candidate does.
    """

    flags: NDArray[np.bool_]
    golden: str
    candidate: str

    @property
    def count(self) -> int:
        """How many samples."""
        return int(self.flags.sum())

    @property
    def first(self) -> int:
        """Index of the first of them."""
        return int(np.argmax(self.flags))


@dataclass(frozen=True)
class OutputDrifts(Drift):
    """One output of the candidate against the golden one, sample by sample in dataset order.

    Attributes:
        site: the output.
        classes: length of the last axis, 1 where there is none; of lengths that the data decide, the largest.
        elements: elements per sample; likewise.
        equal: of an output of integers or booleans, whether all elements are golden's; every figure is empty then.
        floors: how closely golden agrees with itself on it, as far as that was measured.
        resized: samples whose number of rows is not golden's, and which have no figures; None: there are none.
        parts: of what it is put together, channel by channel; what was measured of each is in `sums`.
    """

    site: Site
    classes: int
    elements: int
    equal: NDArray[np.bool_] | None = None
    floors: tuple[FloorEntry, ...] = ()
    resized: Resized | None = None
    parts: tuple[Part, ...] = ()

    @property
    def samples(self) -> int:
        """Samples compared."""
        return len(self.max_abs if self.equal is None else self.equal)

    @property
    def measured(self) -> NDArray[np.intp]:
        """Indices of the samples whose figures mean something, broken ones among them."""
        return np.flatnonzero((self.compared > 0) & (self.broken | ~self.void))

    @property
    def judged(self) -> NDArray[np.intp]:
        """The same, and those with another number of rows."""
        if self.resized is None:
            return self.measured
        return np.union1d(self.measured, np.flatnonzero(self.resized.flags))


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
        site: the output that was scored; of several, the first.
        golden: golden against itself.
        candidate: the candidate against golden.
        whole: of a metric that reduces over the dataset, what it makes of all samples; the figures of single samples
            then only tell which lost most, and are NaN where one sample has none.
        several: whether more than one output was given.
    """

    site: Site
    golden: Floats
    candidate: Floats
    whole: Reduced | None = None
    several: bool = False


@dataclass(frozen=True)
class LabelRanks:
    """How many classes score above the label, per sample; 0 is a top-1 hit. NaN scores rank last.

    Attributes:
        output: output the scores are read from.
        classes: number of classes; 0 where the output holds the class itself, and its rank is 0 where it is the label
            and 1 where it is another.
        golden: int64, one per sample.
        candidate: int64, one per sample.
    """

    output: str
    classes: int
    golden: NDArray[np.int64]
    candidate: NDArray[np.int64]
