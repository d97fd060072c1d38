"""Remedies: what may be done about a candidate that fails. One file or folder each, and a line in the table."""

from __future__ import annotations

import importlib
from typing import Final, cast

from assay_runner.remedies.remedy import Remedy

__all__ = ["REMEDIES", "remedy_of"]

REMEDIES: Final[dict[str, str]] = {
    "calibration": "assay_runner.remedies.calibration:calibrate_otherwise",
    "weightOnly": "assay_runner.remedies.weight_only:weights_alone",
    "precision": "assay_runner.remedies.precision:keep_wide",
    "tactics": "assay_runner.remedies.tactics:other_tactics",
}
"""Key in `spec.remedies` → "module:function" of a `Remedy`; tried in this order.

What takes few builds comes first, and leaves some to what takes many.
"""


def remedy_of(name: str) -> Remedy:
    """The function of a remedy."""
    module, function = REMEDIES[name].split(":")
    return cast(Remedy, getattr(importlib.import_module(module), function))
