"""The run that shows every tensor: what is not finite in it, how far it is from golden, whether it is the same run.

All tensors of a batch are in memory at once, which may be a hundred times what the plain run needs. So where the model
takes any batch, a batch is shown in parts small enough.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from assay_runner.backends import Backend, Built, Session
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Histogram, LayerErrors, Overflow, Reproduction
from assay_runner.golden import BACKEND, golden_model
from assay_runner.models import LoadedModel
from assay_runner.passes.faults import FaultsPass
from assay_runner.passes.histograms import MOST, HistogramsPass, worst_sites
from assay_runner.passes.layers import LayersPass
from assay_runner.passes.overflows import OverflowsPass
from assay_runner.passes.rows import bits_equal, has_samples, parts
from assay_runner.statistics.blocks import Sums
from assay_runner.tensors import Array, Arrays, Batch, Batches

SHOWN_BYTES = 1 << 30
"""What the tensors of one run may take, unless one sample takes more."""


class TappedPass:
    """Runs the candidate with every tensor shown, and golden with it where tensors are compared."""

    def __init__(
        self,
        *,
        backend: Backend,
        built: Built,
        model: LoadedModel,
        precision: Literal["fp32", "fp64"],
        workdir: Path,
        layers: bool,
        splits: bool,
        stack: ExitStack,
    ) -> None:
        """Open what is needed; `stack` closes it. `splits`: whether the model takes batches of any size."""
        self._backend, self._built, self._stack = backend, built, stack
        self._model, self._precision, self._workdir = model, precision, workdir
        self.sites = backend.sites(built)
        self._session = stack.enter_context(backend.open_tapped(built))
        self.faults = FaultsPass(self.sites)
        self._overflows = OverflowsPass(built)
        self.notes: tuple[str, ...] = ()
        self.histograms: tuple[Histogram, ...] = ()
        self.reproduction: Reproduction | None = None
        self._layers = self._open_layers() if layers else None
        self._size: int | None = None if splits else 0

    def add(self, batch: Batch, plain: Arrays | None) -> None:
        """Take a batch in; `plain` are the outputs of the plain run, where it ran."""
        self._overflows.add(batch)
        if self._size is None:
            self._size = affordable(self._session, batch)
        for part in parts(batch, self._size or None):
            self._add(part, plain if part is batch or plain is None else _chosen(plain, batch, part))

    def _add(self, batch: Batch, plain: Arrays | None) -> None:
        golden = self._layers.add_golden(batch) if self._layers else {}
        tensors = self._session.run(batch.inputs)
        if plain is not None:
            self._compare(plain, tensors)
        if self._layers:
            self._layers.add_candidate(batch, golden, tensors, self.faults)
        else:
            for site in self.sites:
                if site.tensor in tensors:
                    self.faults.add(site.tensor, tensors.pop(site.tensor), batch)

    def settle(self, dataset: Batches) -> None:
        """Look whether golden has the values that are not finite too; runs only the batches that had any.

        The worst tensors are counted for their histograms on the way.
        """
        if self._layers:
            self._draw(self._layers, dataset)
            return
        if not self.faults.names:
            return
        drawn = HistogramsPass([site for site in self.sites if site.tensor in self.faults.names][:MOST])
        first = min(self.faults.batches)
        with ExitStack() as stack:
            built = self._golden_built()
            golden = stack.enter_context(BACKEND.open_tapped(built, self.faults.names))
            candidate = stack.enter_context(self._backend.open_tapped(self._built, self.faults.names))
            for batch in (part for whole in dataset for part in parts(whole, self._size or None)):
                if batch.start in self.faults.batches:
                    wanted, found = golden.run(batch.inputs), candidate.run(batch.inputs)
                    for name in self.faults.names & wanted.keys() & found.keys():
                        self.faults.settle(name, found[name], wanted[name], batch)
                    for name in drawn.names & wanted.keys() & found.keys() if batch.start == first else ():
                        drawn.add(name, wanted[name], found[name], batch)
        self.histograms = drawn.result()

    def _draw(self, layers: LayersPass, dataset: Batches) -> None:
        """Count the worst tensors again: in the first part of the dataset, and in the first that is not finite."""
        drawn = HistogramsPass(worst_sites(layers.result(self.faults)))
        wanted = {0, *sorted(self.faults.batches)[:1]} if drawn.names else set()
        for batch in (part for whole in dataset for part in parts(whole, self._size or None)):
            if not wanted:
                break
            if batch.start in wanted:
                wanted.discard(batch.start)
                golden = layers.show(batch, drawn.names)
                found = self._session.run(batch.inputs)
                for name in drawn.names & golden.keys() & found.keys():
                    drawn.add(name, golden[name], found[name], batch)
        self.histograms = drawn.result()

    def overflows(self) -> tuple[Overflow, ...]:
        """Graph inputs that the candidate's precision cannot hold."""
        return self._overflows.result()

    def errors(self) -> LayerErrors | None:
        """Errors per tensor, where tensors were compared."""
        return self._layers.result(self.faults) if self._layers else None

    def _open_layers(self) -> LayersPass:
        built = self._golden_built()
        names = {site.tensor for site in self.sites}
        golden = self._stack.enter_context(BACKEND.open_tapped(built, names))
        return LayersPass(self._backend, self._built, golden, self._stack)

    def _golden_built(self) -> Built:
        built, _ = golden_model(self._model, self._precision, self._workdir)
        self.notes += built.notes
        return built

    def _compare(self, plain: Arrays, tensors: Arrays) -> None:
        bitwise, snr = True, float("inf")
        for name in plain.keys() & tensors.keys():
            if not bits_equal(plain[name], tensors[name]):
                sums = Sums()
                sums.add(plain[name], tensors[name])
                bitwise, snr = False, min(snr, sums.snr)
        before = self.reproduction or Reproduction(True, float("inf"))
        self.reproduction = Reproduction(before.bitwise and bitwise, min(before.snr, snr))


def affordable(session: Session, batch: Batch) -> int:
    """Samples whose tensors fit into SHOWN_BYTES; 0, all of a batch, where the model will not run on one alone."""
    try:
        tensors = session.run(next(parts(batch, 1)).inputs)
    except InvalidInput:
        return 0
    return max(1, SHOWN_BYTES // max(1, sum(array.nbytes for array in tensors.values())))


def _chosen(outputs: Arrays, batch: Batch, part: Batch) -> dict[str, Array]:
    """Outputs of some samples of a batch; those without a sample axis are left out."""
    start = part.start - batch.start
    return {name: a[start : start + part.count] for name, a in outputs.items() if has_samples(a, batch)}
