"""The candidate as it is served, under other circumstances: in sessions of its own, when all others are closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay_runner.evidence import ExtraOutputWanted, InvarianceWanted, RerunsWanted, TimingWanted
from assay_runner.passes.repeats import repeat
from assay_runner.passes.sameness import extra_output, invariance
from assay_runner.passes.setting import Pass
from assay_runner.passes.timing import timed


class RerunsPass(Pass[RerunsWanted]):
    """The same batches again."""

    doing = "running the same batches again"

    def result(self) -> Mapping[RerunsWanted, Any]:
        """By need."""
        return {need: repeat(self.setting, need) for need in self.needs}


class InvariancePass(Pass[InvarianceWanted]):
    """The same samples in other batches."""

    doing = "running the same samples in other batches"

    def result(self) -> Mapping[InvarianceWanted, Any]:
        """By need."""
        return {need: invariance(self.setting, need) for need in self.needs}


class ExtraOutputPass(Pass[ExtraOutputWanted]):
    """One more output."""

    doing = "running the candidate with one more output"

    def result(self) -> Mapping[ExtraOutputWanted, Any]:
        """By need."""
        return {need: extra_output(self.setting, need) for need in self.needs}


class TimingPass(Pass[TimingWanted]):
    """The time of a batch."""

    doing = "timing the candidate"

    def result(self) -> Mapping[TimingWanted, Any]:
        """By need."""
        return {
            need: timed(self.setting.subject, self.setting.reference.dataset, need, self.setting.progress)
            for need in self.needs
        }
