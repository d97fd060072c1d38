"""What is wrong with a sweep that neither its fields' patterns nor its rules tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from assay_api.schedule import schedule_problems
from assay_api.sweep import MODEL_PLACE, SweepSpec


def sweep_problems(spec: SweepSpec) -> tuple[str, ...]:
    """One sentence per problem, each led by the path of the field below `spec`."""
    return tuple(told for rule in SWEEP_RULES for told in rule(spec))


def _schedule(spec: SweepSpec) -> Iterator[str]:
    yield from schedule_problems(spec.schedule) if spec.schedule else ()


def _shared_artifacts(spec: SweepSpec) -> Iterator[str]:
    if MODEL_PLACE in spec.template.artifacts.uri:
        yield f"template.artifacts.uri: takes no {MODEL_PLACE}, for all audits of a sweep share what they reuse"


def _engines(spec: SweepSpec) -> Iterator[str]:
    named = [candidate.engine.uri for candidate in spec.template.candidates if candidate.engine]
    if len(spec.models) != 1 and any(MODEL_PLACE not in uri for uri in named):
        yield f"template.candidates: an engine is of one model: put {MODEL_PLACE} into its URI"


def _upgrade(spec: SweepSpec) -> Iterator[str]:
    if spec.upgrade and all(candidate.engine for candidate in spec.template.candidates):
        why = "every candidate is an existing plan, which the new image cannot be held to: add one that is built"
        yield f"upgrade: {why}"


SWEEP_RULES: Final = (_schedule, _shared_artifacts, _engines, _upgrade)
"""Each reads as little of a sweep as it must, so that it can be asked of one with other mistakes."""
