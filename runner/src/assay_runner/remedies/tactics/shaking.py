"""Builds that differ more than timing noise would make them: half of the layers are kept from what they ran before.

Where the builder takes the same tactics every time, rebuilds tell nothing; and where it rarely takes another, little.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from assay_runner.backends.chosen import COMPILED


def shaken(tactics: Mapping[str, str], number: int) -> dict[str, tuple[str, ...]]:
    """What to forbid: the tactic of each of half of the layers, the same half for the same number.

    Args:
        tactics: by layer, of a build before.
        number: of the build that is to come.
    """
    layers = sorted(layer for layer in tactics if COMPILED not in layer)
    random.Random(number).shuffle(layers)
    return {layer: (tactics[layer],) for layer in sorted(layers[: (len(layers) + 1) // 2])}
