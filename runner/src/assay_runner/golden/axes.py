"""Where the samples of golden's tensors are: as the model declares, held against what golden does.

A declaration may be wrong, and shape inference knows lengths, not where values go. So golden is run on a handful of
samples in two orders, once for everybody who asks; where that contradicts what is declared, it wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from assay_api.entries import FloorEntry
from assay_runner.backends import Session
from assay_runner.backends.axis_probes import Followed, borne_out, followed, picked
from assay_runner.errors import InvalidInput
from assay_runner.golden.kept_axes import KeptAxes, decided, settled
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.golden.noise import floor
from assay_runner.graphs.batch_shapes import shapes_for
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.graphs.taps import random_sites, sites
from assay_runner.graphs.upstream import fed, upstream
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Array, Arrays, Batch, Batches, names

LOOKED_AT: Final = 4
"""Batches among which one of several samples is looked for."""
PICKED: Final = (-1, 0)
"""Places in a batch that was run of the samples that are run once more, in this order; far apart, for neighbours may be
alike."""
FEW: Final = 3
"""Samples that are fed where those do not decide, and where nothing was run: as many as tell turning from swapping."""
SHOWN: Final = 256 << 20
"""Bytes of tensors that are shown at once; those of two runs are held."""
WIDEST: Final = 8
"""Bytes of an element, at most."""


class Run(NamedTuple):
    """A batch that golden was run on."""

    session: Session
    """What ran it, and is open."""
    batch: Batch
    """What it was fed."""
    outputs: Arrays
    """What came out, as it came."""


class GoldenAxes:
    """The axes of a model's tensors, on a dataset; nothing is run before they are asked for, and then once."""

    def __init__(self, model: LoadedModel, dataset: Batches, workdir: Path, shown: int = SHOWN) -> None:
        """Remember what to look at.

        Args:
            model: the audit's model.
            dataset: its inputs; a few samples are run, or one batch where that decides nothing or cannot be done.
            workdir: where a converted model may be kept.
            shown: bytes of tensors inside the graph that may be shown at once.
        """
        self._model, self._dataset, self._workdir, self._shown = model, dataset, workdir, shown
        self._kept: KeptAxes | None = None
        self._known: SampleAxes | None = None
        self._all: SampleAxes | None = None
        self._floors: dict[str, FloorEntry] = {}

    @property
    def outputs(self) -> SampleAxes:
        """Those of the outputs, measured, and of whatever else is declared.

        Raises:
            Unavailable: memory ran out.
        """
        return self._measured(None)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the model's outputs and what it declares of them do not agree, and where that cannot be told."""
        return self.kept.notes

    @property
    def kept(self) -> KeptAxes:
        """What is known so far, to be stored; at least of the outputs.

        Raises:
            Unavailable: memory ran out.
        """
        self._measured(None)
        assert self._kept is not None
        return self._kept

    def take(self, kept: KeptAxes) -> None:
        """Know what another process measured, where nothing was measured here."""
        self._kept = self._kept or kept

    def outputs_by(self, run: Run) -> SampleAxes:
        """`outputs`; what is not known of them yet is measured beside a golden run, by the first batch that it ran.

        Its outputs are one of the orders, and its session is open: to open one more takes longer than a few samples.

        Raises:
            Unavailable: memory ran out.
        """
        return self._measured(run)

    @property
    def all(self) -> SampleAxes:
        """The same, with tensors inside the graph of which nothing is declared.

        Raises:
            Unavailable: memory ran out.
        """
        if self._all is None:
            known, inner = self.outputs, self.kept.inner
            if inner is None:
                inner = self._looked_inside(known)
                self._kept = self.kept.model_copy(update={"inner": inner})
            self._all = replace(known, axes={**known.axes, **inner}) if inner else known
        return self._all

    def _looked_inside(self, known: SampleAxes) -> dict[str, int]:
        if known.feeds:
            return {}
        outside = {*names(self._model.outputs), *known.axes, *known.rows}
        unknown = [site.tensor for site in sites(load_outline(self._model.path)) if site.tensor not in outside]
        batch = self._batch() if unknown else None
        # Of tensors inside, no more than a run or two is worth it: what is not known is taken as a whole.
        with suppress(InvalidInput):
            if batch is not None:
                return self._inner(_few(batch) if self._model.batch is None else batch, unknown)
        return {}

    def _measured(self, run: Run | None) -> SampleAxes:
        if self._known is None:
            self._kept = self._kept or self._held_against(run)
            feeds = self._model.feeding.feeds
            self._known = SampleAxes({}, feeds=True) if feeds else self._kept.over(self._declared())
        return self._known

    def _declared(self) -> SampleAxes:
        return declared_axes(self._model.path, self._model.axes)

    def _held_against(self, run: Run | None) -> KeptAxes:
        if self._model.feeding.feeds:
            return KeptAxes()
        known, graph = self._declared(), load_outline(self._model.path)
        data = fed(graph)
        # What the data do not decide is the same for all samples, in any order.
        told = [name for name in names(self._model.outputs) if known.shared(name) or name in known.rows]
        asked = [name for name in names(self._model.outputs) if name in data and name not in told]
        batch = run.batch if run and run.batch.fed > 1 else self._batch() if asked else None
        if batch is None:
            return KeptAxes()
        drawn = {site.tensor for site in random_sites(graph)}
        steady = [name for name in asked if drawn.isdisjoint(upstream(graph, name))]
        found = self._followed(batch, steady, known, run) if steady else {}
        return decided(known, asked, found).model_copy(update={"floors": tuple(self._floors.values())})

    def _followed(self, batch: Batch, asked: Iterable[str], known: SampleAxes, run: Run | None) -> dict[str, Followed]:
        found: dict[str, Followed] = {}
        # Whoever runs it for its outputs says why it cannot be run.
        with suppress(InvalidInput), nullcontext(run.session) if run else self._open() as session:
            if run and run.batch is batch:
                # Where a few fail, the model takes one number only, and does not say so.
                with suppress(InvalidInput):
                    found |= self._picked(run, asked)
            for few in self._attempts(batch):
                left = [name for name in asked if not settled(found.get(name), known.axes.get(name))]
                with suppress(InvalidInput):
                    told = self._turned(session, few, left, run) if left else {}
                    found |= told if self._model.batch is not None else borne_out(session, few, told)
        return found

    def _turned(self, session: Session, few: Batch, asked: list[str], run: Run | None) -> dict[str, Followed]:
        if run is None or few is not run.batch:
            return followed(session, few, asked)
        return followed(session, few, asked, known=run.outputs, undone=self._heard)

    def _picked(self, run: Run, asked: Iterable[str]) -> dict[str, Followed]:
        """Outputs in which the last sample and the first, run in that order, are as in the batch that was run."""
        if self._model.batch is not None or run.batch.fed <= len(PICKED):
            return {}
        chosen = [place % run.batch.fed for place in PICKED]
        other = run.session.run(run.batch.take(np.array(chosen)))
        found: dict[str, Followed] = {}
        for name in asked:
            given = run.outputs.get(name)
            if given is None or name not in other or (axis := picked(given, other[name], chosen)) is None:
                continue
            found[name] = Followed(changed=True, axes=(axis,))
            self._heard(name, np.moveaxis(given.take(chosen, axis), axis, 0), np.moveaxis(other[name], axis, 0))
        return found

    def _heard(self, name: str, first: Array, other: Array) -> None:
        if found := floor(name, "reordered", first, other):
            self._floors[name] = found

    def _open(self) -> AbstractContextManager[Session]:
        return BACKEND.open(golden_model(self._model, "fp32", self._workdir)[0])

    def _attempts(self, batch: Batch) -> Iterator[Batch]:
        """A few samples where the model takes any number of them, and the whole batch where they do not decide."""
        if self._model.batch is None and batch.fed > FEW:
            yield _few(batch)
        yield batch

    def _inner(self, batch: Batch, unknown: list[str]) -> dict[str, int]:
        count = batch.fed
        shapes = shapes_for(load_outline(self._model.path), count, self._model.axes)
        unknown = [name for name in unknown if name not in shapes or {count, None} & set(shapes[name])]
        found: dict[str, int] = {}
        groups = _groups(unknown, _bytes(shapes), self._shown)
        built = golden_model(self._model, "fp32", self._workdir)[0] if groups else None
        for group in groups:
            assert built is not None
            with BACKEND.open_tapped(built, group) as session:
                told = followed(session, batch, group)
            found |= {name: one.axes[0] for name, one in told.items() if len(one.axes) == 1}
        return found

    def _batch(self) -> Batch | None:
        """One of several samples: where there is a single one, all is its own."""
        return next((batch for batch in islice(self._dataset, LOOKED_AT) if batch.fed > 1), None)


def _few(batch: Batch) -> Batch:
    """Far apart, for neighbours may be alike."""
    chosen = np.linspace(0, batch.fed - 1, min(FEW, batch.fed)).astype(np.int64)
    return Batch(batch.start, len(chosen), batch.take(chosen), axes=batch.axes)


def _bytes(shapes: Mapping[str, tuple[int | str | None, ...]]) -> dict[str, int]:
    """Those of tensors whose shape is known."""
    known = {name: [size for size in shape if isinstance(size, int)] for name, shape in shapes.items()}
    return {name: WIDEST * prod(sizes) for name, sizes in known.items() if len(sizes) == len(shapes[name])}


def _groups(tensors: Iterable[str], sizes: Mapping[str, int], limit: int) -> list[set[str]]:
    """Tensors that fit into so many bytes at once; one of unknown size is taken for as large as the largest known."""
    largest = max(sizes.values(), default=limit)
    groups: list[set[str]] = []
    left = 0
    for tensor in tensors:
        size = sizes.get(tensor, largest)
        if size > left or not groups:
            groups.append(set())
            left = limit
        groups[-1].add(tensor)
        left -= size
    return groups
