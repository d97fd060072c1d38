"""The status that the operator has on record of an object, whatever another hand has written meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol


class Recorded(Protocol):
    """An object with a status that the operator writes."""

    @property
    def uid(self) -> str:
        """What tells it from another of its name."""

    @property
    def status(self) -> bytes:
        """Its status as it is now."""

    @property
    def record(self) -> bytes | None:
        """The status as the operator last wrote it, where another hand has changed it since."""


def recorded(item: Recorded) -> bytes:
    """The status on record."""
    return item.status if item.record is None else item.record


def keep(new: Any, known: Any) -> Any:
    """An object as a watch brings it, with the status that the operator has on record where it is another by now."""
    assert type(new) is type(known)
    record = changed_by_others(new, known)
    return new if record is None else replace(new, record=record)


def changed_by_others(new: Recorded, known: Recorded) -> bytes | None:
    """The status on record of an object that a watch brings with another; None where it is that, or another object."""
    record = recorded(known)
    return None if new.uid != known.uid or new.status == record else record
