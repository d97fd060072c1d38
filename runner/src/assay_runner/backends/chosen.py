"""What a build chose, as far as it can be told: from the builder's own record, else from what its engine says."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final, Literal

from assay_runner.backends.backend import Built

COMPILED: Final = "ForeignNode"
"""In the name of a layer that TensorRT compiles itself (Myelin): what runs inside it is no tactic to be chosen."""


@dataclass(frozen=True)
class Chosen:
    """What a build chose.

    Attributes:
        source: selector: the builder told, layer by layer, and can be held to it. inspector: the engine tells. Empty:
            neither does.
        tactics: by layer; of layers of one name the second is NAME #2, and so on. Where the timing cache tells its
            keys, by `timing of KEY` too.
        unseen: layers of which nothing says what runs in them, as the engine or the record names them.
    """

    source: Literal["selector", "inspector", ""]
    tactics: dict[str, str]
    unseen: tuple[str, ...] = ()


def chosen(built: Built) -> Chosen:
    """What a build chose."""
    layers = built.engine.layers if built.engine else ()
    if built.tactics is not None:
        named = {layer.name for layer in layers if layer.computes and layer.name not in built.tactics}
        compiled = tuple(name for name in built.tactics if COMPILED in name)
        # Where a region is named whole, the kernels that it was compiled into need not be named too.
        return Chosen("selector", dict(built.tactics), compiled or tuple(sorted(named)))
    told: dict[str, str] = {}
    for layer in layers:
        if layer.tactic:
            told[unlike(layer.name, told)] = layer.tactic
    # The fastest tactic of a key need not run: but where it differs, something was timed otherwise.
    told |= {f"timing of {key}": tactic for key, tactic in (built.timed or {}).items()}
    silent = tuple(layer.name for layer in layers if layer.computes and not layer.tactic)
    return Chosen("inspector" if told else "", told, silent)


def unlike(name: str, names: Container[str]) -> str:
    """The name, or NAME #2, #3 … where there are such already."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name} #{number}"
    return found
