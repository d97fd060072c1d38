"""The run that shows every tensor: what is not finite in it, how far it is from golden, whether it is the same run.

All tensors of a batch are in memory at once, which may be a hundred times what the plain run needs. So where the model
takes any batch, a batch is shown in parts small enough. Golden's tensors are always in host memory; where the
candidate's lie, and are compared with them, is the backend's to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from assay_runner.backends import Backend, Built, Session
from assay_runner.evidence import Histogram, LayerErrors, Overflow, Reproduction, Site, TensorFaults
from assay_runner.golden import BACKEND, golden_model
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.upstream import fed
from assay_runner.models import LoadedModel
from assay_runner.passes.counts import own_samples
from assay_runner.passes.faults import tensor_faults
from assay_runner.passes.histograms import MOST, HistogramsPass, worst_sites
from assay_runner.passes.host import SHOWN_BYTES, comparison
from assay_runner.passes.layers import layer_errors
from assay_runner.passes.overflows import OverflowsPass
from assay_runner.passes.rows import bits_equal, is_float, parts
from assay_runner.statistics.blocks import sums_of
from assay_runner.tensors import Array, Arrays, Batch, Batches

INF: Final = float("inf")


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
        whole: bool,
        splits: bool,
        stack: ExitStack,
    ) -> None:
        """Open what is needed; `stack` closes it.

        Args:
            backend: what runs the candidate.
            built: the candidate.
            model: the audit's model.
            precision: of the golden run that tensors are compared with.
            workdir: where golden's derived models lie.
            layers: whether tensors are compared with golden's.
            whole: whether those inside fused layers are wanted too.
            splits: whether the model takes batches of any size.
            stack: closes what is opened.
        """
        self._model, self._precision, self._workdir = model, precision, workdir
        self._sites, self._axes = backend.sites(built), built.axes
        self._comparison = stack.enter_context(comparison(backend, built, local=layers, whole=whole))
        self._overflows = OverflowsPass(built)
        self._notes: tuple[str, ...] = ()
        self.histograms: tuple[Histogram, ...] = ()
        self.reproduction: Reproduction | None = None
        self._data = fed(load_outline(built.source))
        self._names = frozenset(site.tensor for site in self._sites)
        self._golden = self._open_golden(self._comparison.shown or self._names, stack) if layers else None
        self._empty: set[str] = set()
        self._settled: dict[str, int] = {}
        self._size: int | None = None if splits else 0

    def add(self, batch: Batch, plain: Arrays | None) -> None:
        """Take a batch in; `plain` are the outputs of the plain run, where it ran."""
        self._overflows.add(batch)
        if self._size is None:
            # A comparison counts in FP32.
            self._size = self._comparison.fits(batch, SHOWN_BYTES // (2 if self._precision == "fp64" else 1))
        for part in parts(batch, self._size or None):
            golden = self._golden_tensors(part)
            outputs = self._comparison.add(part, golden)
            if plain is not None:
                self._compare(plain if part is batch else self._chosen(plain, batch, part), outputs)
            del outputs  # Not to be held while the next part runs.

    def settle(self, dataset: Batches) -> None:
        """Look whether golden has the values that are not finite too; runs only the batches that had any.

        The worst tensors are counted for their histograms on the way.
        """
        if errors := self.errors():
            self._draw(worst_sites(errors), dataset)
            return
        names = {fault.site.tensor for fault in self.tensors().faults}
        if not names:
            return
        drawn = HistogramsPass([site for site in self._sites if site.tensor in names][:MOST], self._axes)
        starts = self._comparison.batches
        with ExitStack() as stack:
            golden = self._open_golden(names, stack)
            for batch in self._parts(dataset, starts):
                wanted, found = golden.run(batch.inputs), self._comparison.show(batch, names)
                for name in names & wanted.keys() & found.keys():
                    axis = self._axes.of(name, found[name].shape, batch.fed)
                    own = own_samples(found[name], wanted[name], batch, axis)
                    self._settled[name] = self._settled.get(name, 0) + own
                    if name in drawn.names and batch.start == min(starts):
                        drawn.add(name, wanted[name], found[name], batch)
        self.histograms = drawn.result()

    def tensors(self) -> TensorFaults:
        """What is not finite."""
        seen = self._comparison
        return tensor_faults(self._sites, seen.accumulated(), self._settled, seen.shown, seen.fused, self._data)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of golden's run and of this one."""
        return (*self._notes, *self._comparison.notes)

    def overflows(self) -> tuple[Overflow, ...]:
        """Graph inputs that the candidate's precision cannot hold."""
        return self._overflows.result()

    def errors(self) -> LayerErrors | None:
        """Errors per tensor, where tensors were compared."""
        if self._golden is None:
            return None
        seen = self._comparison
        return layer_errors(self._sites, seen.accumulated(), seen.local(), seen.fused, self._empty)

    def _draw(self, sites: tuple[Site, ...], dataset: Batches) -> None:
        """Count the worst tensors again: in the first part of the dataset, and in the first that is not finite."""
        if not sites or self._golden is None:
            return
        drawn = HistogramsPass(sites, self._axes)
        for batch in self._parts(dataset, {0, *sorted(self._comparison.batches)[:1]}):
            golden = {name: array for name, array in self._golden.run(batch.inputs).items() if name in drawn.names}
            found = self._comparison.show(batch, drawn.names)
            for name in drawn.names & golden.keys() & found.keys():
                drawn.add(name, golden[name], found[name], batch)
        self.histograms = drawn.result()

    def _parts(self, dataset: Batches, starts: Collection[int]) -> Iterator[Batch]:
        """The parts that begin with these samples; reads no further than the last of them."""
        left = set(starts)
        for whole in dataset:
            for part in parts(whole, self._size or None):
                if part.start in left:
                    left.discard(part.start)
                    yield part
            if not left:
                return

    def _golden_tensors(self, batch: Batch) -> dict[str, Array]:
        if self._golden is None:
            return {}
        tensors = self._golden.run(batch.inputs)
        floats = {name: array for name, array in tensors.items() if name in self._names and is_float(array)}
        self._empty |= {name for name, array in floats.items() if array.size == 0}
        return floats

    def _open_golden(self, names: Collection[str], stack: ExitStack) -> Session:
        built, _ = golden_model(self._model, self._precision, self._workdir)
        self._notes += built.notes
        return stack.enter_context(BACKEND.open_tapped(built, names))

    def _compare(self, plain: Arrays, outputs: Arrays) -> None:
        """Numbers tell how near the outputs are; indices, and shapes that the data decide, only that they differ."""
        both = [name for name in plain if name in outputs]
        other = {name for name in both if not bits_equal(plain[name], outputs[name])}
        alike = [name for name in both if plain[name].shape == outputs[name].shape]
        numbers = [name for name in alike if is_float(plain[name])] or alike
        ratios = [sums_of(plain[name], outputs[name]).snr for name in numbers if name in other]
        snr = min(ratios, default=INF if numbers or not other else -INF)
        before = self.reproduction or Reproduction(True, INF)
        self.reproduction = Reproduction(before.bitwise and not other, min(before.snr, snr))

    def _chosen(self, plain: Arrays, batch: Batch, part: Batch) -> dict[str, Array]:
        """The plain run's outputs of some samples of a batch; those without a sample axis are left out."""
        samples = range(part.start - batch.start, part.start - batch.start + part.count)
        axes = {name: self._axes.of(name, array.shape, batch.fed) for name, array in plain.items()}
        return {name: plain[name].take(samples, axis) for name, axis in axes.items() if axis is not None}
