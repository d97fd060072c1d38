"""A candidate that failed, and what is built in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from assay_api.audit import Candidate
from assay_api.report import CandidateReport, Finding, Verdict
from assay_runner.backends import Backend
from assay_runner.backends.order import BuildOrder
from assay_runner.data.datasets import Dataset
from assay_runner.models.loading import LoadedModel
from assay_runner.remedies.judged import RESERVE


@dataclass(frozen=True)
class Design:
    """Something that can be built.

    Attributes:
        order: what to build of the model.
        model: of which.
        calibration: inputs to find 8-bit ranges with, or None.
        words: what it is, for people: "12 nodes in FP32".
    """

    order: BuildOrder
    model: LoadedModel
    calibration: Dataset | None = None
    words: str = "as it is"

    @property
    def weights_only(self) -> bool:
        """Whether its weights alone are in 8 bits."""
        return self.order.quantisation is not None and self.order.quantisation.weights_only

    def holding(self, held: Mapping[str, str], words: str) -> Design:
        """The same, with nodes held to a precision beside those that it holds already."""
        order = replace(self.order, held={**self.order.held, **held})
        if order.precision in ("int8", "fp8") and {"fp16", "bf16"} & {*held.values()}:
            order = replace(order, typing=self._strong)  # Weakly typed, all that is not in 8 bits might become a half.
        return replace(self, order=order, words=words)

    def in_fp32(self, words: str) -> Design:
        """The same model with nothing of it narrow."""
        order = replace(self.order, precision="fp32", held={}, quantisation=None, typing=None)
        return replace(self, order=order, calibration=None, words=words)

    def in_fp16(self, words: str) -> Design:
        """The same model with all of it in FP16, by its types."""
        order = replace(self.order, precision="fp16", held={}, quantisation=None, typing=self._strong)
        return replace(self, order=order, calibration=None, words=words)

    @property
    def _strong(self) -> Literal["weak", "strong"] | None:
        """What says that types stand in the model, where a builder would choose them else."""
        return "strong" if self.order.backend == "tensorrt" else self.order.typing


@dataclass(frozen=True)
class Case:
    """A candidate that failed.

    Attributes:
        key: of its task.
        candidate: as the audit asks for it.
        backend: what builds it.
        design: how it was built.
        report: what was measured of it.
        findings: what the checks found.
        whole: all of its calibration set, also where it was calibrated with the first samples only; None: it has none.
        ranged: the same with other ranges, which come nearer to passing; None: none are known.
        spare: margin by which outputs must pass on the samples that are searched with.
    """

    key: str
    candidate: Candidate
    backend: Backend
    design: Design
    report: CandidateReport
    findings: tuple[Finding, ...]
    whole: Dataset | None = None
    ranged: Design | None = None
    spare: float = RESERVE

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that failed."""
        return tuple(finding for finding in self.findings if finding.verdict is Verdict.FAILED)

    @property
    def failing(self) -> frozenset[str]:
        """Names of the checks that it failed."""
        return frozenset(finding.check for finding in self.failed)

    @property
    def emulates(self) -> bool:
        """Whether what builds it only emulates, so that there is no other oracle than that."""
        return self.backend.name == "onnxruntime"
