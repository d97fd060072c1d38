"""Where the samples of golden's tensors are: as the model declares, held against what golden does.

A declaration may be wrong, and shape inference knows lengths, not where values go. So golden is run on a handful of
samples in two orders, once for everybody who asks; where that contradicts what is declared, it wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from itertools import islice
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from assay_runner.backends import Session
from assay_runner.backends.axis_probes import Followed, followed
from assay_runner.backends.emulation import listed
from assay_runner.errors import InvalidInput
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.graphs.batch_shapes import shapes_for
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes, declared_axes
from assay_runner.graphs.taps import random_sites, sites
from assay_runner.graphs.upstream import fed, upstream
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Arrays, Batch, Batches, names

LOOKED_AT: Final = 4
"""Batches among which one of several samples is looked for."""
FEW: Final = 3
"""Samples that are fed where the model takes any number."""
SHOWN: Final = 256 << 20
"""Bytes of tensors that are shown at once; those of two runs are held."""
WIDEST: Final = 8
"""Bytes of an element, at most."""


class _Outputs(NamedTuple):
    axes: SampleAxes
    notes: tuple[str, ...]


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
        self._outputs: _Outputs | None = None

    @property
    def outputs(self) -> SampleAxes:
        """Those of the outputs, measured, and of whatever else is declared.

        Raises:
            Unavailable: memory ran out.
        """
        return self._measured().axes

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the model's outputs and what it declares of them do not agree, and where that cannot be told."""
        return self._measured().notes

    def outputs_by(self, session: Session) -> SampleAxes:
        """`outputs`; what is not known of them yet is measured by golden's session in FP32, which is open anyway.

        To open one more takes longer than to run a few samples.

        Raises:
            Unavailable: memory ran out.
        """
        return self._measured(session).axes

    @cached_property
    def all(self) -> SampleAxes:
        """The same, with tensors inside the graph of which nothing is declared.

        Raises:
            Unavailable: memory ran out.
        """
        known = self.outputs
        graph = load_outline(self._model.path)
        outside = {*names(self._model.outputs), *known.axes}
        unknown = [site.tensor for site in sites(graph) if site.tensor not in outside]
        batch = self._batch() if unknown else None
        if batch is None:
            return known
        found: dict[str, int | None] = {}
        # Of tensors inside, no more than a run or two is worth it: what is not known is taken as a whole.
        with suppress(InvalidInput):
            found = self._inner(batch, _few(batch) if self._model.batch is None else batch.inputs, unknown)
        return SampleAxes({**known.axes, **found}, known.wrong)

    def _measured(self, session: Session | None = None) -> _Outputs:
        if self._outputs is None:
            self._outputs = self._held_against(session)
        return self._outputs

    def _held_against(self, session: Session | None) -> _Outputs:
        known, graph = declared_axes(self._model.path), load_outline(self._model.path)
        data = fed(graph)
        # What the data do not decide is the same for all samples, in any order.
        asked = [name for name in names(self._model.outputs) if name in data and not known.shared(name)]
        batch = self._batch() if asked else None
        if batch is None:
            return _Outputs(known, ())
        drawn = {site.tensor for site in random_sites(graph)}
        steady = [name for name in asked if drawn.isdisjoint(upstream(graph, name))]
        return _decided(known, asked, self._followed(batch, steady, known, session) if steady else {})

    def _followed(
        self, batch: Batch, asked: Iterable[str], known: SampleAxes, opened: Session | None
    ) -> dict[str, Followed]:
        found: dict[str, Followed] = {}
        # Whoever runs it for its outputs says why it cannot be run.
        with suppress(InvalidInput), nullcontext(opened) if opened else self._open() as session:
            for inputs in self._attempts(batch):
                left = [name for name in asked if _axis(found.get(name), known.axes.get(name)) is None]
                # Where a few fail, the model takes one number only, and does not say so.
                with suppress(InvalidInput):
                    found |= followed(session, inputs, left) if left else {}
        return found

    def _open(self) -> AbstractContextManager[Session]:
        return BACKEND.open(golden_model(self._model, "fp32", self._workdir)[0])

    def _attempts(self, batch: Batch) -> Iterator[Arrays]:
        """A few samples where the model takes any number of them, and the whole batch where they do not decide."""
        if self._model.batch is None and batch.fed > FEW:
            yield _few(batch)
        yield batch.inputs

    def _inner(self, batch: Batch, inputs: Arrays, unknown: list[str]) -> dict[str, int | None]:
        count = len(next(iter(inputs.values())))
        shapes = shapes_for(load_outline(self._model.path), count)
        unknown = [name for name in unknown if name not in shapes or {count, None} & set(shapes[name])]
        found: dict[str, int | None] = {}
        groups = _groups(unknown, _bytes(shapes), self._shown)
        built = golden_model(self._model, "fp32", self._workdir)[0] if groups else None
        for group in groups:
            assert built is not None
            with BACKEND.open_tapped(built, group) as session:
                told = followed(session, inputs, group)
            found |= {name: one.axes[0] for name, one in told.items() if len(one.axes) == 1}
        return found

    def _batch(self) -> Batch | None:
        """One of several samples: where there is a single one, all is its own."""
        return next((batch for batch in islice(self._dataset, LOOKED_AT) if batch.fed > 1), None)


def _few(batch: Batch) -> Arrays:
    """Far apart, for neighbours may be alike."""
    chosen = np.linspace(0, batch.fed - 1, min(FEW, batch.fed)).astype(np.int64)
    return {name: array[chosen] for name, array in batch.inputs.items()}


def _axis(told: Followed | None, declared: int | None) -> int | None:
    """The axis that was measured; None where none was, or more than one."""
    if told is None:
        return None
    return declared if declared in (*told.axes, *told.last) else told.axes[0] if len(told.axes) == 1 else None


def _decided(known: SampleAxes, asked: Iterable[str], found: Mapping[str, Followed]) -> _Outputs:
    axes, wrong = dict(known.axes), dict[str, int]()
    notes, unsure = list[str](), list[str]()
    for name in asked:
        told, declared = found.get(name), known.axes.get(name)
        axis = _axis(told, declared)
        if axis is not None:
            axes[name] = axis
            if declared not in (None, axis):
                notes.append(
                    f"output {name!r}: by what the model declares, axis {declared} holds the samples, but golden's "
                    f"lie along axis {axis}, which is taken"
                )
        elif declared is None:
            continue
        elif told is None or not told.changed:
            unsure.append(name)
        else:
            del axes[name]
            wrong[name] = declared
            notes.append(
                f"output {name!r}: by what the model declares, axis {declared} holds the samples, but golden's do not "
                "follow them there: they lie elsewhere, or depend on one another"
            )
    if unsure:
        notes.append(
            "outputs that are random, or alike whatever the order of the samples, so that the axis of samples is taken "
            f"as the model declares it: {listed(unsure)}"
        )
    return _Outputs(SampleAxes(axes, wrong), tuple(notes))


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
