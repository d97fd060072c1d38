"""The kinds of cases, and how many of a hundred are of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hypothesis.strategies import SearchStrategy

from tests.fuzz import datasets, documents, models, places
from tests.fuzz.case import Case

KINDS: Final[Mapping[str, tuple[SearchStrategy[Case], int]]] = {
    "model-bytes": (models.model_bytes(), 14),
    "model-fields": (models.model_fields(), 26),
    "model-external": (models.model_external(), 8),
    "npz-bytes": (datasets.npz_bytes(), 8),
    "npz-header": (datasets.npz_header(), 8),
    "npz-zip": (datasets.npz_zip(), 6),
    "other-formats": (datasets.other_formats(), 6),
    "document-values": (documents.document_values(), 10),
    "document-text": (documents.document_text(), 6),
    "odd-places": (places.odd_places(), 4),
    "damaged-cache": (places.damaged_cache(), 4),
}
