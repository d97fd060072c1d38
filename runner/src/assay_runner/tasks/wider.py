"""The candidate once more with some of its nodes wider, where an emulation is at hand: it costs no engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from assay_runner.backends.quantisation import quantised_nodes
from assay_runner.backends.subject import Subject
from assay_runner.builds.brief import briefly_built
from assay_runner.builds.cache import BuildRequest
from assay_runner.errors import InvalidInput
from assay_runner.graphs.eight_bit import EightBit
from assay_runner.passes.setting import Wider
from assay_runner.remedies.aside import Aside
from assay_runner.tensors import Progress

BY_ENGINE: Final = "an engine would have to be built for it, which `assay repair` does"
OWN_PAIRS: Final = "the Q/DQ pairs are the model's own, and stay"
NOT_BUILT: Final = "an existing plan is audited as it is"


def wider_of(
    request: BuildRequest | None, subject: Subject, workdir: Path, progress: Progress
) -> tuple[Wider | None, str]:
    """Opens a candidate with further nodes held; None and the reason where that is not done.

    Args:
        request: how the candidate was built; None: it is an existing plan.
        subject: the candidate.
        workdir: where it may be built, in a folder of its own.
        progress: given signs of life.
    """
    if request is None:
        return None, NOT_BUILT
    if not subject.built.emulated:
        return None, BY_ENGINE if subject.built.engine else "the candidate is not rounded at all"
    if request.order.quantisation is None and request.order.precision in ("int8", "fp8"):
        return None, OWN_PAIRS

    @contextmanager
    def opened(held: Mapping[str, str]) -> Iterator[Subject]:
        order = replace(request.order, held={**request.order.held, **held})
        wanted = replace(request, order=order)
        if _nothing_left(wanted, workdir):
            wanted = replace(wanted, order=replace(order, precision="fp32", quantisation=None), calibration=None)
        with briefly_built(wanted, subject.key, workdir, Aside(progress)) as found:
            literal = found.built.literal or subject.built.literal
            yield replace(found, built=replace(found.built, literal=literal))

    return opened, ""


def _nothing_left(request: BuildRequest, workdir: Path) -> bool:
    """Whether every node that would run in 8 bits is held."""
    order = request.order
    if order.quantisation is None:
        return False
    kind: EightBit = "fp8" if order.precision == "fp8" else "int8"
    folder = workdir / "asked"
    folder.mkdir(exist_ok=True)
    try:
        return quantised_nodes(request.model.path, order.quantisation, kind, folder) <= order.held.keys()
    except InvalidInput:
        return False
