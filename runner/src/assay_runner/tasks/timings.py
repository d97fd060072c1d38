"""A timing cache that a candidate brings: fetched to where its build looks, and told by what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from assay_api.audit import Candidate
from assay_runner.backends import Backend
from assay_runner.backends.seams import GIVEN, Keeping
from assay_runner.backends.tensorrt.timing import NAME
from assay_runner.errors import InvalidInput
from assay_runner.models.files import fetch_pinned
from assay_runner.models.outline import read_outline
from assay_runner.stores import Store

MOST: int = 1 << 30
"""Bytes of a timing cache; those of the largest networks take some tens of megabytes."""
WHAT = "timing cache"
_MADE_BY: Final = (
    "write one with trtexec --timingCacheFile or Polygraphy's --save-timing-cache, or remove build.timingCache"
)
_FOREIGN: Final = (
    (b"TRT-", f"a calibration cache (ranges of tensors, not timings of layers): {_MADE_BY}"),
    (
        b"assay sha256 ",
        "a sealed file of Assay's own store: that is read without being named; remove build.timingCache",
    ),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` and store the file it stands for"),
    (b"PK\x03\x04", f"a zip archive, perhaps an .npz: {_MADE_BY}"),
    (b"\x1f\x8b", "gzip-compressed: store it unpacked"),
    (b"{", f"a JSON file: {_MADE_BY}"),
    (b"<", "a web page (HTML or XML), as a failed download leaves behind: fetch it again"),
)
"""How files begin that are mistaken for timing caches, and what they are; of others TensorRT says which it takes.

Its engines are among the others: on TensorRT 10.6 a timing cache begins with the same four bytes as they do.
"""


def given_timings(candidate: Candidate, backend: Backend, workdir: Path, store: Store) -> str:
    """Fetch the timing cache of a candidate into `workdir / GIVEN`; its SHA-256 in hexadecimal.

    Empty where it brings none, or where a backend that times nothing stands in for its own.

    Raises:
        InvalidInput: it is missing, empty, too large, something else, or not of the digest asked for.
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
    digest = fetch_pinned(store, ref.uri, ref.sha256, target, WHAT)
    if said := foreign(target):
        raise InvalidInput(f"the {WHAT} {ref.uri} is none, but {said}")
    return digest


def foreign(path: Path) -> str:
    """What a file is that is no timing cache, and what to do about it; empty where it may be one."""
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if said := next((what for begin, what in _FOREIGN if head.startswith(begin)), ""):
        return said
    try:
        outline = read_outline(path)
    except Exception:  # Whatever a parser of something else makes of it.
        return ""
    return f"an ONNX model: {_MADE_BY}" if outline.graph.node and outline.opset_import else ""
