"""What a repair did, for the report: every trial, what came of every remedy, and what to deploy."""

from __future__ import annotations

from typing import Literal

from assay_api.finding import Verdict
from assay_api.model import Model
from assay_api.numbers import Number
from assay_api.repair_tactics import TacticsEntry


class TrialEntry(Model):
    """One trial of a repair: something built and judged."""

    number: int
    """Counts from 1 within the repair."""
    remedy: str
    """The remedy it belongs to, as in `spec.remedies`."""
    oracle: Literal["emulation", "build"]
    """emulation: ONNX Runtime stood in to propose. build: what would be served."""
    split: Literal["search", "unseen", "told", "last"]
    """The part of the dataset that it was judged on. unseen: all that no search has seen. Of these, told: those of
    which another search is told what was missing; last: the rest, of which none was told."""
    words: str
    """What was tried."""
    wide: int = 0
    """Nodes kept wider than the candidate's precision."""
    verdict: Verdict
    """The worst finding."""
    because: str = ""
    """That finding, in one sentence."""
    metric: str | None = None
    """What its value is, for example snr."""
    value: Number | None = None
    """Its value, where it has one."""
    limit: Number | None = None
    """The limit it was judged by."""
    latency_ms: Number | None = None
    """Median latency of a batch, where it was measured."""
    seconds: Number = 0.0
    """What it took."""
    known: bool = False
    """True where an earlier run of the same trial is the answer."""


class Deployable(Model):
    """What goes with a repaired candidate into production: URIs."""

    model: str | None = None
    """The repaired ONNX model, its types explicit."""
    weights: str | None = None
    """Its weights, where they are a file of their own."""
    calibration: str | None = None
    """Ranges of the tensors (TensorRT's calibration cache), where they are not in the model."""
    timing_cache: str | None = None
    """TensorRT's timing cache of the build."""
    plan: str | None = None
    """The engine that was audited."""
    tactics: str | None = None
    """The tactics of its layers, where the builder told them; `assay tactics` reads them."""
    reproduce: str | None = None
    """A script that builds the engine anew with plain trtexec."""


class CalibrationEntry(Model):
    """One way to calibrate, and what came of it on the samples that were searched with."""

    method: Literal["entropy", "minmax", "percentile", "mse"]
    """How ranges are chosen."""
    percentile: Number | None = None
    """For method percentile: how much of the magnitudes a range holds, in per cent."""
    source: Literal["calibration", "dataset"] = "calibration"
    """Where the samples are from: the candidate's calibration set, or the part of the dataset that is searched with;
    then it is judged on samples of that part that it was not calibrated with."""
    samples: int
    """How many ranges were found with."""
    per_channel: bool
    """Whether each output channel of a weight has a scale of its own."""
    verdict: Verdict
    """The worst finding, checks left out that tell nothing here."""
    check: str | None = None
    """Of the checks that the candidate failed, the one nearest to its limit, or farthest beyond it."""
    metric: str | None = None
    """What its value is."""
    value: Number | None = None
    """Its value."""
    limit: Number | None = None
    """Its limit."""
    margin: Number | None = None
    """How far within that limit, as a share of it; below 0 where beyond. Of a cosine: as a share of what the
    limit lets it lose. 3 dB are a tenth, and half a per cent of what is kept of a metric."""
    chosen: bool = False
    """Whether it is the one that the repaired candidate has."""


class CoverageEntry(Model):
    """How well a calibration set stands for the samples that were searched with."""

    samples: int
    """Samples that were looked at."""
    inside: Number
    """Share of their activations that are no larger than the largest that calibration saw of the tensor."""
    least: dict[str, Number] = {}
    """That share by tensor, of the tensors with the least, at most eight; those where it is 1 are left out."""
    clipped: dict[str, Number] = {}
    """Share of what calibration saw that the failed candidate's ranges keep, by tensor, the least first, at most eight;
    tensors that keep all are left out."""
    mending: tuple[int, ...] = ()
    """Samples of the dataset that leave the ranges the furthest, by index, at most ten: those to add to the set."""


class RemedyEntry(Model):
    """What came of one remedy for one candidate."""

    candidate: str
    """Key of the candidate that failed."""
    remedy: str
    """As in `spec.remedies`."""
    outcome: Literal["Cured", "SearchOnly", "NotCured", "Inconclusive", "OutOfBudget", "DoesNotApply"]
    """Cured: a repaired candidate passes on samples no search has seen. SearchOnly: it passes on the others only.
    OutOfBudget: no cure within the budget; the best so far is kept."""
    message: str
    """One sentence: what was found, or why nothing was."""
    repaired: str | None = None
    """Key of the repaired candidate, where one was audited."""
    wide: dict[str, str] = {}
    """Precision by node of what is kept wide."""
    minimal: Literal["Proved", "Implied", "Proposed", "NotProved"] | None = None
    """Whether each of these nodes is needed. Proved: each was tried narrow, and it failed. Implied: a larger set
    without it failed. Proposed: by emulation alone. NotProved: not tried, or some run wider to spare casts alone."""
    deploy: Deployable = Deployable()
    """What to deploy of it; where it is not Cured, what was audited, and is not to be deployed."""
    tactics: TacticsEntry | None = None
    """What was seen of tactics, by the remedy of that name."""
    calibrations: tuple[CalibrationEntry, ...] = ()
    """Every way to calibrate that was tried, the best first."""
    coverage: CoverageEntry | None = None
    """How well the candidate's calibration set stands for the dataset."""


class RepairEntry(Model):
    """A whole repair."""

    remedies: tuple[RemedyEntry, ...] = ()
    """What came of each remedy, in the order in which they were tried."""
    trials: tuple[TrialEntry, ...] = ()
    """Every trial, in order."""
    search_samples: int = 0
    """Samples that remedies were searched with."""
    unseen_samples: int = 0
    """Samples that no search has seen, on which repaired candidates were judged."""
    told_samples: int = 0
    """Of these, those of which searches were told what was missing, where one was; then the verdict is of the rest."""
    builds: int = 0
    """Engines built."""
    proposals: int = 0
    """Emulations run."""
    seconds: Number = 0.0
    """What it took in all."""
    valid_for: dict[str, str] = {}
    """What the cure is valid for: digests of model and data, and on a GPU its product and TensorRT's version."""
