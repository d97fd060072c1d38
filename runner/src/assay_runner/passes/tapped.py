"""The run that shows every tensor: what is not finite in it, how far it is from golden, whether it is the same run.

All tensors of a batch are in memory at once, which may be a hundred times what the plain run needs. So where the model
takes any batch, a batch is shown in parts small enough. Golden's tensors are always in host memory; where the
candidate's lie, and are compared with them, is the backend's to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from assay_runner.backends import Capability
from assay_runner.data.rows import bits_equal, is_float, parts
from assay_runner.errors import Unsupported
from assay_runner.evidence import Histogram, Reproduction, ShownTensors, TensorFaults, TensorsWanted
from assay_runner.graphs.codes import codes
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.unclipped import unclipped
from assay_runner.graphs.upstream import fed
from assay_runner.passes.comparing import comparison
from assay_runner.passes.counts import largest_of, own_samples
from assay_runner.passes.faults import tensor_faults
from assay_runner.passes.golden_noise import with_noise
from assay_runner.passes.histograms import MOST, HistogramsPass, worst_sites
from assay_runner.passes.layers import layer_errors
from assay_runner.passes.overflows import OverflowsPass
from assay_runner.passes.rounded_inputs import with_rounding
from assay_runner.passes.setting import Pass, Setting, Step
from assay_runner.statistics.blocks import sums_of
from assay_runner.statistics.exact import is_exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Arrays, Batch, Site

INF: Final = float("inf")


class TappedPass(Pass[TensorsWanted]):
    """Runs the candidate with every tensor shown, held against golden's where tensors are compared."""

    doing = "showing the candidate's tensors"
    tolerant = True
    takes_parts = True

    def __init__(self, needs: Sequence[TensorsWanted], setting: Setting, stack: ExitStack) -> None:
        """Open what shows the tensors.

        Raises:
            InvalidInput: it cannot be built so.
            Unsupported: no tensor can be shown.
            Unavailable: memory or the device gave out.
        """
        super().__init__(needs, setting, stack)
        subject, self._reference = setting.subject, setting.reference
        if not subject.backend.can(Capability.TENSORS):
            raise Unsupported(f"backend {subject.backend.name} cannot show tensors here")
        self._compared, whole = any(need.compared for need in needs), any(need.whole for need in needs)
        self._sites = subject.backend.sites(subject.built)
        self._names, self._axes = frozenset(site.tensor for site in self._sites), subject.built.axes
        self._graph = load_outline(subject.built.source)
        self._data, self._codes = fed(self._graph), codes(self._graph)
        golden = self._reference.built if self._compared else None
        self._clips = unclipped(subject.built.source, self._reference.model.path) if self._compared else {}
        self._comparison = stack.enter_context(
            comparison(
                subject.backend,
                subject.built,
                setting.budgets,
                local=self._compared,
                whole=whole,
                golden=golden,
                clips=self._clips,
            )
        )
        self._overflows = OverflowsPass(subject.built)
        self._reproduction: Reproduction | None = None
        self._empty: set[str] = set()
        self._size = 0
        self._found: ShownTensors | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of golden's run and of this one."""
        return (*(self._reference.notes if self._compared else ()), *self._comparison.notes)

    def golden_names(self) -> Collection[str]:
        """Those that the candidate shows, where they are compared."""
        return (self._comparison.shown or self._names) if self._compared else ()

    def fits(self, batch: Batch, limit: int) -> int:
        """As many as the comparison can hold."""
        return self._comparison.fits(batch, limit)

    def add(self, step: Step) -> None:
        """Look at the graph inputs."""
        self._size = step.size
        self._overflows.add(step.batch)

    def add_part(self, step: Step, part: Batch, golden: dict[str, Array]) -> None:
        """Show the candidate's tensors of a part, and compare them."""
        outputs = self._comparison.add(part, self._numbers(golden))
        if step.found is not None:
            plain = step.found if part is step.batch else self._chosen(step.found, step.batch, part)
            for each in (outputs, *self._comparison.others):
                self._compare(plain, each)

    def finish(self) -> None:
        """Look whether golden has what is not finite too, or count the worst tensors; and take the figures."""
        seen = self._comparison
        figures = seen.accumulated()
        errors, settled, histograms = None, dict[str, int](), tuple[Histogram, ...]()
        largest: dict[str, float] = {}
        if self._compared:
            errors = layer_errors(
                self._sites,
                figures,
                seen.local(),
                seen.fused,
                self._empty,
                seen.exact(),
                self._graph,
                self._reference.names,
            )
            whole = (part for batch in self._reference.dataset for part in parts(batch, self._size or None))
            errors = with_rounding(errors, self._graph, self._reference, self.setting.subject.built, whole)
            below = max(need.noise_below for need in self.needs)
            errors = with_noise(errors, self._reference, self.setting.budgets, below)
            histograms = self._drawn(worst_sites(errors))
            largest = {e.site.tensor: max(abs(e.golden_low), abs(e.golden_high)) for e in errors.layers}
        else:
            settled, largest, histograms = self._settled(figures)
        self._found = ShownTensors(
            faults=self._faults(figures, settled, largest),
            layers=errors,
            reproduction=self._reproduction,
            overflows=self._overflows.result(),
            histograms=histograms,
        )

    def result(self) -> Mapping[TensorsWanted, ShownTensors]:
        """The same for all."""
        return dict.fromkeys(self.needs, self._found) if self._found else {}

    def _faults(
        self, figures: Mapping[str, Figures], settled: Mapping[str, int], largest: Mapping[str, float]
    ) -> TensorFaults:
        seen = self._comparison
        return tensor_faults(self._sites, figures, settled, largest, seen.shown, seen.fused, self._data)

    def _numbers(self, golden: dict[str, Array]) -> dict[str, Array]:
        """Golden's tensors that are compared, taken out of what is given, so that nothing else holds them."""
        taken = {name: golden.pop(name) for name in [name for name in golden if name in self._names]}
        self._empty |= {name for name, array in taken.items() if is_float(array) and array.size == 0}
        return {name: a for name, a in taken.items() if is_float(a) or (is_exact(a) and name not in self._codes)}

    def _settled(
        self, figures: Mapping[str, Figures]
    ) -> tuple[dict[str, int], dict[str, float], tuple[Histogram, ...]]:
        """Samples in which golden does not have what is not finite here, by tensor; how large golden's is; histograms.

        Runs only the batches that had any.
        """
        names = {fault.site.tensor for fault in self._faults(figures, {}, {}).faults}
        own: dict[str, int] = {}
        largest: dict[str, float] = {}
        if not names:
            return own, largest, ()
        drawn = HistogramsPass([site for site in self._sites if site.tensor in names][:MOST], self._axes)
        starts = self._comparison.batches
        for part in self._parts(starts):
            wanted, found = self._reference.tensors(part, names), self._comparison.show(part, names)
            for name in names & wanted.keys() & found.keys():
                axis = self._axes.of(name, found[name].shape, part.fed)
                own[name] = own.get(name, 0) + own_samples(found[name], wanted[name], part, axis)
                largest[name] = max(largest.get(name, 0.0), largest_of(wanted[name]))
                if name in drawn.names and part.start == min(starts):
                    drawn.add(name, wanted[name], found[name], part)
        return own, largest, drawn.result()

    def _drawn(self, sites: tuple[Site, ...]) -> tuple[Histogram, ...]:
        """Count the worst tensors again: in the first part of the dataset, and in the first that is not finite."""
        if not sites:
            return ()
        drawn = HistogramsPass(sites, self._axes)
        for part in self._parts({0, *sorted(self._comparison.batches)[:1]}):
            golden, found = self._reference.tensors(part, drawn.names), self._comparison.show(part, drawn.names)
            for name in drawn.names & golden.keys() & found.keys():
                clip = self._clips.get(name)
                drawn.add(name, golden[name], clip.of(found[name]) if clip else found[name], part)
        return drawn.result()

    def _parts(self, starts: Collection[int]) -> Iterator[Batch]:
        """The parts that begin with these samples; reads no further than the last of them."""
        left = set(starts)
        for whole in self._reference.dataset:
            for part in parts(whole, self._size or None):
                if part.start in left:
                    left.discard(part.start)
                    yield part
            if not left:
                return

    def _compare(self, plain: Arrays, outputs: Arrays) -> None:
        """Numbers tell how near the outputs are; indices, and shapes that the data decide, only that they differ."""
        both = [name for name in plain if name in outputs]
        other = {name for name in both if not bits_equal(plain[name], outputs[name])}
        alike = [name for name in both if plain[name].shape == outputs[name].shape]
        numbers = [name for name in alike if is_float(plain[name])] or alike
        ratios = [sums_of(plain[name], outputs[name]).snr for name in numbers if name in other]
        snr = min(ratios, default=INF if numbers or not other else -INF)
        before = self._reproduction or Reproduction(True, INF)
        self._reproduction = Reproduction(before.bitwise and not other, min(before.snr, snr))

    def _chosen(self, plain: Arrays, batch: Batch, part: Batch) -> dict[str, Array]:
        """The plain run's outputs of some samples of a batch; those without a sample axis are left out."""
        samples = range(part.start - batch.start, part.start - batch.start + part.count)
        axes = {name: self._axes.of(name, array.shape, batch.fed) for name, array in plain.items()}
        return {name: plain[name].take(samples, axis) for name, axis in axes.items() if axis is not None}
