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
    split: Literal["search", "unseen"]
    """The part of the dataset that it was judged on."""
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
    without it failed. Proposed: by emulation alone."""
    deploy: Deployable = Deployable()
    """What to deploy of it."""
    tactics: TacticsEntry | None = None
    """What was seen of tactics, by the remedy of that name."""


class RepairEntry(Model):
    """A whole repair."""

    remedies: tuple[RemedyEntry, ...] = ()
    """What came of each remedy, in the order in which they were tried."""
    trials: tuple[TrialEntry, ...] = ()
    """Every trial, in order."""
    search_samples: int = 0
    """Samples that remedies were searched with."""
    unseen_samples: int = 0
    """Samples that repaired candidates were judged on."""
    builds: int = 0
    """Engines built."""
    proposals: int = 0
    """Emulations run."""
    seconds: Number = 0.0
    """What it took in all."""
    valid_for: dict[str, str] = {}
    """What the cure is valid for: digests of model and data, and on a GPU its product and TensorRT's version."""
