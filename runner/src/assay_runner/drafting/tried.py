"""A dataset for a draft: each way of feeding is tried on the model itself, and the first that runs is taken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.data.arrays import ArrayHeader
from assay_runner.data.contents import contents_of
from assay_runner.data.datasets import Dataset, Source, open_dataset
from assay_runner.drafting.classes import labels_among, unread
from assay_runner.drafting.draft import Data
from assay_runner.drafting.facts import Facts
from assay_runner.drafting.shape_inputs import values_of
from assay_runner.drafting.synthetic import synthetic
from assay_runner.drafting.ways import ways
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import load_outline
from assay_runner.models.loading import LoadedModel, as_fed
from assay_runner.stores.files import disk_error
from assay_runner.tensors import Array, names

if TYPE_CHECKING:
    from assay_runner.stores import Store

BATCHES: Final = (32, 1)
"""Samples per inference that are tried."""


def data_at(store: Store, uri: str, model: LoadedModel, facts: Facts, scratch: Path) -> Data:
    """The dataset at a URI, as the model takes it.

    Args:
        store: where it lies.
        uri: a file, or a prefix of files.
        model: loaded as one that is fed by feeds, which any model can be.
        facts: of the model.
        scratch: for what must be fetched.

    Raises:
        InvalidInput: it is fed in no way that the model takes; the reason is that of the likeliest way.
        Unavailable: the store does not answer.
    """
    found = contents_of(store, uri, scratch, names=names(model.inputs), most=1)
    headers = found.parts[0].arrays
    session = OrtSession(model.path, Purpose.PLAIN)
    refused: list[str] = []
    sizes = _sizes(model, headers, facts)
    for way in ways(model.inputs, headers.keys(), facts.shapes, sizes):
        try:
            fed = as_fed(model, way.feeding, model.path.name)
            dataset = _opened(store, uri, fed, session, scratch, (1,) if way.single else BATCHES)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        files = f"{len(dataset.shards)} of " if len(dataset.shards) > 1 else ""
        said = f"{files}{found.reader}, {dataset.samples} {'feeds' if way.feeding.feeds else 'samples'}"
        source, fed_names = dataset.source, names(dataset.inputs)
        labels = labels_among(
            headers,
            fed_names,
            model.outputs,
            lambda name, source=source, fed=fed: open_dataset(store, replace(source, labels=name), fed, scratch),  # type: ignore[misc]
        )
        rest = unread(headers, (*fed_names, labels))
        return Data(uri, way, dataset.batch, dataset.samples, dataset.fixed, labels, note=said, unread=rest)
    unknown = [name for name in facts.shapes if name not in headers]
    if unknown:
        how = facts.shapes[unknown[0]]
        raise InvalidInput(
            f"a {how.op} of the model reads input {unknown[0]!r} as a size, the data hold no array of that name, and "
            "no value was found with which it runs: store it beside the others, one feed per file"
        )
    raise InvalidInput(refused[0])


def _sizes(model: LoadedModel, headers: Mapping[str, ArrayHeader], facts: Facts) -> Mapping[str, Array]:
    """Values of inputs that are read as sizes and not stored, for one sample of what is."""
    missing = {name: how for name, how in facts.shapes.items() if name not in headers}
    if not missing:
        return {}
    shapes = {spec.name: (1, *headers[spec.name].shape[1:]) for spec in model.inputs if spec.name in headers}
    return values_of(model.inputs, missing, load_outline(model.path), shapes)


def made_up(store: Store, uri: str, folder: Path, model: LoadedModel, facts: Facts, scratch: Path) -> Data:
    """A synthetic dataset, written where the audit will look for it.

    Args:
        store: reads what is written.
        uri: of the folder.
        folder: the same, on this machine; what lies there is replaced.
        model: loaded as one that is fed by feeds.
        facts: of the model.
        scratch: a folder for what reading needs.

    Raises:
        InvalidInput: the model runs in none of the shapes that are tried, or the folder cannot be written.
        Unavailable: the disk is full.
    """
    session = OrtSession(model.path, Purpose.PLAIN)
    refused: list[str] = []
    for way in ways(model.inputs, None, facts.shapes):
        try:
            fed = as_fed(model, way.feeding, model.path.name)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        for files in synthetic(fed, facts):
            _write(folder, files)
            try:
                dataset = _opened(store, uri, fed, session, scratch)
            except InvalidInput as error:
                refused.append(str(error))
                continue
            return Data(
                uri,
                way,
                dataset.batch,
                dataset.samples,
                dataset.fixed,
                synthetic=True,
                note=f"{dataset.samples} made-up samples",
            )
    shutil.rmtree(folder, ignore_errors=True)
    raise InvalidInput(f"no made-up inputs that {model.path.name} takes were found, so give some: {refused[-1]}")


def _write(folder: Path, files: Sequence[Mapping[str, Array]]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.npz"):
            old.unlink()
        for number, arrays in enumerate(files):
            np.savez(folder / f"{number:03}.npz", **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise disk_error(error, folder) from error


def _opened(
    store: Store,
    uri: str,
    model: LoadedModel,
    session: OrtSession,
    scratch: Path,
    batches: Sequence[int] = BATCHES,
) -> Dataset:
    """The dataset, fed as the model is to be, in a batch that it runs.

    Raises:
        InvalidInput: it does not fit, or the model runs it in none.
    """
    failure: InvalidInput | None = None
    for batch in batches:
        dataset = open_dataset(store, Source(uri=uri, batch=batch), model, scratch)
        try:
            session.run(next(iter(dataset)).inputs)
        except InvalidInput as error:
            failure = failure or error
            if dataset.fixed or model.feeding.feeds:
                break
            continue
        return dataset
    assert failure is not None
    raise failure
