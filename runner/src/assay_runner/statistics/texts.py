"""Texts as numbers that are compared for equality: what a model says in words is golden's word or it is not."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def coded(texts: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for each text, the same for the same text in every process: 64 bits of its BLAKE2b.

    Args:
        texts: strings or bytes, of any shape, which the result has too.
    """
    known: dict[object, int] = {}
    found = np.empty(texts.size, np.uint64)
    for place, text in enumerate(texts.reshape(-1).tolist()):
        if text not in known:
            known[text] = _code(text)
        found[place] = known[text]
    return found.reshape(texts.shape)


def _code(text: object) -> int:
    raw = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
