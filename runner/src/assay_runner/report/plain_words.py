"""Words of the terminal: metrics in words where report.json has keys, few enough for a table.

The keys stay where programs read them; docs/words.md has both, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "maxAbs": "max error",
        "maxRel": "max relative error",
        "rms": "RMS error",
        "cosine": "cosine",
        "psnr": "PSNR",
        "snr": "SNR",
        "equal": "samples equal",
        "equalElements": "elements equal",
        "otherRows": "samples of other rows",
        "topKAgreement": "top-k agrees",
        "top1": "top1",
        "top5": "top5",
        "top1Kept": "top-1 kept",
        "top5Kept": "top-5 kept",
        "layersShare": "layers as asked",
        "narrowerLayers": "layers too narrow",
        "tensorsThatOverflow": "tensors too large",
        "zeroDivisors": "zero divisors",
        "underflow": "become zero",
        "subnormal": "become subnormal",
        "nodesIn8Bits": "nodes in 8 bits",
        "innerSum": "largest sum",
        "nonFinite": "NaN/Inf samples",
        "differences": "runs that differ",
        "otherBits": "rows that differ",
        "mean": "mean score",
        "score": "score",
        "kept": "score kept",
        "lostDetections": "detections lost",
        "gainedDetections": "detections gained",
        "movedDetections": "detections moved",
        "rescoredDetections": "detections rescored",
        "medianMs": "median ms",
        "p99Ms": "p99 ms",
        "throughput": "samples per second",
        "engineMB": "engine MB",
        "deviceMemoryMB": "device MB",
        "localSnr": "SNR of the node alone",
        "accumulatedSnr": "SNR",
        "localRms": "RMS error of the node alone",
        "accumulatedRms": "RMS error",
        "startsHere": "own share",
    }
)
"""Metrics as a table of the terminal has them, by their keys."""
_IN_SENTENCES: Final[Mapping[str, str]] = MappingProxyType({"top1": "top-1", "top5": "top-5"})
"""Where there is room for more than a table has."""
_KEYS: Final = [key for key in SHORT if re.search(r"[A-Z0-9]", key)] + ["snr", "psnr"]
_KEY: Final = re.compile(rf"(?<![\w.`'\"/\[])(?:{'|'.join(sorted(_KEYS, key=len, reverse=True))})(?![\w.:`'\"/\]])")
"""A key that stands in a sentence as a word: not as a part of a name, of a path, or of what is to be written."""
LEGEND: Final = "golden: the model's own outputs, which candidates are held against; docs/words.md explains all words"


def short(key: str | None) -> str:
    """A metric in a table; what has no words of its own is named by its key."""
    return SHORT.get(key or "", key or "")


def plainly(text: str) -> str:
    """A sentence with the keys in it put into words."""
    return _KEY.sub(lambda match: _IN_SENTENCES.get(match[0], SHORT[match[0]]), text)
