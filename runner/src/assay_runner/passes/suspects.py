"""Who may be to blame where the same input gives other bits: random numbers and plugins, if they are upstream."""

from __future__ import annotations

from assay_runner.backends.subject import Subject
from assay_runner.evidence.reruns import Suspects
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.taps import custom_sites
from assay_runner.graphs.upstream import upstream


class Suspected:
    """The suspects of a candidate."""

    def __init__(self, subject: Subject) -> None:
        """Look for them in the model that it was built from."""
        self._graph = load_outline(subject.built.source)
        self.all = Suspects(subject.backend.random(subject.built), custom_sites(self._graph))

    def of(self, tensor: str) -> Suspects:
        """Those that a tensor is computed by."""
        above = upstream(self._graph, tensor)
        random, custom = (
            tuple(site for site in sites if site.tensor in above) for sites in (self.all.random, self.all.custom)
        )
        return Suspects(random, custom)
