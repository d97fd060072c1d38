"""Tensors compared in host memory, for backends that cannot do it where they lie.

One batch is held, and every tensor dropped as soon as it was looked at. Tensors are looked at side by side. What the
candidate made of a tensor in its own run, and what its node alone makes of golden's tensors, is held against golden's
in one pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Final

from assay_runner.backends import Backend, Built, Capability, Segment, Session
from assay_runner.backends.conversion import listed
from assay_runner.data.rows import affordable, is_float
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.unclipped import Clipped
from assay_runner.graphs.upstream import fed
from assay_runner.passes.budgets import Budgets
from assay_runner.passes.rises import FIRST
from assay_runner.passes.side_by_side import SideBySide
from assay_runner.passes.tensor_errors import NONE, TensorErrors
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Arrays, Batch

NOWHERE: frozenset[str] = frozenset()
AHEAD: Final = 2
"""Segments that are run beside the candidate; their results are in memory at once."""


class HostComparison:
    """The seam over any backend that shows its tensors, and runs its segments, in host memory."""

    def __init__(
        self,
        backend: Backend,
        built: Built,
        session: Session,
        local: bool,
        budgets: Budgets,
        stack: ExitStack,
        golden: Built | None = None,
        clips: Mapping[str, Clipped] = NONE,
    ) -> None:
        """Compare what a session shows.

        Args:
            backend: of the candidate.
            built: the candidate.
            session: shows its tensors.
            local: whether its segments are run on golden's tensors.
            budgets: bytes of tensors.
            stack: closes what is opened later.
            golden: how golden's tensors are made, where they are made by the same runtime; None: not known.
            clips: see `unclipped`.
        """
        self._backend, self._built, self._session, self._stack = backend, built, session, stack
        self._budgets, self._golden = budgets, golden
        self._looking, self._beside = SideBySide(stack), stack.enter_context(ThreadPoolExecutor(1))
        self._names = [site.tensor for site in backend.sites(built)]
        graph = load_outline(built.source)
        self._outputs, self._data = [output.name for output in graph.graph.output], fed(graph)
        self._segments: tuple[Segment, ...] | None = None if local and backend.can(Capability.SEGMENTS) else ()
        self._shown: set[str] = set()
        self._errors = TensorErrors(built.axes, clips)
        self._held: tuple[Batch, dict[str, Array]] | None = None
        self._samples = self._alone_in = self._again_in = self._size = 0

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
        self._finish()
        return frozenset(self._errors.batches)

    @property
    def others(self) -> tuple[Arrays, ...]:
        """None: one run shows all."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Whose local errors could not be measured, and why; and of which samples they are, so far."""
        lost = {name: why for segment in self._segments or () for name, why in segment.lost.items()}
        reasons = {why: [name for name in lost if lost[name] == why] for why in lost.values()}
        notes = tuple(f"no local error of {listed(names)}: {why}" for why, names in reasons.items())
        return (*notes, self._sampled()) if self._segments and self._alone_in < self._samples else notes

    def fits(self, batch: Batch, limit: int) -> int:
        """By the tensors of one sample."""
        return affordable(self._session.run, batch, limit)

    def add(self, batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
        """Run the candidate, and on batches that `rises` is about its segments on golden's tensors, and compare.

        The first segments are run beside the candidate, and tensors are looked at beside the next ones, or the next
        batch: ONNX Runtime alone does not keep all cores at work.
        """
        segments = self._cut(golden) if golden else ()
        self._samples += batch.count
        later = bool(segments) and self._alone_in >= FIRST
        if later:
            segments = ()
        else:
            self._alone_in += batch.count
        if max(self._size, _size(golden)) > self._budgets.beside:
            self._finish()
        coming = self._beside.submit(self._session.run, batch.inputs)
        ahead = [self._alone(segment, golden, batch) for segment in segments[:AHEAD]]
        tensors = coming.result()
        self._finish()
        outputs, shown = self._taken(tensors)
        if later:
            self._held, golden = (batch, golden), dict(golden)
        made = {name for segment in segments for name in segment.gives}
        for place, segment in enumerate(segments):
            alone = ahead.pop(0) if ahead else self._alone(segment, golden, batch)
            needed = NOWHERE.union(*(other.needs for other in segments[max(place + 1, AHEAD) :]))
            self._look(alone, tensors, golden, alone, batch, needed)
        self._look([name for name in shown if name not in made], tensors, golden, {}, batch)
        # What the candidate does not show is given back too.
        golden.clear()
        return outputs

    def _look(
        self,
        names: Collection[str],
        tensors: dict[str, Array],
        golden: dict[str, Array],
        alone: dict[str, Array | None],
        batch: Batch,
        needed: Collection[str] = NOWHERE,
    ) -> None:
        """Begin to look at tensors of these names, which are taken out, but for those of golden's that are needed."""
        theirs = {name: tensors.pop(name) for name in names if name in tensors}
        expected = {name: golden[name] if name in needed else golden.pop(name) for name in names if name in golden}
        self._looking.begin(list(names), partial(self._errors.look, theirs, expected, alone, batch))

    def _taken(self, tensors: Arrays) -> tuple[dict[str, Array], list[str]]:
        """Outputs among what the candidate has shown, and the names of what is looked at."""
        shown = [name for name in self._names if name in tensors]
        self._shown.update(shown)
        self._size = _size(tensors)
        return {name: tensors[name] for name in self._outputs if name in tensors}, shown

    def _finish(self) -> None:
        """Wait until all was looked at; where a tensor has fared worse than before, run what makes it alone too."""
        self._looking.settle()
        held, self._held = self._held, None
        if held is not None:
            batch, golden = held
            again = [each for each in self._segments or () if self._errors.rises.names & each.gives.keys()]
            self._again_in += bool(again)
            for segment in again:
                alone = self._alone(segment, golden, batch)
                self._look(alone, {}, golden, alone, batch, golden)
            self._looking.settle()
            golden.clear()
        self._errors.rises.names.clear()

    def _sampled(self) -> str:
        many = "a batch" if self._again_in == 1 else f"{self._again_in} batches"
        more = f", and of {many} in which a tensor fared worse" if self._again_in else ""
        first = f"local errors are those of the first {self._alone_in} of {self._samples} samples"
        return f"{first}{more}: no tensor fared worse in others"

    def _alone(self, segment: Segment, golden: Arrays, batch: Batch) -> dict[str, Array | None]:
        """What a segment makes of golden's tensors, None for what it cannot, by the names of these."""
        needed = {name: golden[name] for name in segment.needs if name in golden}
        results = segment.session.run({**needed, **batch.inputs})
        return {name: results.get(given) for name, given in segment.gives.items()}

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """By another run."""
        return {name: array for name, array in self._session.run(batch.inputs).items() if name in names}

    def accumulated(self) -> Mapping[str, Figures]:
        """What was counted so far."""
        self._finish()
        counts = self._errors.counts
        return {name: counts[name].figures() for name in self._names if name in counts}

    def local(self) -> Mapping[str, Sums]:
        """What the segments gave so far."""
        self._finish()
        return self._errors.local

    def exact(self) -> Mapping[str, Exact]:
        """What was counted so far."""
        self._finish()
        return self._errors.exact

    def _cut(self, golden: Arrays) -> tuple[Segment, ...]:
        """The candidate's segments, opened once it is known what golden shows."""
        if self._segments is None:
            # Integers that shapes and weights decide are computed in their segment, as operators may ask of them.
            cut = (item for item in golden.items() if is_float(item[1]) or item[0] in self._data)
            sizes = {name: array.nbytes for name, array in cut}
            opened = self._backend.segments(self._built, sizes, self._budgets.segments, self._golden)
            self._segments = self._stack.enter_context(opened)
        return self._segments


def _size(tensors: Arrays) -> int:
    """Bytes of all."""
    return sum(array.nbytes for array in tensors.values())
