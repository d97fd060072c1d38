"""What a runner tells the operator in words: read as texts that can be stored and shown, whatever is in them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from pydantic import ConfigDict, field_validator

from assay_api.model import Model

# Everything but what a terminal shows or breaks a line at: controls, halves of surrogate pairs, noncharacters.
ILLEGIBLE: Final = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def legible(value: Any) -> Any:
    """The value with a replacement character for each that cannot be shown, in a text or in a mapping of texts."""
    if isinstance(value, str):
        return ILLEGIBLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {legible(key): legible(text) for key, text in value.items()}
    return value


class Told(Model):
    """What a runner tells; one that is newer than the operator may tell more, which is left unread.

    Names of files and tensors are in it, which may hold anything; it ends up in statuses, events and terminals.
    """

    model_config = ConfigDict(extra="ignore")

    @field_validator("*", mode="after")
    @classmethod
    def _legible(cls, value: Any) -> Any:
        return value if isinstance(value, Enum) else legible(value)
