"""Golden outputs that the user stored: .npz shards with one array per model output, in the dataset's order.

They have a row per sample. What no sample decides, as a constant, has none: there the model's own stands in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assay_runner.data.datasets import Dataset, find_shards, headers_of
from assay_runner.data.npz import ArrayHeader
from assay_runner.data.rules import fits, shown, type_name
from assay_runner.data.shards import ShardFiles
from assay_runner.data.streams import Shard, open_stream
from assay_runner.errors import InvalidInput
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.run import constant_outputs
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes, whole
from assay_runner.graphs.upstream import fed
from assay_runner.stores import basename
from assay_runner.tensors import Array, TensorSpec, names

if TYPE_CHECKING:
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store


@dataclass(frozen=True)
class StoredOutputs:
    """Stored outputs, cut into the dataset's batches; iterate them as often as needed.

    Attributes:
        uri: where they lie.
        dataset: whose batches they follow.
        shards: the shards that are read.
        ignored: arrays that match no output.
        constant: outputs that no sample decides; the model's own are given.
    """

    uri: str
    dataset: Dataset
    shards: tuple[Shard, ...]
    ignored: tuple[str, ...]
    constant: tuple[str, ...]
    _model: LoadedModel = field(repr=False)
    _scratch: Path = field(repr=False)
    _files: ShardFiles = field(repr=False)

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """One mapping per batch of the dataset, one array per output, rows = the batch's samples."""
        with open_stream(self._files, self.shards) as stream:
            for count in self.dataset.counts():
                rows = stream.take(count)
                yield {**rows, **{name: whole(a, self._model.batch or count) for name, a in self._constants.items()}}

    @cached_property
    def _constants(self) -> Mapping[str, Array]:
        if not self.constant:
            return {}
        return constant_outputs(self._model, self.dataset, self.constant, self._scratch / "constants")


def open_stored_outputs(
    store: Store, uri: str, model: LoadedModel, dataset: Dataset, scratch: Path, axes: GoldenAxes | None = None
) -> StoredOutputs:
    """Check by their headers that stored outputs fit the model and the dataset.

    Args:
        store: where they lie.
        uri: its name of them.
        model: the audit's model.
        dataset: its inputs.
        scratch: folder for what is fetched.
        axes: where the samples of the model's outputs are; None: that is found out.

    Raises:
        InvalidInput: nothing there, an output missing, of another kind or shape, or not one row per sample; or no
            output has samples.
        Unavailable: the store does not answer.
    """
    stats = find_shards(store, uri, "stored golden outputs")
    known, data = (axes or GoldenAxes(model, dataset, scratch / "axes")).outputs, fed(load_outline(model.path))
    # What samples share has no row for each of them; what belongs to which is to be known to be compared.
    # Strings and sequences are not compared, and need not be there.
    numbers = [o for o in model.outputs if not o.dtype.hasobject]
    wanted = [o for o in numbers if dataset.batch == 1 or known.axes.get(o.name) is not None]
    if model.batch != 1:
        wanted = [o for o in wanted if not known.shared(o.name)]
    constant = [o.name for o in model.outputs if o not in wanted and known.shared(o.name) and o.name not in data]
    if not wanted:
        raise InvalidInput(
            f"no output of the model has a sample axis, so {uri} cannot hold a row per sample: set golden.precision"
        )
    shards: list[Shard] = []
    ignored: dict[str, None] = {}
    for stat in stats:
        name = f"golden shard {basename(stat.uri)}"
        headers = headers_of(store, stat)
        found = {o.name: _output(headers, o, name, known) for o in wanted}
        rows = {n: h.shape[0] for n, h in found.items()}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{n}: {count}" for n, count in rows.items())
            raise InvalidInput(
                f"the arrays of {name} disagree on the number of samples, their first axis ({counts}): store them again"
            )
        ignored.update(dict.fromkeys(n for n in headers if n not in names(model.outputs)))
        shards.append(Shard(name, next(iter(rows.values())), found))
    total = sum(s.rows for s in shards)
    exact = dataset.source.samples is None
    if total < dataset.samples or (exact and total != dataset.samples):
        raise InvalidInput(
            f"the stored golden outputs {uri} hold {total} samples, and the dataset {dataset.source.uri} has "
            f"{dataset.samples}: store one row per sample, in the dataset's order"
        )
    used = _used(shards, dataset.samples)
    files = ShardFiles(store, stats, scratch)
    return StoredOutputs(uri, dataset, used, tuple(ignored), tuple(constant), model, scratch, files)


def _used(shards: list[Shard], samples: int) -> tuple[Shard, ...]:
    """The shards with as many rows as there are samples."""
    used = []
    for shard in shards:
        used.append(replace(shard, rows=min(shard.rows, samples)))
        samples -= used[-1].rows
    return tuple(used)


def _output(headers: Mapping[str, ArrayHeader], spec: TensorSpec, shard: str, axes: SampleAxes) -> ArrayHeader:
    header = headers.get(spec.name)
    if header is None:
        close = difflib.get_close_matches(spec.name, headers, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        there = ", ".join(repr(n) for n in sorted(headers)[:12]) or "no arrays"
        raise InvalidInput(f"{shard} has no array for the model's output {spec.name!r}: it holds {there}{hint}")
    if (header.dtype.kind == "f") != (spec.dtype.kind in "fV") or header.dtype.kind not in "fiub":
        raise InvalidInput(
            f"array {spec.name!r} of {shard} is {type_name(header.dtype)}, and the model's output is "
            f"{spec.dtype.name}: store the outputs in that type, or in a wider one of the kind"
        )
    row = _row(spec, axes)
    if not header.shape or (row is not None and not fits(header.shape[1:], row)):
        raise InvalidInput(
            f"array {spec.name!r} of {shard} has shape {shown(header.shape)}, and the model's output has "
            f"{shown(('samples', *(row or ())))}: store the outputs in that shape"
        )
    return header


def _row(spec: TensorSpec, axes: SampleAxes) -> tuple[int | str | None, ...] | None:
    """Shape of what an output holds of one sample; None where the model does not say it."""
    axis = axes.axes.get(spec.name)
    if spec.shape == (None,) or (axis is not None and axis >= len(spec.shape)):
        return None
    if axis is None:
        return spec.shape[1:] if spec.shape[:1] == (1,) else None
    return spec.shape[:axis] + spec.shape[axis + 1 :]
