"""What a shard must hold, said in one sentence where it does not. Pure functions over headers and rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from assay_runner.data.arrays import ArrayHeader
from assay_runner.errors import InvalidInput, did_you_mean
from assay_runner.tensors import Array, InputAxes, TensorSpec

_LARGEST_LABEL: Final = np.iinfo(np.int64).max
_FIELDS: Final = {"labels": "labels", "target": "targets"}
WAY_OUT: Final = "; one that is the same for every sample can be given in dataset.inputs"


def wanted(
    headers: Mapping[str, ArrayHeader],
    inputs: Iterable[TensorSpec],
    axes: InputAxes,
    labels: str | None,
    shard: str,
    targets: Iterable[str] = (),
) -> dict[str, ArrayHeader]:
    """The headers of a shard's inputs, labels and targets, with their axes, in that order; an input stays an input.

    Args:
        headers: of all its arrays.
        inputs: that it must have.
        axes: where their samples are; of none: it is a feed.
        labels: name of the array of labels, or None.
        shard: what to call it.
        targets: names of what metrics are given beside labels.

    Raises:
        InvalidInput: an array is missing, of another type or shape, or their numbers of samples differ.
    """
    found: dict[str, ArrayHeader] = {}
    inputs = tuple(inputs)
    for spec in inputs:
        like = "" if spec.name in headers else _like(headers, spec, {each.name for each in inputs}, axes)
        found[spec.name] = replace(_named(headers, spec.name, "input", shard, like), axis=axes.get(spec.name, 0))
        _check_input(found[spec.name], spec, shard)
    feed = any(header.axis is None for header in found.values())
    if labels is not None:
        header = replace(_named(headers, labels, "labels", shard), axis=None if feed else 0)
        _check_labels(header, shard)
        found.setdefault(labels, header)
    for name in targets:
        header = replace(_named(headers, name, "target", shard), axis=None if feed else 0)
        _check_target(header, shard)
        found.setdefault(name, header)
    rows = {name: header.samples for name, header in found.items()}
    if len(set(rows.values())) > 1:
        shown = ", ".join(f"{name}: {count}" for name, count in rows.items())
        raise InvalidInput(
            f"the arrays of {shard} disagree on the number of samples, their first axis ({shown}): "
            "store one row per sample in each, say in dataset.inputs which input is constant or has its samples along "
            "another axis, or set dataset.layout: feeds"
        )
    return found


def _named(headers: Mapping[str, ArrayHeader], name: str, role: str, shard: str, like: str = "") -> ArrayHeader:
    if name in headers:
        return headers[name]
    hint = f"; {like!r} has its type and shape: store it as {name!r}" if like else did_you_mean(name, headers)
    there = ", ".join(repr(n) for n in sorted(headers)[:12]) or "no arrays"
    what = f"for the model's input {name!r}" if role == "input" else f"of {role} {name!r} (dataset.{_FIELDS[role]})"
    way_out = WAY_OUT if role == "input" and not like else ""
    raise InvalidInput(f"{shard} has no array {what}: it holds {there}{hint}{way_out}")


def _like(headers: Mapping[str, ArrayHeader], spec: TensorSpec, inputs: Collection[str], axes: InputAxes) -> str:
    """The only array that no input is called by and that would do for one; empty where there is none or several."""
    axis = axes.get(spec.name, 0)
    taken = spec.shape if axis is None else (*spec.shape[:axis], "samples", *spec.shape[axis + 1 :])
    fitting = [
        name
        for name, header in headers.items()
        if name not in inputs
        and not header.unnamed
        and same_type(header.dtype, spec.dtype)
        and fits(header.shape, taken)
    ]
    return fitting[0] if len(fitting) == 1 and spec.shape else ""


def _check_input(header: ArrayHeader, spec: TensorSpec, shard: str) -> None:
    if header.unnamed:
        raise InvalidInput(
            f"array {header.name!r} of {shard} has element type {header.unnamed!r}, which NumPy does not read back "
            f"from .npz (as of float8): store it by .astype({spec.dtype.name!r})"
        )
    if not same_type(header.dtype, spec.dtype):
        # What NumPy does not know by itself is often kept as its bits, which are no numbers to convert.
        bits = spec.dtype.kind == "V" and header.dtype.kind == "u" and header.dtype.itemsize == spec.dtype.itemsize
        way = f".view({spec.dtype.name!r}) if these are its bits, else by " if bits else ""
        raise InvalidInput(
            f"array {header.name!r} of {shard} is {type_name(header.dtype)}, and the model's input takes "
            f"{spec.dtype.name}: store it by {way}.astype({spec.dtype.name!r})"
        )
    axis = header.axis
    taken = spec.shape if axis is None else (*spec.shape[:axis], "samples", *spec.shape[axis + 1 :])
    if not fits(header.shape, taken):
        raise InvalidInput(
            f"array {header.name!r} of {shard} has shape {shown(header.shape)}, and the model's input takes "
            f"{shown(taken)}: store it in that shape"
        )


def _check_labels(header: ArrayHeader, shard: str) -> None:
    if header.dtype.kind not in "iu":
        text = header.dtype.kind in "SUTO"
        way = "store the index of each one's score in the output" if text else "store them by .astype('int64')"
        raise InvalidInput(
            f"the labels {header.name!r} of {shard} are {type_name(header.dtype)}, and class labels are integers: {way}"
        )
    if header.axis is None and header.shape not in ((), (1,)):
        raise InvalidInput(
            f"the labels {header.name!r} of {shard} have shape {shown(header.shape)}, and a feed has one label: store "
            "a single number"
        )
    if header.axis is not None and len(header.shape) != 1:
        raise InvalidInput(
            f"the labels {header.name!r} of {shard} have shape {shown(header.shape)}, and there is one per sample: "
            "store them in the shape (samples,)"
        )


def _check_target(header: ArrayHeader, shard: str) -> None:
    if header.dtype.hasobject or header.unnamed:
        raise InvalidInput(
            f"the target {header.name!r} of {shard} holds Python objects, which are not unpickled: store an array of "
            "numbers or text, and fill up what samples have fewer of (NaN, -1 or '')"
        )
    if header.axis is not None and not header.shape:
        raise InvalidInput(f"the target {header.name!r} of {shard} is a single value: store one row per sample")


def other_file(name: str, known: str) -> str:
    """What to do about a file that is there and that nothing reads, as the end of a sentence that names it."""
    if name.endswith(".npy"):
        target = name.removesuffix(".npy")
        return (
            f"is a single .npy array, and a dataset is an .npz with one array per model input: make it one by "
            f"numpy.savez('{target}.npz', NAME=numpy.load('{name}')), NAME being the input's name"
        )
    return (
        f"is a file whose name tells none that is known here: known are {known}; rename it, or store it as one of them"
    )


def same_type(stored: np.dtype[Any], taken: np.dtype[Any]) -> bool:
    """Whether stored elements are the ones taken; NumPy stores bfloat16 and its kin as bare bytes."""
    if stored.newbyteorder("=") == taken:
        return True
    return stored.kind == "V" and taken.kind == "V" and stored.names is None and stored.itemsize == taken.itemsize


def type_name(dtype: np.dtype[Any]) -> str:
    """An element type as people call it; NumPy calls text by its length in bits."""
    if dtype.kind == "V" and dtype.names is None:
        return f"bare bytes, {dtype.itemsize} to an element (as NumPy stores bfloat16, float8 and int4)"
    return "text" if dtype.kind in "SUT" else dtype.name


def fits(trailing: tuple[int, ...], dims: tuple[int | str | None, ...]) -> bool:
    """Whether a row's shape fits dimensions of which a name or None is free."""
    return len(trailing) == len(dims) and all(
        not isinstance(dim, int) or dim == size for size, dim in zip(trailing, dims, strict=True)
    )


def shown(shape: tuple[int | str | None, ...]) -> str:
    """A shape as people write it."""
    inside = ", ".join("?" if d is None else str(d) for d in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


class NotFinite(NamedTuple):
    """How many samples hold such values."""

    infinite: int = 0
    missing: int = 0


def check_numbers(
    name: str, rows: Array, shard: str, in_shard: int, in_all: int, what: str, missing: Callable[[], Collection[str]]
) -> NotFinite:
    """Refuse NaN among rows, unless the model asks for it; count samples with an infinity, which a mask may mean.

    Args:
        name: of the array.
        rows: of the shard, in the type that the model takes.
        shard: what to call it.
        in_shard: index of the first row in the shard.
        in_all: the same in the whole of `what`.
        what: for example dataset.
        missing: names of the inputs in which the model takes NaN for a missing value; asked where there is one.

    Returns:
        Samples with such values.

    Raises:
        InvalidInput: a value is NaN, and the model does not ask for it.
    """
    if rows.dtype.kind in "iub" or np.isfinite(rows).all():
        return NotFinite()
    found = (np.isinf(rows), np.isnan(rows))
    infinite, nan = (np.flatnonzero(flags.reshape(len(rows), -1).any(axis=1)) for flags in found)
    if len(nan) and name not in missing():
        row = int(nan[0])
        raise InvalidInput(
            f"array {name!r} of {shard} holds NaN in sample {in_shard + row} (sample {in_all + row} of the {what}): "
            "repair or remove the sample, for the model does not ask for NaN and nothing can be judged on it"
        )
    return NotFinite(len(infinite), len(nan))


def checked_labels(name: str, rows: Array, shard: str, in_shard: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Labels as int64.

    Raises:
        InvalidInput: a label is negative or beyond int64.
    """
    bad = np.flatnonzero((rows < 0) | (rows > _LARGEST_LABEL))
    if bad.size:
        first = int(bad[0])
        raise InvalidInput(
            f"label {int(rows[first])} of sample {in_shard + first} in array {name!r} of {shard} is out of range: "
            "labels count classes from 0"
        )
    return rows.astype(np.int64)
