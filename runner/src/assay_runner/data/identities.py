"""What a dataset is told apart by, without reading its values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from assay_runner.data.finding import Part
from assay_runner.data.streams import Shard
from assay_runner.stores import basename

if TYPE_CHECKING:
    from assay_runner.stores import Store


def identity_of(store: Store, parts: Sequence[Part], shards: Sequence[Shard], meaning: Iterable[str]) -> str:
    """Digest of the shards' names, sizes, versions and checksums, and of what is made of them.

    Args:
        store: where they lie.
        parts: what they are read from, one each.
        shards: the arrays that are read of each.
        meaning: what is made of them.
    """
    told = [f"{basename(part.stat.uri)}\0{part.stat.size}\0{part.stat.version}" for part in parts]
    told += [*meaning, *_checksums(store, parts, shards)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _checksums(store: Store, parts: Sequence[Part], shards: Sequence[Shard]) -> Iterator[str]:
    """Of shards in a folder, whose versions are times: who copies files may set those back. A store's are its own.

    Those of what was rewritten from several files, which have no version together, count wherever they lay.
    """
    for part, shard in zip(parts, shards, strict=True):
        sums = [header.checksum for header in shard.headers.values()]
        if any(sums) and (part.path is not None or store.local_path(part.stat.uri) is not None):
            yield "\0".join(sums)
