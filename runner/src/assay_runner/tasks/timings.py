"""A timing cache that a candidate brings: fetched to where its build looks, and told by what it holds."""

from __future__ import annotations

from pathlib import Path

from assay_api.audit import Candidate
from assay_runner.backends import Backend
from assay_runner.backends.seams import GIVEN, Keeping
from assay_runner.backends.tensorrt.timing import NAME
from assay_runner.errors import InvalidInput
from assay_runner.models.files import fetch_pinned
from assay_runner.stores import Store

MOST: int = 1 << 30
"""Bytes of a timing cache; those of the largest networks take some tens of megabytes."""
WHAT = "timing cache"


def given_timings(candidate: Candidate, backend: Backend, workdir: Path, store: Store) -> str:
    """Fetch the timing cache of a candidate into `workdir / GIVEN`; its SHA-256 in hexadecimal.

    Empty where it brings none, or where a backend that times nothing stands in for its own.

    Raises:
        InvalidInput: it is missing, empty, too large, or not of the digest asked for.
        Unavailable: the store does not answer.
    """
    ref = candidate.build.timing_cache if candidate.build else None
    if ref is None or not isinstance(backend, Keeping):
        return ""
    stat = store.stat(ref.uri)
    if stat is not None and stat.size > MOST:
        raise InvalidInput(f"the {WHAT} {ref.uri} has more than {MOST >> 30} GiB: name a timing cache of TensorRT")
    target = workdir / GIVEN / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    return fetch_pinned(store, ref.uri, ref.sha256, target, WHAT)
