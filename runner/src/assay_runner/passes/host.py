"""Tensors compared in host memory, for backends that cannot do it where they lie.

One batch is held, and every tensor dropped as soon as it was looked at. Tensors are looked at side by side. What the
candidate made of a tensor in its own run, and what its node alone makes of golden's tensors, is held against golden's
in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Final

from assay_runner.backends import Backend, Built, Capability, Segment, Session
from assay_runner.backends.conversion import listed
from assay_runner.data.rows import affordable, is_float
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.upstream import fed
from assay_runner.passes.counts import Counts
from assay_runner.passes.rises import FIRST, Rises, power
from assay_runner.passes.side_by_side import SideBySide
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact, is_exact
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
        limit: int,
        stack: ExitStack,
        golden: Built | None = None,
    ) -> None:
        """Compare what a session shows.

        Args:
            backend: of the candidate.
            built: the candidate.
            session: shows its tensors.
            local: whether its segments are run on golden's tensors.
            limit: bytes of a segment's results.
            stack: closes what is opened later.
            golden: how golden's tensors are made, where they are made by the same runtime; None: not known.
        """
        self._backend, self._built, self._session, self._stack = backend, built, session, stack
        self._limit, self._golden = limit, golden
        self._looking, self._beside = SideBySide(stack), stack.enter_context(ThreadPoolExecutor(1))
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
        self._rises = Rises()
        self._held: tuple[Batch, dict[str, Array]] | None = None
        self._samples = self._alone_in = self._again_in = 0

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
        return frozenset(self._batches)

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

        The first segments are run beside the candidate, and tensors are looked at beside the next ones: ONNX Runtime
        alone does not keep all cores at work.
        """
        # Golden's tensors are there already: those of the last batch go before the candidate's come.
        self._finish()
        segments = self._cut(golden) if golden else ()
        self._samples += batch.count
        held = bool(segments) and self._alone_in >= FIRST
        if held:
            self._held, segments = (batch, golden), ()
        else:
            self._alone_in += batch.count
        coming = self._beside.submit(self._session.run, batch.inputs)
        ahead = [self._alone(segment, golden, batch) for segment in segments[:AHEAD]] or [{}]
        tensors = coming.result()
        outputs = {name: tensors[name] for name in self._outputs if name in tensors}
        shown = [name for name in self._names if name in tensors]
        self._shown.update(shown)
        made = {name for segment in segments for name in segment.gives}
        for place in range(max(1, len(segments))):
            alone = ahead.pop(0) if ahead else self._alone(segments[place], golden, batch)
            needs = (other.needs for other in segments[max(place + 1, AHEAD) :])
            later, rest = frozenset(golden) if held else NOWHERE.union(*needs), list[str]()
            self._looking.settle()
            if not segments[place + 1 :]:
                rest = [name for name in shown if name not in made]
                # What the candidate does not show is given back too.
                for name in () if held else golden.keys() - {*alone, *rest}:
                    del golden[name]
            self._looking.begin([*alone, *rest], partial(self._look, tensors, golden, alone, later, batch))
        return outputs

    def _finish(self) -> None:
        """Wait until all was looked at; where a tensor has fared worse than before, run what makes it alone too."""
        self._looking.settle()
        held, self._held = self._held, None
        if held is not None:
            batch, golden = held
            again = [each for each in self._segments or () if self._rises.names & each.gives.keys()]
            self._again_in += bool(again)
            for segment in again:
                alone = self._alone(segment, golden, batch)
                self._looking.each(list(alone), partial(self._look, {}, golden, alone, frozenset(golden), batch))
            golden.clear()
        self._rises.names.clear()

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
        return {name: self._counts[name].figures() for name in self._names if name in self._counts}

    def local(self) -> Mapping[str, Sums]:
        """What the segments gave so far."""
        self._finish()
        return self._local

    def exact(self) -> Mapping[str, Exact]:
        """What was counted so far."""
        self._finish()
        return self._exact

    def _exact_of(self, name: str) -> Exact:
        return self._exact.setdefault(name, Exact())

    def _look(
        self,
        tensors: dict[str, Array],
        golden: dict[str, Array],
        alone: dict[str, Array | None],
        later: frozenset[str],
        batch: Batch,
        name: str,
    ) -> None:
        """Compare a tensor of the candidate's run, and what its node alone makes, with golden's; all are taken out.

        Args:
            tensors: the candidate's.
            golden: golden's.
            alone: what nodes alone make of golden's tensors.
            later: those of golden's that are needed yet.
            batch: what was fed.
            name: of the tensor.
        """
        array, own = tensors.pop(name, None), alone.pop(name, None)
        expected = golden.get(name) if name in later else golden.pop(name, None)
        beside = None
        if own is not None and expected is not None:
            if is_exact(own):
                self._exact_of(name).add_local(*self._judged(name, batch, expected, own))
            elif own.shape == expected.shape:
                beside = self._local.setdefault(name, Sums(cross=None)), own
        if array is not None and is_float(array):
            axis = self._axes.of(name, array.shape, batch.fed)
            counts = self._counts.setdefault(name, Counts())
            noise, signal = power(counts.sums)
            if not counts.add(array, batch, expected, axis, beside):
                self._batches.add(batch.start)
            error, whole = power(counts.sums)
            self._rises.take(name, math.inf if counts.reshaped else error - noise, whole - signal)
        elif expected is not None:
            if beside is not None:
                sums, given = beside
                sums.add(*self._judged(name, batch, expected, given))
            if array is not None and is_exact(array):
                exact = self._exact_of(name)
                wrong, elements = exact.different, exact.elements
                exact.add(*self._judged(name, batch, expected, array))
                self._rises.take(name, exact.different - wrong, exact.elements - elements)

    def _judged(self, name: str, batch: Batch, golden: Array, other: Array) -> tuple[Array, Array]:
        """Both without what rows of padding made."""
        return self._axes.judged(name, golden, batch), self._axes.judged(name, other, batch)

    def _cut(self, golden: Arrays) -> tuple[Segment, ...]:
        """The candidate's segments, opened once it is known what golden shows."""
        if self._segments is None:
            # Integers that shapes and weights decide are computed in their segment, as operators may ask of them.
            cut = (item for item in golden.items() if is_float(item[1]) or item[0] in self._data)
            sizes = {name: array.nbytes for name, array in cut}
            opened = self._backend.segments(self._built, sizes, self._limit, self._golden)
            self._segments = self._stack.enter_context(opened)
        return self._segments
