"""Tensors compared in host memory, for backends that cannot do it where they lie.

One batch is held, and every tensor dropped as soon as it was looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from assay_runner.backends import Backend, Built, Capability, Piece, Session
from assay_runner.backends.seams import Comparing, Comparison
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import load_outline
from assay_runner.passes.counts import Counts
from assay_runner.passes.rows import is_float, parts
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Arrays, Batch

SHOWN_BYTES = 1 << 30
"""What the tensors of one run may take, unless one sample takes more."""

PIECE_BYTES = 96 << 20
NOWHERE: frozenset[str] = frozenset()


class HostComparison:
    """The seam over any backend that shows its tensors, and runs its pieces, in host memory."""

    def __init__(self, backend: Backend, built: Built, session: Session, local: bool, stack: ExitStack) -> None:
        """Compare what a session shows; `stack` closes what is opened later."""
        self._backend, self._built, self._session, self._stack = backend, built, session, stack
        self._names = [site.tensor for site in backend.sites(built)]
        self._axes = built.axes
        self._outputs = [output.name for output in load_outline(built.source).graph.output]
        self._pieces: tuple[Piece, ...] | None = None if local and backend.can(Capability.PIECES) else ()
        self._counts: dict[str, Counts] = {}
        self._local: dict[str, Sums] = {}
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
    def notes(self) -> tuple[str, ...]:
        """Nothing: it does all of it."""
        return ()

    def fits(self, batch: Batch, limit: int) -> int:
        """By the tensors of one sample."""
        return affordable(self._session, batch, limit)

    def add(self, batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
        """Run the pieces on golden's tensors, then the candidate, and compare."""
        if golden:
            self._add_local(golden, batch)
        tensors = self._session.run(batch.inputs)
        outputs = {name: tensors[name] for name in self._outputs if name in tensors}
        for name in self._names:
            array, reference = tensors.pop(name, None), golden.pop(name, None)
            if array is None:
                continue
            self._shown.add(name)
            if is_float(array) and not self._count(name, array, batch, reference):
                self._batches.add(batch.start)
        return outputs

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """By another run."""
        return {name: array for name, array in self._session.run(batch.inputs).items() if name in names}

    def accumulated(self) -> Mapping[str, Figures]:
        """What was counted so far."""
        return {name: counts.figures() for name, counts in self._counts.items()}

    def local(self) -> Mapping[str, Sums]:
        """What the pieces gave so far."""
        return self._local

    def _count(self, name: str, array: Array, batch: Batch, golden: Array | None) -> bool:
        axis = self._axes.of(name, array.shape, batch.fed)
        return self._counts.setdefault(name, Counts()).add(array, batch, golden, axis)

    def _add_local(self, golden: Arrays, batch: Batch) -> None:
        if self._pieces is None:
            sizes = {name: array.nbytes for name, array in golden.items()}
            self._pieces = self._stack.enter_context(self._backend.pieces(self._built, sizes, PIECE_BYTES))
        for piece in self._pieces:
            results = piece.session.run({**{n: golden[n] for n in piece.needs & golden.keys()}, **batch.inputs})
            for name, result in piece.gives.items():
                array = results.pop(result, None)
                if array is not None and array.shape == golden[name].shape:
                    sums = self._local.setdefault(name, Sums())
                    sums.add(*(self._axes.judged(name, a, batch) for a in (golden[name], array)))


def comparison(
    backend: Backend, built: Built, *, local: bool, whole: bool = False
) -> AbstractContextManager[Comparison]:
    """The backend's own comparison, or one in host memory, which always shows every tensor."""
    if isinstance(backend, Comparing):
        return backend.open_comparison(built, local=local, whole=whole)
    return compared_here(backend, built, local=local)


@contextmanager
def compared_here(backend: Backend, built: Built, *, local: bool) -> Iterator[HostComparison]:
    """A comparison in host memory; `local`: also run pieces of the candidate, if the backend can."""
    with ExitStack() as stack:
        session = stack.enter_context(backend.open_tapped(built))
        yield HostComparison(backend, built, session, local, stack)


def affordable(session: Session, batch: Batch, limit: int = SHOWN_BYTES) -> int:
    """Samples whose tensors fit into the limit; 0, all of a batch, where the model will not run on one alone."""
    try:
        tensors = session.run(next(parts(batch, 1)).inputs)
    except InvalidInput:
        return 0
    return max(1, limit // max(1, sum(array.nbytes for array in tensors.values())))
