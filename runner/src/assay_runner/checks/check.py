"""The base of every check."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from assay_api.model import Model
from assay_api.report import Finding, Verdict
from assay_runner.evidence import Evidence, Need, Site

REPRODUCES_DB = 20.0
"""Where the run that shows every tensor agrees less with the plain run, its tensors are not those that are served."""


class Check(Model):
    """A frozen model of a check's parameters, what it needs measured, and a pure judgement over the evidence.

    The docstring of the class says which question the check answers; the docstrings of the fields, what they mean.
    Both are what `kubectl explain` prints.
    """

    name: ClassVar[str]
    """Key in `spec.checks`."""
    needs: ClassVar[frozenset[Need]]
    """What must be measured."""

    @abstractmethod
    def judge(self, evidence: Evidence) -> tuple[Finding, ...]:
        """One finding or more; what was not measured is Inconclusive."""

    def finding(
        self, evidence: Evidence, verdict: Verdict, message: str, site: Site | None = None, **more: Any
    ) -> Finding:
        """A finding of this check; `more` are further fields of `Finding`, None left out."""
        fields = {key: value for key, value in more.items() if value is not None}
        if site is not None:
            fields |= {"tensor": site.tensor} | ({"node": site.node} if site.node else {})
        return Finding(candidate=evidence.candidate, check=self.name, verdict=verdict, message=message, **fields)

    def inconclusive(self, evidence: Evidence, reason: str, site: Site | None = None, **more: Any) -> Finding:
        """What could not be measured."""
        return self.finding(evidence, Verdict.INCONCLUSIVE, reason, site, **more)

    def unmeasured(self, evidence: Evidence) -> str:
        """Why what this check needs was not measured; empty where nothing is known to be missing."""
        if evidence.samples < 1:
            return "no sample was run, so nothing was measured"
        return "; ".join(dict.fromkeys(evidence.missing[need] for need in self.needs if need in evidence.missing))


def place(site: Site) -> str:
    """A tensor as people look for it."""
    if site.node is None:
        return f"tensor {site.tensor!r}"
    return f"tensor {site.tensor!r} of node {site.node!r}" + (f" ({site.op})" if site.op else "")


def misleading(evidence: Evidence) -> str:
    """Why the tensors that were shown say nothing about the plain run; empty where they do."""
    seen = evidence.reproduction
    if seen is None or seen.bitwise or seen.snr >= REPRODUCES_DB:
        return ""
    return (
        f"the run that shows every tensor does not reproduce the plain run's outputs ({seen.snr:.1f} dB), so its "
        "tensors are not those that are served"
    )
