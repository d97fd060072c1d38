"""A comparison opened: the backend's own where it has one, else one in host memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from assay_runner.allocation import give_back
from assay_runner.backends import Backend, Built
from assay_runner.backends.seams import Comparing, Comparison
from assay_runner.graphs.unclipped import Clipped
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.passes.host import HostComparison
from assay_runner.passes.tensor_errors import NONE

__all__ = ["compared_here", "comparison"]


def comparison(
    backend: Backend,
    built: Built,
    budgets: Budgets = DEFAULT,
    *,
    local: bool,
    whole: bool = False,
    golden: Built | None = None,
    clips: Mapping[str, Clipped] = NONE,
) -> AbstractContextManager[Comparison]:
    """The backend's own comparison, or one in host memory, which always shows every tensor.

    `golden`: how golden's tensors are made, `clips`: what clips the candidate's, see `HostComparison`.
    """
    if isinstance(backend, Comparing):
        return backend.open_comparison(built, local=local, whole=whole)
    return _all_compared(compared_here(backend, built, budgets, local=local, golden=golden, clips=clips))


@contextmanager
def _all_compared(opened: AbstractContextManager[Comparison]) -> Iterator[Comparison]:
    """The comparison of a trial; only when it is over is no more memory wanted for as many tensors."""
    try:
        with opened as comparison:
            yield comparison
    finally:
        give_back()


@contextmanager
def compared_here(
    backend: Backend,
    built: Built,
    budgets: Budgets = DEFAULT,
    *,
    local: bool,
    tensors: Collection[str] | None = None,
    golden: Built | None = None,
    clips: Mapping[str, Clipped] = NONE,
) -> Iterator[HostComparison]:
    """A comparison in host memory; `local`: also run segments of the candidate, if the backend can.

    `tensors`: those that are shown; None: all.
    """
    with ExitStack() as stack:
        session = stack.enter_context(backend.open_tapped(built, tensors))
        yield HostComparison(backend, built, session, local, budgets, stack, golden, clips)
