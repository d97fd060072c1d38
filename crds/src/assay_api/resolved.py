"""What a Job tells of a sweep's models: which there are, and a digest of everything in the store that each depends on.

A termination message takes 4,096 bytes, so a Job tells as many models as fit, in order of their names, and whether
there are more; the next Job begins after the last one told.
"""

from __future__ import annotations

from typing import Final

from assay_api.model import Model
from assay_api.sweep import ModelPrefix, SweepModel
from assay_api.told import Told

PAGE_BYTES: Final = 3_400
"""Bytes that the models of one answer take at most; the rest of the message is the task's."""
MOST_ASKED: Final = 64
"""Models that one Job is asked about by name."""


class ResolveOrder(Model):
    """What a Job is to look at. The candidates, the dataset and the rest stand in its task's spec."""

    models: tuple[SweepModel, ...] = ()
    """These models, in order of their names."""
    prefix: ModelPrefix | None = None
    """All models below a prefix."""
    after: str = ""
    """Only those whose names come behind this one."""
    more: bool = False
    """Whether the sweep names more models behind these."""


class ModelFound(Told):
    """A model, and what its cells depend on in the store."""

    name: str
    """Name of the model in the sweep."""
    uri: str
    """Its URI."""
    sha256: str | None = None
    """SHA-256 that the sweep asks for."""
    inputs: str
    """Digest of the versions of the model with its external data, of the dataset and of stored golden outputs: 16
    hexadecimal digits."""
    own: tuple[str, ...] = ()
    """The same of what a candidate alone depends on (its model, calibration, engine), one for each candidate that has
    any, in the order of the template."""


class Resolved(Told):
    """One answer."""

    models: tuple[ModelFound, ...] = ()
    """Models in order of their names."""
    more: bool = False
    """Whether there are more behind the last one."""
