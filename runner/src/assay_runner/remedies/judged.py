"""What a trial came to, in few words, and how a later run finds it again."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, Literal

from assay_api.model import Model
from assay_api.numbers import Number
from assay_api.report import Finding, Verdict, worst
from assay_runner.stores.sealed import EntryRecord

_SEVERITY: Final = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)
WHAT: Final = "trial"
OUTPUTS: Final = "outputDrift"
BUILD: Final = "build"
"""In place of a check's name: it could not be built or run."""


class Said(Model):
    """One finding, without its details."""

    check: str
    """The check."""
    verdict: Verdict
    """Its verdict."""
    message: str
    """In one sentence."""
    metric: str | None = None
    """What the value is."""
    value: Number | None = None
    """The measured value."""
    limit: Number | None = None
    """The limit it was judged by."""

    @classmethod
    def of(cls, finding: Finding) -> Said:
        """A finding without its details."""
        return cls.model_validate({name: getattr(finding, name) for name in cls.model_fields})


class Kernels(Model):
    """What a build chose, and what it gives."""

    source: Literal["selector", "inspector", ""] = ""
    """Where its tactics are known from; see `Chosen`."""
    tactics: dict[str, str] = {}
    """Tactic by layer."""
    unseen: tuple[str, ...] = ()
    """Layers of which nothing says what runs in them."""
    bits: tuple[str, ...] = ()
    """Digests of all outputs, one per session whose outputs were not those of a session before."""
    latency_ms: Number | None = None
    """Median latency of a batch."""


class TrialRecord(EntryRecord):
    """What a trial came to; it has no files."""

    said: tuple[Said, ...]
    """What the checks found."""
    slips: tuple[str, ...] = ()
    """Where an engine does not keep to what its nodes are held to, a sentence per node."""
    latency_ms: Number | None = None
    """Median latency of a batch, where an engine was timed."""
    seconds: Number = 0.0
    """What it took."""
    builds: int = 1
    """Engines that were built for it."""
    kernels: Kernels | None = None
    """What the build chose, where that was looked at."""


class Judged(Model):
    """What a trial came to."""

    said: tuple[Said, ...]
    """What the checks found; what could not be built or run is a finding too, of a check named `build`."""
    slips: tuple[str, ...] = ()
    """Where an engine does not keep to what its nodes are held to."""
    latency_ms: Number | None = None
    """Median latency of a batch, where an engine was timed."""
    seconds: Number = 0.0
    """What it took."""
    noise: Literal["none", "some"] = "none"
    """Whether the same build may come out otherwise."""
    kernels: Kernels | None = None
    """What the build chose, where that was looked at."""

    @property
    def verdict(self) -> Verdict:
        """The worst finding; a node that did not stay wide fails it all."""
        return Verdict.FAILED if self.slips else worst(said.verdict for said in self.said)

    @property
    def worst(self) -> Said | None:
        """The worst finding, and of the findings that are as bad the nearest to, or farthest over, its limit."""
        return min(self.said, key=lambda said: (_SEVERITY.index(said.verdict), margin(said)), default=None)

    @property
    def shown(self) -> Said | None:
        """The finding to tell of: the worst; where all passed, one whose limit can be come near to."""
        passed = self.verdict is Verdict.PASSED
        return (
            min(self.said, key=lambda said: (passed and not said.limit, margin(said)))
            if passed and self.said
            else self.worst
        )

    @property
    def nearest(self) -> Said | None:
        """The finding nearest to its limit, or farthest beyond it, of those that have one."""
        known = [said for said in self.said if math.isfinite(margin(said))]
        return min(known, key=margin, default=None)

    @property
    def measured(self) -> frozenset[str]:
        """Checks that found a figure with a limit."""
        return frozenset(said.check for said in self.said if math.isfinite(margin(said)))

    def telling(self, failing: Collection[str]) -> Said | None:
        """Of the findings of these checks the nearest to its limit; the nearest of all where they found no figure.

        Args:
            failing: checks that the candidate failed: what a remedy has to mend.
        """
        return Judged(said=tuple(said for said in self.said if said.check in failing)).nearest or self.nearest

    @property
    def scarcest(self) -> Said | None:
        """The output that has least to spare; None where anything but a figure of outputs stands against it."""
        outputs = [said for said in self.said if said.check == OUTPUTS]
        others = [said for said in self.said if said.check != OUTPUTS and said.verdict is not Verdict.PASSED]
        return None if self.slips or others else min(outputs, key=margin, default=None)

    @property
    def promising(self) -> bool:
        """Whether it passes, or nothing but the number of samples stands against it."""
        near = self.nearest
        open_ = self.verdict is Verdict.INCONCLUSIVE and near is not None and margin(near) >= 0
        return self.verdict is Verdict.PASSED or open_


SMALLEST: Final = 1e-6
"""Least that a limit lets be lost, for shares of it."""
CLEAR: Final = 0.1
"""Share of a limit beyond which no other build of the same design comes out on its other side; below it, one may."""
RESERVE: Final = 1 / 30
"""Margin, 1 dB, by which outputs must pass while they are searched with: samples that were not seen have a worst one of
their own."""
HIGHER_IS_BETTER: Final = frozenset({"snr", "psnr", "cosine", "accumulatedSnr", "localSnr", "mean", "score"})
SHARES: Final = frozenset({"cosine", "equal", "topKAgreement"})
"""Of these 1 is as much as there can be; but for a cosine they are counted, and alike by chance."""


def clear(found: Judged) -> bool:
    """Whether no other build of the same design would come out on the other side of its limits.

    Of findings that failed the clearest decides, of those that passed the least clear.
    """
    passed = found.verdict is Verdict.PASSED
    near = [abs(margin(said)) for said in found.said if passed == (said.verdict is Verdict.PASSED)]
    return bool(found.slips) or (min if passed else max)(near, default=math.inf) >= CLEAR


def in_decibels(metric: str) -> bool:
    """Whether a metric is a ratio of signal to noise."""
    return metric.lower().endswith("snr")


def margin(said: Said) -> float:
    """How far within its limit a finding is, in shares of the limit: below 0 where it is beyond; Inf where not known.

    Decibels are a scale of their own: there 3 dB, twice the noise power, count as a tenth. Of what is kept of a metric
    half a per cent does: the samples' own noise is part of the verdict already. A cosine, or a share that is
    alike, is weighed by what the limit lets it lose: 1 where nothing is lost, Inf where nothing may be and nothing is.
    """
    if said.value is None or said.limit is None or said.metric is None:
        return float("inf")
    within = said.value - said.limit
    if said.metric.lower().endswith("kept"):
        # More than golden's is luck of the draw, and no better than all of it.
        return min(within, max(1 - said.limit, 0.0)) / 0.05
    if said.metric in SHARES:
        return float("inf") if said.value >= 1 == said.limit else within / max(1 - said.limit, SMALLEST)
    if said.metric not in HIGHER_IS_BETTER:
        within = -within
    if in_decibels(said.metric):
        return within / 30.0
    if said.limit:
        return within / abs(said.limit)
    # None allowed and none found, such as numbers that are not finite: nothing is near any limit.
    return within if within < 0 else float("inf")
