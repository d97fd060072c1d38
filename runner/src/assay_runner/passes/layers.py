"""Every tensor against golden's, in lockstep: one batch of each run is held, and every tensor dropped once compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from assay_runner.backends import Backend, Built, Capability, Piece, Session
from assay_runner.evidence import Error, LayerError, LayerErrors, Site
from assay_runner.passes.faults import FaultsPass
from assay_runner.passes.rows import is_float, judged
from assay_runner.statistics.blocks import Sums, plain
from assay_runner.tensors import Array, Arrays, Batch

PIECE_BYTES = 96 << 20


@dataclass
class _Tensor:
    accumulated: Sums = field(default_factory=Sums)
    local: Sums | None = None
    low: float = float("inf")
    high: float = float("-inf")
    golden_low: float = float("inf")
    golden_high: float = float("-inf")


class LayersPass:
    """Gathers local and accumulated errors of all tensors that candidate and golden share."""

    def __init__(self, backend: Backend, built: Built, golden: Session, stack: ExitStack) -> None:
        """Compare a built candidate with a golden session that shows tensors; what is opened is closed by `stack`."""
        self._backend, self._built, self._golden, self._stack = backend, built, golden, stack
        self._sites: Sequence[Site] = backend.sites(built)
        self._tensors: dict[str, _Tensor] = {}
        self._pieces: tuple[Piece, ...] | None = None
        self._shown: set[str] = set()

    def add_golden(self, batch: Batch) -> dict[str, Array]:
        """Run golden and the candidate's pieces on it; returns golden's tensors, for `add_candidate`."""
        golden = self._golden.run(batch.inputs)
        names = {site.tensor for site in self._sites}
        golden = {name: array for name, array in golden.items() if name in names and is_float(array)}
        if self._pieces is None:
            self._pieces = self._open(golden)
        for piece in self._pieces:
            self._add_local(piece, golden, batch)
        return golden

    def show(self, batch: Batch, names: Collection[str]) -> dict[str, Array]:
        """Golden's tensors of these names."""
        return {name: array for name, array in self._golden.run(batch.inputs).items() if name in names}

    def add_candidate(
        self, batch: Batch, golden: dict[str, Array], tensors: dict[str, Array], faults: FaultsPass
    ) -> None:
        """Compare the candidate's tensors with golden's; both mappings are emptied on the way."""
        for site in self._sites:
            array, reference = tensors.pop(site.tensor, None), golden.pop(site.tensor, None)
            if array is None:
                continue
            self._shown.add(site.tensor)
            faults.add(site.tensor, array, batch, reference)
            if reference is not None and is_float(array) and array.shape == reference.shape:
                self._add(site.tensor, judged(reference, batch), judged(array, batch))

    def result(self, faults: FaultsPass) -> LayerErrors:
        """What was measured, in topological order."""
        layers = tuple(
            _error(site, self._tensors[site.tensor], faults.samples(site.tensor))
            for site in self._sites
            if site.tensor in self._tensors
        )
        compared = {layer.site.tensor for layer in layers}
        return LayerErrors(layers, tuple(s.tensor for s in self._sites if s.tensor not in compared))

    def _open(self, golden: Arrays) -> tuple[Piece, ...]:
        if not self._backend.can(Capability.PIECES):
            return ()
        sizes = {name: array.nbytes for name, array in golden.items()}
        return self._stack.enter_context(self._backend.pieces(self._built, sizes, PIECE_BYTES))

    def _add_local(self, piece: Piece, golden: Arrays, batch: Batch) -> None:
        results = piece.session.run({**{n: golden[n] for n in piece.needs & golden.keys()}, **batch.inputs})
        for name, result in piece.gives.items():
            array = results.pop(result, None)
            if array is not None and array.shape == golden[name].shape:
                tensor = self._tensors.setdefault(name, _Tensor())
                tensor.local = tensor.local or Sums()
                tensor.local.add(judged(golden[name], batch), judged(array, batch))

    def _add(self, name: str, golden: Array, candidate: Array) -> None:
        tensor = self._tensors.setdefault(name, _Tensor())
        tensor.accumulated.add(golden, candidate)
        tensor.golden_low, tensor.golden_high = _range(golden, tensor.golden_low, tensor.golden_high)
        tensor.low, tensor.high = _range(candidate, tensor.low, tensor.high)


def _range(array: Array, low: float, high: float) -> tuple[float, float]:
    if array.size == 0:
        return low, high
    array = plain(array)
    least, most = float(array.min()), float(array.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        finite = array[np.isfinite(array)]
        least, most = (float(finite.min()), float(finite.max())) if finite.size else (low, high)
    return min(low, least), max(high, most)


def _error(site: Site, tensor: _Tensor, not_finite: int) -> LayerError:
    return LayerError(
        site=site,
        elements=tensor.accumulated.elements,
        low=tensor.low,
        high=tensor.high,
        golden_low=tensor.golden_low,
        golden_high=tensor.golden_high,
        not_finite=not_finite,
        accumulated=_summary(tensor.accumulated),
        local=_summary(tensor.local) if tensor.local else None,
        starts_here=_share(tensor.local, tensor.accumulated),
    )


def _summary(sums: Sums) -> Error:
    return Error(max_abs=sums.max_abs, rms=sums.rms, snr=sums.snr, cosine=sums.cosine)


def _share(local: Sums | None, accumulated: Sums) -> float | None:
    """Share of the accumulated error's power that the local one accounts for; None where there is no error."""
    if local is None or (not accumulated.bad and accumulated.noise == 0):
        return None
    if local.bad or accumulated.bad:
        return 1.0 if local.bad else 0.0
    return min(1.0, local.noise / accumulated.noise)
