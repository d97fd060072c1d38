"""The base of every check."""

from __future__ import annotations

from typing import ClassVar

from assay_api.model import Model
from assay_api.report import Finding
from assay_runner.evidence import Evidence, Need


class Check(Model):
    """A frozen model of a check's parameters, what it needs measured, and a pure judgement over the evidence.

    The docstring of the class says which question the check answers; the docstrings of the fields, what they mean.
    Both are what `kubectl explain` prints.
    """

    name: ClassVar[str]
    """Key in `spec.checks`."""
    needs: ClassVar[frozenset[Need]]
    """What must be measured."""

    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding or more; what was not measured is Inconclusive."""
        return ()
