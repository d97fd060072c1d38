"""Build routes: settings of the builder's compiler, one knob beside the other, where a version of it offers them.

TensorRT 11.1 and later lists its knobs as JSON and takes a choice of them as words, `-knob=value`. What a knob does is
the compiler's own affair; that it is the one behind a miscompile shows when turning it alone mends the build.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Knob:
    """A setting of the compiler.

    Attributes:
        name: of its option.
        values: what it may be set to.
        default: what it is without being set.
    """

    name: str
    values: tuple[str, ...]
    default: str

    @property
    def others(self) -> tuple[str, ...]:
        """What it is not by default."""
        return tuple(value for value in self.values if value != self.default)


@runtime_checkable
class Routed(Protocol):
    """A backend whose builder may have knobs; which it has, is its version's affair."""

    def knobs(self) -> tuple[Knob, ...]:
        """The knobs it has; none where its version offers none."""
        ...


def knobs_in(text: str) -> tuple[Knob, ...]:
    """The knobs in `IBuilderConfig.all_build_routes`; none where it is empty or not as it was."""
    try:
        found = json.loads(text or "{}")
        options = found["tuner_options"] if found else []
        return tuple(
            Knob(str(each["option"]), tuple(map(_word, each["allowed_values"])), _word(each["default_value"]))
            for each in options
        )
    except (ValueError, KeyError, TypeError):
        return ()


def one_at_a_time(knobs: Iterable[Knob]) -> Iterator[tuple[Knob, str, str]]:
    """Every knob at every value that is not its default, all others left alone: knob, value and route."""
    for knob in knobs:
        for value in knob.others:
            yield knob, value, f"-{knob.name.lstrip('-')}={value}"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
