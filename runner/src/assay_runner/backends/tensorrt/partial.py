"""As many tensors as can be shown: a probe that cannot be built as a whole is built in parts, halved until it can.

TensorRT refuses some networks only because of one tensor among their outputs, or crashes over it. Nothing tells which,
so halves are tried, the larger ones first, and what is left when the builds are used up is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay_runner.backends.tensorrt.device import DeviceArray
from assay_runner.backends.tensorrt.session import EngineSession
from assay_runner.errors import AuditError, CannotBuild, Died
from assay_runner.tensors import Array

MOST_BUILDS: Final = 9
"""Builds for one probe, those that fail included: where one tensor is to blame, all but a sixteenth are shown."""
MOST_LISTED: Final = 30


@dataclass(frozen=True)
class Parts:
    """Plans that together show some tensors.

    Attributes:
        plans: each with a part of the tensors among its outputs.
        left: tensors that none of them shows, in order.
        why: what the whole probe was refused for; empty where it was not.
    """

    plans: tuple[Path, ...]
    left: tuple[str, ...] = ()
    why: str = ""

    def notes(self, what: str = "tensors are shown", lost: str = "tensors that no engine shows") -> tuple[str, ...]:
        """What a reader must know of it; `what` is done by the engines, and what is `lost` for the tensors left."""
        if not self.why:
            return ()
        many = "engines, each with a part of them" if len(self.plans) > 1 else "engine, with a part of them"
        told = f"{what} by {len(self.plans)} {many}, for one with all of them cannot be built: {self.why}"
        if not self.left:
            return (told,)
        more = f" and {len(self.left) - MOST_LISTED} more" if len(self.left) > MOST_LISTED else ""
        names = ", ".join(map(repr, self.left[:MOST_LISTED]))
        return (told, f"{lost} ({len(self.left)}): {names}{more}")


def in_parts(tensors: Sequence[str], build: Callable[[Collection[str]], Path], most: int = MOST_BUILDS) -> Parts:
    """Plans that show as many of the tensors as possible.

    Args:
        tensors: in topological order, so that a part is a piece of the network.
        build: builds a plan with tensors among its outputs.
        most: builds that are tried.

    Raises:
        CannotBuild: none can be built.
        Died: likewise, for building them ended the process.
        Unavailable: memory or the device gave out.
    """
    plans: list[Path] = []
    first: AuditError | None = None
    waiting, left = [tuple(tensors)], set[str]()
    for _ in range(most):
        if not waiting:
            break
        part = waiting.pop(max(range(len(waiting)), key=lambda index: len(waiting[index])))
        try:
            plans.append(build(part))
        except (CannotBuild, Died) as error:
            first = first or error
            middle = len(part) // 2
            if middle:
                waiting += [part[:middle], part[middle:]]
            else:
                left.update(part)
    if first and not plans:
        raise first
    left.update(name for part in waiting for name in part)
    return Parts(tuple(plans), tuple(name for name in tensors if name in left), str(first or ""))


class PartsSession:
    """Several engines with one part of the tensors each, run one after another as if they were one."""

    def __init__(self, sessions: Sequence[EngineSession]) -> None:
        """Sessions on one stream; the first one's outputs are the outputs."""
        self._sessions = tuple(sessions)
        self.stream = sessions[0].stream
        self._others: tuple[dict[str, DeviceArray], ...] = ()

    @property
    def shown(self) -> frozenset[str]:
        """Tensors that a launch gives."""
        return frozenset[str]().union(*(session.shown for session in self._sessions))

    @property
    def others(self) -> tuple[Mapping[str, DeviceArray], ...]:
        """What each engine but the first gave in the last launch."""
        return self._others

    def launch(self, inputs: Mapping[str, Array | DeviceArray]) -> dict[str, DeviceArray]:
        """See `EngineSession.launch`."""
        first, *others = [session.launch(inputs) for session in self._sessions]
        self._others = tuple(others)
        return {name: array for found in (*others, first) for name, array in found.items()}

    def fetch(self, arrays: Mapping[str, DeviceArray]) -> dict[str, Array]:
        """See `EngineSession.fetch`."""
        return self._sessions[0].fetch(arrays)

    def spoil(self, filling: int) -> None:
        """See `EngineSession.spoil`."""
        for session in self._sessions:
            session.spoil(filling)

    def close(self) -> None:
        """Give device memory back."""
        for session in self._sessions:
            session.close()
