"""What a remedy is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from assay_api.remedies import Remedies
from assay_api.repair import CalibrationEntry, CoverageEntry
from assay_api.repair_tactics import TacticsEntry
from assay_runner.remedies.case import Case, Design

if TYPE_CHECKING:
    from assay_runner.remedies.workshop import Workshop


@dataclass(frozen=True)
class Cure:
    """What a remedy found for a candidate.

    Attributes:
        design: what passes on the samples that were searched with; None where nothing does.
        message: what was found, or why nothing was: one sentence, without a verdict of the unseen samples.
        why: Found, or why nothing was. NotCured: nothing passes. Inconclusive: answers do not tell.
        wide: precision by node of what is kept wider than the candidate was.
        minimal: whether each of these is needed; see `RemedyEntry.minimal`.
        tactics: what was seen of tactics.
        calibrations: ways to calibrate that were tried, the best first.
        coverage: how well the candidate's calibration set stands for the dataset.
        nearest: what comes nearer to passing than the candidate does, for the remedies after this one to begin with.
    """

    design: Design | None
    message: str
    why: Literal["Found", "NotCured", "Inconclusive", "OutOfBudget", "DoesNotApply"] = "Found"
    wide: Mapping[str, str] = field(default_factory=dict)
    minimal: Literal["Proved", "Implied", "Proposed", "NotProved"] | None = None
    tactics: TacticsEntry | None = None
    calibrations: tuple[CalibrationEntry, ...] = ()
    coverage: CoverageEntry | None = None
    nearest: Design | None = None


Remedy = Callable[[Case, Remedies, "Workshop"], Cure]
"""Looks for a cure of a case; trials go through the workshop, which counts, judges and journals them."""


def does_not_apply(why: str) -> Cure:
    """There is nothing to look for."""
    return Cure(None, why, "DoesNotApply")
