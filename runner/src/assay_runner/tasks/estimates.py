"""What an audit needs at least, told before it is run: by the sizes and headers of its files, without their values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from assay_api.audit import AuditSpec
from assay_api.dataset import Dataset
from assay_runner.capacity import memory_limit
from assay_runner.data.finding import Found, find
from assay_runner.data.readers.reader import Wanted
from assay_runner.data.shards import peek
from assay_runner.errors import InvalidInput
from assay_runner.models.files import external_tensors, read_proto
from assay_runner.models.room import Weights, amount, batch_memory
from assay_runner.stores import basename
from assay_runner.stores.files import free_bytes, human

if TYPE_CHECKING:
    from assay_runner.stores import Store

LOOKED_AT: Final = 64
"""Files of a dataset whose headers are read."""


@dataclass(frozen=True)
class Estimate:
    """Lower bounds of one task.

    Attributes:
        memory: bytes.
        scratch: bytes on the scratch disk.
        whole: whether all that decides them could be looked at.
    """

    memory: int
    scratch: int
    whole: bool

    def told(self, scratch: Path) -> list[str]:
        """Lines for a person, each with what there is here."""
        limit, free = memory_limit(), free_bytes(scratch)
        missing = "" if self.whole else " (without what is known only once files are fetched or rewritten)"
        lines = [
            f"golden and each candidate: at least {amount(self.memory)} of memory and {human(self.scratch)} of "
            f"scratch{missing}; here there are {human(limit)} and {human(free)}"
        ]
        if self.memory > limit or self.scratch > free:
            short = "memory" if self.memory > limit else f"room in {scratch}"
            lines.append(f"a run on this machine is refused for want of {short}")
        return lines


def estimated(spec: AuditSpec, store: Store, scratch: Path) -> Estimate:
    """What the golden run and each candidate need at least.

    Args:
        spec: the audit.
        store: where its files lie.
        scratch: folder for scratch files; nothing is written there.

    Raises:
        InvalidInput: a file is missing, or cannot be read.
        Unavailable: the store does not answer.
    """
    uri = spec.model.uri
    stat = store.stat(uri)
    if stat is None:
        raise InvalidInput(f"{uri} does not exist: correct the URI or put the file there")
    path = store.local_path(uri)
    outside = 0 if path is None else _outside(path, uri)
    found = find(store, spec.dataset.uri, "dataset", Wanted("inputs", ()))
    stats = [stat for _, group in found.groups for stat in group]
    here = store.local_path(stats[0].uri) is not None
    return Estimate(
        memory=Weights(stat.size, outside).memory + _batch(found, store, spec.dataset),
        # Files that lie here are read in place, and large external data are not copied either.
        scratch=stat.size + (0 if here else max(stat.size for stat in stats)),
        whole=path is not None and found.reader.format is not None and len(stats) <= LOOKED_AT,
    )


def _outside(path: Path, uri: str) -> int:
    """Bytes of a model's external data, as far as its tensors reach."""
    reaches: dict[str, int] = {}
    for location, end in external_tensors(read_proto(path, uri), uri):
        reaches[location] = max(end, reaches.get(location, 0))
    return sum(reaches.values())


def _batch(found: Found, store: Store, spec: Dataset) -> int:
    """Bytes of memory for a batch of the largest samples, by the headers of the first files."""
    if found.reader.format is None:
        return 0
    feeds, largest = spec.layout == "feeds", 0
    for _, stats in found.groups[:LOOKED_AT]:
        with peek(store, stats[0]) as file:
            headers = found.reader.format.headers(cast(IO[bytes], file), basename(stats[0].uri)).values()
        arrays = [h for h in headers if not h.dtype.hasobject]
        # Samples that lie along another axis than the first are counted as if they did not.
        shapes = [h.shape if feeds else (min(spec.batch, *h.shape[:1]), *h.shape[1:]) for h in arrays]
        sized = zip(shapes, (h.dtype.itemsize for h in arrays), strict=True)
        largest = max(largest, batch_memory(sized))
    return largest
