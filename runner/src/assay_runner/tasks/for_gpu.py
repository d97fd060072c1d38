"""What of a candidate is judged here, and what is left for the GPU, where an emulation stands in for its engine."""

from __future__ import annotations

from collections.abc import Sequence

from assay_api.audit import Candidate
from assay_api.left import LeftForGpu
from assay_runner.checks import Check
from assay_runner.errors import CannotBuild
from assay_runner.graphs.zero_points import shifted
from assay_runner.models.loading import LoadedModel
from assay_runner.tasks.context import Context

PLAN_ELSEWHERE = (
    "audit the plan on a GPU and a TensorRT like those it was built for; on a CPU, a second candidate with precision "
    "in place of engine shows what that precision does to the model"
)
WHOLE = "an existing plan is run by TensorRT alone, and nothing stands in for it: judge it on a GPU"


def judged_here(
    candidate: Candidate, checks: Sequence[Check], context: Context
) -> tuple[tuple[Check, ...], tuple[LeftForGpu, ...]]:
    """The checks that are judged, and what is left; none is judged where the candidate as a whole is left.

    Nothing is left where the candidate's own backend runs it, or where `context.strict` asks for every answer.
    """
    if context.strict or context.backend in (None, candidate.backend):
        return tuple(checks), ()
    return split(candidate, checks)


def split(candidate: Candidate, checks: Sequence[Check]) -> tuple[tuple[Check, ...], tuple[LeftForGpu, ...]]:
    """What an emulation of a candidate answers, and what it leaves."""
    if candidate.engine:
        return (), (LeftForGpu(message=WHOLE),)
    left = tuple(LeftForGpu(check=c.name, message=_left(c)) for c in checks if c.engine_only)
    judged = tuple(check for check in checks if not check.engine_only)
    if judged:
        return judged, left
    return (), (LeftForGpu(message="every check that it is asked is one that only an engine can answer"), *left)


def _left(check: Check) -> str:
    return f"{check.engine_only} is an engine's to tell, and an emulation is none: judge it on a GPU"


def zero_points(candidate: Candidate, model: LoadedModel, context: Context) -> str:
    """A note on zero points that TensorRT refuses; empty where there are none, or TensorRT itself judges the model.

    Raises:
        CannotBuild: an engine is asked for and emulated: a pass would be of what nobody can build.
    """
    backend = context.backend or candidate.backend
    found = shifted(model.path) if backend != "tensorrt" else None
    if found and candidate.backend == "tensorrt":
        raise CannotBuild(f"no engine can be built of {model.path.name}: {found.told}")
    return found.told if found else ""
