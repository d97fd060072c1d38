"""What is tried: a built candidate, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from assay_runner.backends.backend import Backend, Built
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Site, names


@dataclass(frozen=True)
class Subject:
    """A candidate, ready to run.

    Attributes:
        key: `name` or `name@gpu-product`.
        backend: what built it and runs it.
        built: the candidate.
        model: the model that it was built from: its own (QAT), else the audit's.
    """

    key: str
    backend: Backend
    built: Built
    model: LoadedModel

    @property
    def batch(self) -> int | None:
        """Samples of a batch, where its model fixes them."""
        return self.model.batch

    @cached_property
    def outputs(self) -> dict[str, Site]:
        """Where each output is made, in graph order."""
        made = {site.tensor: site for site in self.backend.sites(self.built)}
        return {name: made.get(name, Site(name)) for name in names(self.model.outputs)}
