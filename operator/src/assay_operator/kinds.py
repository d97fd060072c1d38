"""The kinds of resource that this operator knows: an entry in this table is a kind.

Watches, listings, passes and metrics follow from it; the rights that the chart grants are held to it by a test. The
definitions follow from the contract's table (`assay_api.resources`), which names the same kinds.
"""

from __future__ import annotations

from typing import Final

from assay_operator.audits.kind import AUDITS
from assay_operator.objects.kind import Kinds
from assay_operator.screenings.kind import SCREENINGS
from assay_operator.sweeps.kind import SWEEPS

KINDS: Final = Kinds((AUDITS, SWEEPS, SCREENINGS))
