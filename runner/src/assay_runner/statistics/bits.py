"""One bit per sample, as text."""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray


def packed(flags: NDArray[np.bool_]) -> str:
    """Flags as base64, eight to a byte, the first in the highest bit."""
    return base64.b64encode(np.packbits(flags).tobytes()).decode()


def unpacked(text: str, count: int) -> NDArray[np.bool_] | None:
    """So many flags of such a text; None where it holds another number of them, or none."""
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        return None
    if data.size != -(-count // 8):
        return None
    return np.unpackbits(data, count=count).astype(np.bool_)
