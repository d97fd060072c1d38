"""Samples to calibrate with, and ranges that were found with them, kept so that a repair begun anew reads nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from assay_api.model import Model
from assay_api.numbers import Number
from assay_runner.backends.calibration import Way
from assay_runner.backends.found import Found, Range
from assay_runner.backends.sweep import Activations
from assay_runner.digests import cache_key
from assay_runner.journal import step
from assay_runner.remedies.splits import SEARCH, Outputs, Samples, Split
from assay_runner.remedies.workshop import Workshop
from assay_runner.stores import join
from assay_runner.stores.sealed import Damaged, EntryRecord, put_record, read_record
from assay_runner.tensors import Batches

RANGES: Final = "ranges"
"""Folder of the cache with one record per calibration set, model and choice of ways."""
WHAT: Final = "ranges"
HALF: Final = 0.5

Swept = Mapping[int, Mapping[Way, Found]]


class _Ranges(Model):
    """Of all tensors, by one way from so many samples."""

    samples: int
    way: Way
    ranges: dict[str, tuple[Number, Number]]


class RangesRecord(EntryRecord):
    """All that one pass over a calibration set has found."""

    found: tuple[_Ranges, ...]


def found_ranges(
    shown: Activations, batches: Batches, identity: str, ways: Sequence[Way], sizes: Collection[int], workshop: Workshop
) -> Swept:
    """Ranges by number of samples and way, from the cache or from one pass over the samples.

    Args:
        shown: shows the tensors.
        batches: the samples.
        identity: of them and of the model.
        ways: how ranges are chosen.
        sizes: numbers of samples to begin with, beside all of them.
        workshop: where they are kept.

    Raises:
        InvalidInput: there are no samples.
        CannotBuild: a tensor is not finite on them.
        Died: an earlier try ended the process.
    """
    key = cache_key(
        samples=identity, tensors=repr(sorted(shown.names)), kind=shown.kind, ways=repr(sorted(ways)),
        sizes=repr(sorted(sizes)), versions=workshop.versions,
    )  # fmt: skip
    uri = join(workshop.cache, RANGES, f"{key}.json")
    try:
        record = read_record(workshop.store, uri, RangesRecord, WHAT)
    except Damaged as error:
        workshop.progress.note(error.note)
        record = None
    if record is None:
        workshop.doing("finding the ranges of 8-bit tensors")
        with step(f"ranges-{key}", "finding the ranges of 8-bit tensors"):
            swept = shown.ranges(batches, ways, sizes, workshop.aside)
        every = [
            _Ranges(samples=size, way=way, ranges={name: (each.end, each.peak) for name, each in found.ranges})
            for size, by_way in swept.items()
            for way, found in by_way.items()
        ]
        record = RangesRecord(files=(), found=tuple(every))
        put_record(workshop.store, uri, record)
    result: dict[int, dict[Way, Found]] = {}
    for each in record.found:
        ranges = {name: Range(end, peak) for name, (end, peak) in each.ranges.items()}
        result.setdefault(each.samples, {})[each.way] = Found.of(ranges, each.samples)
    return result


def halves(workshop: Workshop) -> tuple[Samples, Workshop] | None:
    """Samples of the searched part to calibrate with, and a workshop that judges on its other samples.

    None where there are too few to take any away.
    """
    reference = workshop.references[SEARCH]
    if not isinstance(reference.dataset, Samples):
        return None
    split = Split(reference.dataset, HALF)
    if split.whole:
        return None
    judging = reference.of(split.batches("unseen"), Outputs(split, "unseen", reference.outputs), "validation")
    data = cache_key(data=workshop.data, part="validation")
    return split.batches("search"), replace(workshop, references={**workshop.references, SEARCH: judging}, data=data)
