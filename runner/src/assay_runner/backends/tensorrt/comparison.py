"""All tensors of an engine against golden's, where they lie: in device memory, of which only figures come back.

Golden's tensors go to the device once and serve twice: they are compared with what the engine made, and they are what
its segments run on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from assay_runner.backends.tensorrt.device import Buffers, DeviceArray, synchronize, to_device
from assay_runner.backends.tensorrt.kernels import Machine
from assay_runner.backends.tensorrt.partial import PartsSession
from assay_runner.backends.tensorrt.reductions import Reductions
from assay_runner.backends.tensorrt.segments import SegmentsSession
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.errors import InvalidInput, Unavailable
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.statistics.blocks import Sums
from assay_runner.statistics.exact import Exact, is_exact
from assay_runner.statistics.figures import Figures
from assay_runner.tensors import Array, Batch, Progress

FP32_BYTES: Final = 4


class DeviceComparison:
    """A probe engine and, where local errors are asked for, its segments; everything on the probe's stream."""

    def __init__(
        self,
        probe: EngineSession | PartsSession,
        segments: SegmentsSession | None,
        names: Collection[str],
        outputs: Collection[str],
        fused: Collection[str],
        axes: SampleAxes,
        progress: Progress,
        machine: Machine | None = None,
    ) -> None:
        """Compare what `probe` shows.

        Args:
            probe: the engine with tensors among its outputs.
            segments: its segments, on the same stream.
            names: tensors that are looked at, as far as they are shown.
            outputs: names of the model's own outputs.
            fused: tensors that the engine never makes.
            axes: where the samples of its tensors are.
            progress: told when local errors cannot be had.
            machine: what reduces; None: the GPU.
        """
        self._probe, self._segments, self._outputs = probe, segments, frozenset(outputs)
        self._axes, self._progress = axes, progress
        self.notes: tuple[str, ...] = ()
        self.others: tuple[dict[str, Array], ...] = ()
        self._left_out = False
        self.shown = probe.shown.intersection(names)
        self.fused = frozenset(fused)
        self._accumulated, self._local = Reductions(machine), Reductions(machine)
        self._golden, self._narrow = Buffers(), Buffers()
        self._exact: dict[str, Exact] = {}

    def add(self, batch: Batch, golden: dict[str, Array]) -> dict[str, Array]:
        """Run the engine on a batch, and its segments on golden's tensors; the model's outputs, on the host.

        Raises:
            InvalidInput: the engine, or its segments, cannot be run on these inputs.
            Unavailable: device memory ran out, or the device failed.
        """
        exact = {name: golden.pop(name) for name in [name for name, array in golden.items() if is_exact(array)]}
        placed = {name: self._copied(self._golden, name, array) for name, array in golden.items() if name in self.shown}
        found = self._probe.launch(batch.inputs)
        for name in [name for name in found if name in self.shown]:
            self._reduce(self._accumulated, name, placed.get(name), found[name], batch)
        self._add_exact(exact, found, batch)
        outputs, *others = (
            self._probe.fetch({name: array for name, array in each.items() if name in self._outputs})
            for each in (found, *(self._probe.others if isinstance(self._probe, PartsSession) else ()))
        )
        self.others = tuple(others)
        if self._segments is not None and placed:
            self._add_local(self._segments, placed, golden, batch)
        # What was copied must live until now.
        synchronize(self._probe.stream)
        golden.clear()
        return outputs

    def fits(self, batch: Batch, limit: int) -> int:
        """Samples whose tensors in golden's run take at most `limit` bytes of the host; 0 where batches are fixed."""
        one = batch.take(slice(0, 1))
        try:
            found = self._probe.launch(one)
        except InvalidInput:
            return 0
        shown = sum(math.prod(found[name].shape) for name in self.shown & found.keys())
        return max(1, limit // max(1, FP32_BYTES * shown))

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """The engine's tensors of these names, on the host."""
        found = self._probe.launch(batch.inputs)
        return self._probe.fetch({name: array for name, array in found.items() if name in names})

    def spoil(self, filling: int) -> None:
        """See `EngineSession.spoil`."""
        self._probe.spoil(filling)

    def accumulated(self) -> Mapping[str, Figures]:
        """By tensor, of the engine's own run."""
        return self._accumulated.result()

    def local(self) -> Mapping[str, Sums]:
        """By tensor, of each layer on golden's tensors."""
        found = {name: figures.sums for name, figures in self._local.result().items()}
        # Of another shape than golden's, nothing was compared: sums of nothing would be no error at all.
        return {name: sums for name, sums in found.items() if sums.elements}

    def exact(self) -> Mapping[str, Exact]:
        """By tensor of integers or booleans, of the engine's own run."""
        return self._exact

    @property
    def batches(self) -> frozenset[int]:
        """First samples of the batches in which something was not finite."""
        return self._accumulated.batches

    def close(self) -> None:
        """Give device memory back; the sessions are closed by who opened them."""
        synchronize(self._probe.stream)
        for held in (self._golden, self._narrow):
            held.free()
        for reductions in (self._accumulated, self._local):
            reductions.close()

    def _reduce(
        self, to: Reductions, name: str, golden: DeviceArray | None, candidate: DeviceArray, batch: Batch
    ) -> None:
        # The kernels take samples that lie one behind the other.
        rows = batch.fed if self._axes.of(name, candidate.shape, batch.fed) == 0 else 0
        to.add(name, golden, candidate, rows, batch.count, batch.start, self._probe.stream)

    def _add_exact(self, golden: Mapping[str, Array], found: Mapping[str, DeviceArray], batch: Batch) -> None:
        """Compare integers and booleans on the host: they are few, and no kernel reduces them."""
        shown = self.shown & golden.keys()
        there = {name: array for name, array in found.items() if name in shown and is_exact(array)}
        for name, array in self._probe.fetch(there).items() if there else ():
            pair = (self._axes.judged(name, a, batch) for a in (golden[name], array))
            self._exact.setdefault(name, Exact()).add(*pair)

    def _add_local(
        self, segments: SegmentsSession, placed: Mapping[str, DeviceArray], golden: Mapping[str, Array], batch: Batch
    ) -> None:
        fed = {name: self._fed(name, golden[name], array) for name, array in placed.items()}
        try:
            found = segments.launch({**fed, **batch.inputs})
        except (InvalidInput, Unavailable) as error:
            known = f"are measured before sample {batch.start} only" if self.local() else "are not measured"
            self.notes += (f"local errors {known}: {error}",)
            self._progress.note(self.notes[-1])
            # Its memory may be what the rest lacks.
            segments.close()
            self._segments = None
            return
        self.notes += tuple(note for note in segments.notes if note not in self.notes)
        if not found and segments.built and not self._left_out:
            self._left_out = True
            self.notes += (
                f"local errors leave out batches of another shape than the first, as at sample {batch.start}",
            )
        for name, array in found.items():
            self._reduce(self._local, name, placed.get(name), array, batch)

    def _fed(self, name: str, array: Array, placed: DeviceArray) -> DeviceArray:
        """What segments take: FP32 whatever golden computes in."""
        if array.dtype == np.float32:
            return placed
        narrow = array.astype(np.float32)
        fed = self._copied(self._narrow, name, narrow)
        synchronize(self._probe.stream)  # Until then it must live.
        return fed

    def _copied(self, to: Buffers, name: str, array: Array) -> DeviceArray:
        dense = np.asarray(array, order="C")
        pointer = to[name].reserve(dense.nbytes)
        to_device(dense, pointer, self._probe.stream)
        if dense is not array:
            synchronize(self._probe.stream)
        return DeviceArray(pointer, dense.dtype, tuple(array.shape))
