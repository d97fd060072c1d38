"""Outputs against golden outputs, per sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from assay_runner.evidence import OutputsFound, OutputsWanted
from assay_runner.graphs.channel_parts import output_parts
from assay_runner.passes.cuts import measured_cuts
from assay_runner.passes.drifts import Drifts
from assay_runner.passes.setting import Pass, Setting, Step

__all__ = ["Drifts", "OutputsPass"]


class OutputsPass(Pass[OutputsWanted]):
    """The candidate's outputs against golden's."""

    doing = "comparing outputs"
    reads_outputs = True

    def __init__(self, needs: Sequence[OutputsWanted], setting: Setting, stack: ExitStack) -> None:
        """Compare every output, once for all needs."""
        super().__init__(needs, setting, stack)
        ks = {need.top_k for need in needs if need.top_k}
        model, subject = setting.reference.model, setting.subject
        parts = output_parts(model.path)
        cuts = measured_cuts(setting.reference, parts)
        self._drifts = Drifts(subject.outputs, ks, subject.built.axes, model.outputs, parts, cuts)

    def add(self, step: Step) -> None:
        """Compare the outputs of a batch."""
        if step.found is not None:
            self._drifts.add(step.batch, step.golden, step.found)

    def result(self) -> Mapping[OutputsWanted, OutputsFound]:
        """The same for all."""
        floors = self.setting.reference.floors
        found = tuple(
            replace(drifts, floors=tuple(entry for entry in floors if entry.output == drifts.site.tensor))
            for drifts in self._drifts.result()
        )
        return dict.fromkeys(self.needs, OutputsFound(found, self._drifts.unmeasured))
