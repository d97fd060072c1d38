"""What checks ask to be measured: values with parameters, by which evidence is keyed.

A need says nothing of how it is met: the table `passes.PASSES` maps its type to the pass that provides it. Two checks
that ask for the same get the same evidence, measured once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from assay_runner.evidence.detections import DetectionsFound, Layout
from assay_runner.evidence.eight_bit import EightBitReads
from assay_runner.evidence.outputs import LabelRanks, OutputsDigest, OutputsFound, Scores
from assay_runner.evidence.ranges import Ranges
from assay_runner.evidence.reruns import Condition, ExtraOutput, Invariance, Repeats, Timing
from assay_runner.evidence.shown import ShownTensors
from assay_runner.statistics.detections import Terms

E = TypeVar("E")
PROBE: Final = "a probe that shows tensors"
LAYERS: Final = "the layers alone"


@dataclass(frozen=True)
class Need(Generic[E]):
    """Something to be measured; `E` is the type of its evidence."""

    @property
    def builds(self) -> tuple[str, ...]:
        """What a backend that fuses layers builds for it beside what is served; what has one name is built once."""
        return ()


@dataclass(frozen=True)
class OutputsWanted(Need[OutputsFound]):
    """Outputs of the candidate against the golden ones, per sample.

    Attributes:
        top_k: k of the agreement of the k largest elements; 0: not asked for.
    """

    top_k: int = 0


@dataclass(frozen=True)
class DigestWanted(Need[OutputsDigest]):
    """The digest of what the candidate answered."""


@dataclass(frozen=True)
class LabelsWanted(Need[LabelRanks]):
    """Whether candidate and golden name the right class, per sample.

    Attributes:
        output: where the scores are read; empty: the first output.
    """

    output: str = ""


@dataclass(frozen=True)
class ScoresWanted(Need[Scores]):
    """Scores of a metric of the user's own, per sample.

    Attributes:
        metric: its name.
        output: what is scored; empty: the first output.
    """

    metric: str
    output: str = ""


@dataclass(frozen=True)
class DetectionsWanted(Need[DetectionsFound]):
    """Detections of the candidate matched to golden's, per sample.

    Attributes:
        layout: where they stand.
        terms: what counts.
    """

    layout: Layout
    terms: Terms


@dataclass(frozen=True)
class TensorsWanted(Need[ShownTensors]):
    """Every tensor of the candidate, in a run that shows them: what is not finite, in how many samples.

    Attributes:
        compared: whether each is held against golden's too: local and accumulated error.
        whole: whether those inside fused layers are wanted, though showing them changes what is built.
        noise_below: dB; golden's own noise is wanted too where a tensor has less than that. -Inf: it never is.
    """

    compared: bool = False
    whole: bool = False
    noise_below: float = -math.inf

    @property
    def builds(self) -> tuple[str, ...]:
        """An engine that shows tensors, and one of the layers alone for local errors."""
        return (PROBE, LAYERS) if self.compared else (PROBE,)


@dataclass(frozen=True)
class RangesWanted(Need[Ranges]):
    """Golden's weights and tensors against FP16's range."""


@dataclass(frozen=True)
class EightBitWanted(Need[EightBitReads]):
    """Which nodes of the candidate read 8 bits; costs no run."""


@dataclass(frozen=True)
class RerunsWanted(Need[Repeats]):
    """Outputs of the same input again, in the same session and under other circumstances.

    Attributes:
        runs: runs of each batch in one session, in used memory and under load; None: as many as are usual.
        batches: batches run again.
        conditions: circumstances; none: all that the backend offers.
    """

    runs: int | None
    batches: int
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class InvarianceWanted(Need[Invariance]):
    """Outputs of the same sample in other batches.

    Attributes:
        batches: batches looked at.
    """

    batches: int


@dataclass(frozen=True)
class ExtraOutputWanted(Need[ExtraOutput]):
    """Outputs with one more among them.

    Attributes:
        tensor: the one that is added; empty: one in the middle of the graph.
        batches: batches run.
    """

    tensor: str
    batches: int

    @property
    def builds(self) -> tuple[str, ...]:
        """An engine with that output."""
        return ("an engine with one more output",)


@dataclass(frozen=True)
class TimingWanted(Need[Timing]):
    """Time of one batch.

    Attributes:
        runs: runs that are timed; None: as many as are usual for an engine, or for an emulation.
        warm_up: runs before, which do not count; None likewise.
    """

    runs: int | None = None
    warm_up: int | None = None
