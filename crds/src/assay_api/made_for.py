"""What an audit of a sweep was made for, as its annotation has it: its answers are told by it, and its price.

An audit answers for a cell only where its spec still is the one it was made with: it was never changed, or what it
means has the digest that stands in the annotation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from assay_api.model import Model
from assay_api.names import ANNOTATION_CELLS
from assay_api.plan import OPERATIONAL


class MadeFor(Model):
    """What an audit was made for, as its annotation has it."""

    cells: dict[str, str]
    """Key of the cell by the key of the candidate in the audit's status."""
    place: str
    """What all of its cells are of: the model, and the image where the sweep has several."""
    spec: str
    """Digest of the spec."""
    run: str
    """The run of the sweep that made it."""
    rerun: str = ""
    """The annotation that asked for everything to be audited again, as it was then."""
    rerun_failed: str = ""
    """The same of what did not pass."""
    past: tuple[str, ...] = ()
    """Keys of candidates that answer for no cell of its place any more, where that does not show in a younger audit."""
    also: dict[str, tuple[str, ...]] = {}
    """Cells of other places that a candidate answers for, for they have its key: place and candidate there, by its key
    here."""

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.place.split("\n")[0]


def made_for(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> MadeFor | None:
    """What an audit was made for; None where that cannot be read, or the spec is another one now.

    Args:
        meta: its metadata, as the API server has them.
        spec: its spec, likewise.
    """
    text = (meta.get("annotations") or {}).get(ANNOTATION_CELLS, "")
    try:
        made = MadeFor.model_validate_json(text)
    except ValidationError:
        return None
    # The first generation is as the API server took it, where admission may have added something of its own.
    return made if meta.get("generation", 1) == 1 or made.spec == spec_digest(spec) else None


def spec_digest(spec: Mapping[str, Any]) -> str:
    """Digest of what a raw spec of an audit means; 1.0 is 1, for an API server writes numbers in its own way."""
    meant = _plain({key: value for key, value in spec.items() if key not in OPERATIONAL})
    text = json.dumps(meant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
