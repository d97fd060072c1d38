"""Tensors compared in host memory, for backends that cannot do it where they lie.

One batch is held, and every tensor dropped as soon as it was looked at. Tensors are looked at side by side, one on each
core: ONNX Runtime has just left them idle, and what is found of one tensor depends on no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from assay_runner.backends import Backend, Built, Capability, Segment, Session
from assay_runner.backends.conversion import listed
from assay_runner.backends.seams import Comparing, Comparison
from assay_runner.cores import cores
from assay_runner.data.rows import affordable, is_float
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.upstream import fed
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.passes.counts import Counts
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact, is_exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Arrays, Batch

NOWHERE: frozenset[str] = frozenset()


class HostComparison:
    """The seam over any backend that shows its tensors, and runs its segments, in host memory."""

    def __init__(
        self, backend: Backend, built: Built, session: Session, local: bool, limit: int, stack: ExitStack
    ) -> None:
        """Compare what a session shows; `limit`: bytes of a segment's results. `stack` closes what is opened later."""
        self._backend, self._built, self._session, self._stack = backend, built, session, stack
        self._limit = limit
        self._looking = stack.enter_context(ThreadPoolExecutor(cores()))
        self._names = [site.tensor for site in backend.sites(built)]
        self._axes = built.axes
        graph = load_outline(built.source)
        self._outputs, self._data = [output.name for output in graph.graph.output], fed(graph)
        self._segments: tuple[Segment, ...] | None = None if local and backend.can(Capability.SEGMENTS) else ()
        self._counts: dict[str, Counts] = {}
        self._local: dict[str, Sums] = {}
        self._exact: dict[str, Exact] = {}
        self._shown: set[str] = set()
        self._batches: set[int] = set()

    @property
    def shown(self) -> frozenset[str]:
        """Tensors that were shown so far."""
        return frozenset(self._shown)

    @property
    def fused(self) -> frozenset[str]:
        """None: nothing is known of it here."""
        return NOWHERE

    @property
    def batches(self) -> frozenset[int]:
        """Starts of the batches in which a tensor was not finite."""
        return frozenset(self._batches)

    @property
    def others(self) -> tuple[Arrays, ...]:
        """None: one run shows all."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whose local errors could not be measured, and why."""
        lost = {name: why for segment in self._segments or () for name, why in segment.lost.items()}
        reasons = {why: [name for name in lost if lost[name] == why] for why in lost.values()}
        return tuple(f"no local error of {listed(names)}: {why}" for why, names in reasons.items())

    def fits(self, batch: Batch, limit: int) -> int:
        """By the tensors of one sample."""
        return affordable(self._session.run, batch, limit)

    def add(self, batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
        """Run the segments on golden's tensors, then the candidate, and compare."""
        if golden:
            self._add_local(golden, batch)
        tensors = self._session.run(batch.inputs)
        outputs = {name: tensors[name] for name in self._outputs if name in tensors}
        shown = [name for name in self._names if name in tensors]
        self._shown.update(shown)
        for name in set(self._names) - set(shown):
            golden.pop(name, None)
        # Taken out one by one: a tensor is dropped once it was looked at.
        self._each(shown, lambda name: self._look(name, tensors.pop(name), golden.pop(name, None), batch))
        return outputs

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """By another run."""
        return {name: array for name, array in self._session.run(batch.inputs).items() if name in names}

    def accumulated(self) -> Mapping[str, Figures]:
        """What was counted so far."""
        return {name: self._counts[name].figures() for name in self._names if name in self._counts}

    def local(self) -> Mapping[str, Sums]:
        """What the segments gave so far."""
        return self._local

    def exact(self) -> Mapping[str, Exact]:
        """What was counted so far."""
        return self._exact

    def _exact_of(self, name: str) -> Exact:
        return self._exact.setdefault(name, Exact())

    def _each(self, names: Collection[str], work: Callable[[str], None]) -> None:
        """Do the work for each of the names; every core takes the next one that is left."""
        left = iter(list(names))  # Of a list's iterator each name comes once, whoever asks.

        def some() -> None:
            for name in left:
                work(name)

        for done in [self._looking.submit(some) for _ in range(cores())]:
            done.result()

    def _look(self, name: str, array: Array, golden: Array | None, batch: Batch) -> None:
        """Compare a tensor of the candidate's own run with golden's."""
        if is_float(array):
            axis = self._axes.of(name, array.shape, batch.fed)
            if not self._counts.setdefault(name, Counts()).add(array, batch, golden, axis):
                self._batches.add(batch.start)
        elif golden is not None and is_exact(array):
            self._exact_of(name).add(*(self._axes.judged(name, each, batch) for each in (golden, array)))

    def _add_local(self, golden: Arrays, batch: Batch) -> None:
        if self._segments is None:
            # Integers that shapes and weights decide are computed in their segment, as operators may ask of them.
            cut = (item for item in golden.items() if is_float(item[1]) or item[0] in self._data)
            sizes = {name: array.nbytes for name, array in cut}
            self._segments = self._stack.enter_context(self._backend.segments(self._built, sizes, self._limit))
        for segment in self._segments:
            results = segment.session.run({**{n: golden[n] for n in segment.needs & golden.keys()}, **batch.inputs})
            self._each(segment.gives.keys(), partial(self._look_alone, segment.gives, golden, results, batch))

    def _look_alone(
        self, gives: Mapping[str, str], golden: Arrays, results: dict[str, Array], batch: Batch, name: str
    ) -> None:
        """Compare what a tensor's own operation makes of golden's tensors with golden's."""
        array = results.pop(gives[name], None)
        if array is None:
            return
        expected, found = (self._axes.judged(name, each, batch) for each in (golden[name], array))
        if is_exact(array):
            self._exact_of(name).add_local(expected, found)
        elif array.shape == golden[name].shape:
            self._local.setdefault(name, Sums()).add(expected, found)


def comparison(
    backend: Backend, built: Built, budgets: Budgets = DEFAULT, *, local: bool, whole: bool = False
) -> AbstractContextManager[Comparison]:
    """The backend's own comparison, or one in host memory, which always shows every tensor."""
    if isinstance(backend, Comparing):
        return backend.open_comparison(built, local=local, whole=whole)
    return compared_here(backend, built, budgets, local=local)


@contextmanager
def compared_here(
    backend: Backend,
    built: Built,
    budgets: Budgets = DEFAULT,
    *,
    local: bool,
    tensors: Collection[str] | None = None,
) -> Iterator[HostComparison]:
    """A comparison in host memory; `local`: also run segments of the candidate, if the backend can.

    `tensors`: those that are shown; None: all.
    """
    with ExitStack() as stack:
        session = stack.enter_context(backend.open_tapped(built, tensors))
        yield HostComparison(backend, built, session, local, budgets.segments, stack)
