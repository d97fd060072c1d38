"""The backends that are held to the contract: those of the product, and what stands in for an engine in other tests.

A stand-in that misbehaves on request is held to it while nothing is requested: then only what a test asks for is wrong
with it. Not in the table is what stands in for a library rather than for a seam of ours: its own test says which calls
it has, and the tests of `tests/gpu` make the same calls to the real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from assay_runner.backends import BACKENDS, Backend
from tests.choosing import Choosing
from tests.dear import Dear
from tests.fusing import Fusing
from tests.rigged import Rigged
from tests.runner.numerics.unsteady import Altering, Forgetful, Served

__all__ = ["OFFERED"]

LAYERS: Final = {"r": ("c", "n"), "logits": ("f",)}
"""Of the small convolutional model."""
OFFERED: Final[Mapping[str, Backend]] = {
    **BACKENDS,
    "altering": Altering("", 0),
    "choosing": Choosing(),
    "dear": Dear(),
    "forgetful": Forgetful(lambda moment: 0),
    "fusing": Fusing(LAYERS),
    "rigged": Rigged(),
    "served": Served(lambda moment: 0, LAYERS),
}
