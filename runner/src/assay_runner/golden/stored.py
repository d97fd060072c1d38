"""Golden outputs that the user stored: one array per model output, in the dataset's order, or a file per feed.

They have a row per sample. What no sample decides, as a constant, has none: there the model's own stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay_runner.data.arrays import ArrayHeader
from assay_runner.data.batches import typed
from assay_runner.data.datasets import Dataset, shard_files
from assay_runner.data.finding import Part, find
from assay_runner.data.readers.reader import Wanted
from assay_runner.data.rules import fits, same_type, shown, type_name
from assay_runner.data.seals import brief, digest_of, prints, seal_of
from assay_runner.data.shards import ShardFiles
from assay_runner.data.streams import Shard, open_stream
from assay_runner.errors import InvalidInput, did_you_mean
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.run import constant_outputs
from assay_runner.graphs.documents import load_outline
from assay_runner.graphs.sample_axes import SampleAxes, whole
from assay_runner.graphs.upstream import fed
from assay_runner.statistics.texts import coded
from assay_runner.tensors import Array, TensorSpec, names

if TYPE_CHECKING:
    from assay_runner.models.loading import LoadedModel
    from assay_runner.stores import Store

STORED: Final = "stored golden outputs"


@dataclass(frozen=True)
class StoredOutputs:
    """Stored outputs, cut into the dataset's batches; iterate them as often as needed.

    Attributes:
        uri: where they lie.
        dataset: whose batches they follow.
        shards: the shards that are read.
        ignored: arrays that match no output.
        constant: outputs that no sample decides; the model's own are given.
        identity: digest of the files' names, sizes and contents (in a store: versions).
        parts: what the shards are read from, one each.
        prints: digests of name, size and content of each part.
    """

    uri: str
    dataset: Dataset
    shards: tuple[Shard, ...]
    ignored: tuple[str, ...]
    constant: tuple[str, ...]
    identity: str
    parts: tuple[Part, ...]
    prints: tuple[str, ...]
    _model: LoadedModel = field(repr=False)
    _scratch: Path = field(repr=False)
    _files: ShardFiles = field(repr=False)

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """One mapping per batch of the dataset, one array per output, rows = the batch's samples."""
        specs = {o.name: o for o in self._model.outputs}
        with open_stream(self._files, self.shards) as stream:
            for count in self.dataset.counts():
                # What is stored in another type of the kind stays in that one.
                rows = {
                    name: typed(array, specs[name]) if same_type(array.dtype, specs[name].dtype) else _numbers(array)
                    for name, array in stream.take(count).items()
                }
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
    asked = Wanted("outputs", names(model.outputs))
    parts = list(find(store, uri, STORED, asked).parts(store, asked, scratch))
    known, data = (axes or GoldenAxes(model, dataset, scratch / "axes")).outputs, fed(load_outline(model.path))
    wanted = _wanted(model, dataset, known)
    constant = [o.name for o in model.outputs if o not in wanted and known.shared(o.name) and o.name not in data]
    if dataset.feeding.feeds:
        parts = _matched(parts, dataset, uri)
    seals = [seal_of(store, part, f"the {STORED} {uri}") for part in parts]
    shards: list[Shard] = []
    ignored: dict[str, None] = {}
    found = [part.headers(store) for part in parts]
    wanted += [o for o in model.outputs if o.dtype.hasobject and all(_is_text(h.get(o.name)) for h in found)]
    if not wanted:
        raise InvalidInput(
            f"no output of the model has a sample axis, so {uri} cannot hold a row per sample: set golden.precision"
        )
    for part, headers in zip(parts, found, strict=True):
        shards.append(_shard(headers, wanted, part, known))
        ignored.update(dict.fromkeys(n for n in headers if n not in names(model.outputs)))
    total = sum(s.rows for s in shards)
    exact = dataset.source.samples is None
    if total < dataset.samples or (exact and total != dataset.samples):
        raise InvalidInput(
            f"the stored golden outputs {uri} hold {total} samples, and the dataset {dataset.source.uri} has "
            f"{dataset.samples}: store one row per sample, in the dataset's order"
        )
    used = _used(shards, dataset.samples)
    files, told = shard_files(store, parts, seals, scratch), prints(parts, seals)
    return StoredOutputs(
        uri=uri,
        dataset=dataset,
        shards=used,
        ignored=tuple(ignored),
        constant=tuple(constant),
        identity=digest_of(told),
        parts=tuple(parts),
        prints=tuple(map(brief, told)),
        _model=model,
        _scratch=scratch,
        _files=files,
    )


def _wanted(model: LoadedModel, dataset: Dataset, known: SampleAxes) -> list[TensorSpec]:
    """Outputs of which something must be stored for each sample."""
    # Sequences are not compared, and texts where they are there: they need not be.
    numbers = [o for o in model.outputs if not o.dtype.hasobject]
    if dataset.feeding.feeds:
        return numbers
    # What samples share has no row for each of them; what belongs to which is to be known to be compared.
    wanted = [o for o in numbers if dataset.batch == 1 or known.axes.get(o.name) is not None]
    return wanted if model.batch == 1 else [o for o in wanted if not known.shared(o.name)]


def _matched(parts: Sequence[Part], dataset: Dataset, uri: str) -> list[Part]:
    """The part of each feed: of its name, or, where one side has no names, of its place.

    Raises:
        InvalidInput: a feed has none, or there are more parts than feeds.
    """
    source, count = dataset.source, len(dataset.parts)
    if any(part.reader.ordered for part in (*parts[:1], dataset.parts[0])):
        if len(parts) == count or (source.samples and len(parts) > count):
            return list(parts[:count])
        raise InvalidInput(
            f"the stored golden outputs {uri} are of {len(parts)} feeds, and the dataset {source.uri} has {count}: "
            "store the outputs of each feed, in their order"
        )
    there = {part.key: part for part in parts}
    for feed in dataset.parts:
        if feed.key not in there:
            raise InvalidInput(
                f"the stored golden outputs {uri} have none for feed {feed.key!r} of the dataset {source.uri}: store "
                "those of each feed by the name of its file"
            )
    return [there[feed.key] for feed in dataset.parts]


def _shard(headers: Mapping[str, ArrayHeader], wanted: Sequence[TensorSpec], part: Part, known: SampleAxes) -> Shard:
    name = f"golden shard {part.name}"
    found = {o.name: _output(headers, o, name, known, part.reader.as_given) for o in wanted}
    rows = {n: h.samples for n, h in found.items()}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{n}: {count}" for n, count in rows.items())
        raise InvalidInput(
            f"the arrays of {name} disagree on the number of samples, their first axis ({counts}): store them again"
        )
    return Shard(name, next(iter(rows.values())), found, part.format)


def _used(shards: list[Shard], samples: int) -> tuple[Shard, ...]:
    """The shards with as many rows as there are samples."""
    used = []
    for shard in shards:
        used.append(replace(shard, rows=min(shard.rows, samples)))
        samples -= used[-1].rows
    return tuple(used)


def _output(
    headers: Mapping[str, ArrayHeader], spec: TensorSpec, shard: str, axes: SampleAxes, as_given: bool
) -> ArrayHeader:
    header = headers.get(spec.name)
    if header is None:
        hint = did_you_mean(spec.name, headers)
        there = ", ".join(repr(n) for n in sorted(headers)[:12]) or "no arrays"
        raise InvalidInput(f"{shard} has no array for the model's output {spec.name!r}: it holds {there}{hint}")
    alike = header.dtype.kind in "fiub" and (header.dtype.kind == "f") == (spec.dtype.kind in "fV")
    if not alike and not same_type(header.dtype, spec.dtype) and not (spec.dtype.hasobject and _is_text(header)):
        raise InvalidInput(
            f"array {spec.name!r} of {shard} is {type_name(header.dtype)}, and the model's output is "
            f"{spec.dtype.name}: store the outputs in that type, or in a wider one of the kind"
        )
    # What the model itself gave out has its samples where the model has them.
    axis = None if axes.feeds else (axes.axes.get(spec.name) or 0) if as_given else 0
    taken = _taken(spec, axes, axis)
    if (axis is not None and axis >= len(header.shape)) or (taken is not None and not fits(header.shape, taken)):
        raise InvalidInput(
            f"array {spec.name!r} of {shard} has shape {shown(header.shape)}, and the model's output has "
            f"{shown(taken or ('samples',))}: store the outputs in that shape"
        )
    return replace(header, axis=axis)


def _is_text(header: ArrayHeader | None) -> bool:
    return header is not None and header.dtype.kind in "SU"


def _numbers(array: Array) -> Array:
    """Texts as the codes that a model's own are compared by."""
    return coded(array) if array.dtype.kind in "SU" else array


def _taken(spec: TensorSpec, axes: SampleAxes, axis: int | None) -> tuple[int | str | None, ...] | None:
    """The shape in which an output is stored with its samples along `axis`; None where the model does not say it."""
    if spec.shape == (None,):
        return None
    if axis is None:
        return spec.shape
    own = axes.axes.get(spec.name)
    if own is not None and own >= len(spec.shape):
        return None
    if own is None:
        return ("samples", *spec.shape[1:]) if spec.shape[:1] == (1,) else None
    row = spec.shape[:own] + spec.shape[own + 1 :]
    return (*row[:axis], "samples", *row[axis:])
