"""Segments of a candidate on ONNX Runtime: those that cannot be run take no others with them.

Many segments share one session. Where that cannot be opened or run, it is halved, until what cannot be run is a single
node; the tensors of that node have no local error, and it is said why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import onnx

from assay_runner.backends.backend import Segment
from assay_runner.backends.inspection import Inspection, inspect
from assay_runner.backends.sessions import OrtSession, Purpose
from assay_runner.errors import InvalidInput
from assay_runner.graphs.documents import save
from assay_runner.graphs.segments import NONE, Segments, cut, segment
from assay_runner.tensors import Array, Arrays


def open_segments(
    model: onnx.ModelProto,
    folder: Path,
    shared: Mapping[str, int],
    limit: int,
    found: Inspection | None = None,
    own: Mapping[str, str] = NONE,
    *,
    purpose: Purpose = Purpose.EXACT,
) -> tuple[Segment, ...]:
    """The model cut at shared tensors.

    Args:
        model: localised.
        folder: in which its weights lie; segments are written there for as long as it takes to open them.
        shared: bytes by name.
        limit: results of a segment take at most so many bytes.
        found: what its tensors are; None: ONNX Runtime is asked.
        own: see `cut`.
        purpose: what their sessions are for.

    Raises:
        InvalidInput: ONNX Runtime refuses the model.
        Unavailable: memory ran out.
    """
    same = frozenset(name for name, golden in own.items() if name == golden and name in shared)
    opened = [Segment(same, {name: name for name in own if name in same}, AsGiven())] if same else []
    if same.issuperset(shared):
        return tuple(opened)
    found = found or inspect(model, folder)
    types, ranks = found.types, found.ranks
    # Texts are known by their codes, which no node reads: who needs them makes them.
    shared = {name: size for name, size in shared.items() if name in types}
    place = {output: index for index, node in enumerate(model.graph.node) for output in node.output}

    def halves(whole: Segments) -> tuple[Segments, ...]:
        nodes = sorted({place[target] for target in whole.results})
        middle = nodes[len(nodes) // 2]
        parts = [[t for t in whole.results if (place[t] < middle) is first] for first in (True, False)]
        return tuple(segment(model, types, shared, part, ranks, own) for part in parts) if nodes[1:] else ()

    for part in cut(model, types, shared, shared, limit, ranks, own):
        session = _Halving(part, halves, folder, purpose)
        needs = frozenset(value.name for value in part.model.graph.input)
        opened.append(Segment(needs, part.results, session, session.lost))
    return tuple(opened)


class AsGiven:
    """Gives what it is given: golden's own tensors, where the candidate would make the same of them."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """The very arrays."""
        return dict(inputs)


class _Halving:
    """Sessions of segments, fewer in each where they cannot be run together.

    Attributes:
        lost: why a tensor cannot be made, by its name.
    """

    def __init__(
        self, whole: Segments, halves: Callable[[Segments], tuple[Segments, ...]], folder: Path, purpose: Purpose
    ) -> None:
        self.lost: dict[str, str] = {}
        self._halves, self._folder, self._purpose = halves, folder, purpose
        self._open = self._opened(whole)

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Results by name; those that cannot be made are left out.

        Raises:
            Unavailable: memory ran out.
        """
        found: dict[str, Array] = {}
        ahead, self._open = self._open, []
        while ahead:
            part, session = ahead.pop(0)
            try:
                found |= session.run(inputs)
            except InvalidInput as error:
                ahead = [*self._smaller(part, error), *ahead]
            else:
                self._open.append((part, session))
        return found

    def _opened(self, part: Segments) -> list[tuple[Segments, OrtSession]]:
        path = save(part.model, self._folder / f"segment-{len(part.results)}.onnx")
        try:
            session = OrtSession(path, self._purpose)
        except InvalidInput as error:
            return self._smaller(part, error)
        finally:
            path.unlink()
        return [(part, session)]

    def _smaller(self, part: Segments, error: InvalidInput) -> list[tuple[Segments, OrtSession]]:
        halves = self._halves(part)
        if not halves:
            self.lost |= dict.fromkeys(part.results, str(error))
        return [opened for half in halves for opened in self._opened(half)]
