"""What is wrong with a sweep that neither its fields' patterns nor its rules tell."""

from __future__ import annotations

from assay_api.schedule import schedule_problems
from assay_api.sweep import MODEL_PLACE, SweepSpec


def sweep_problems(spec: SweepSpec) -> tuple[str, ...]:
    """One sentence per problem, each led by the path of the field below `spec`."""
    found = list(schedule_problems(spec.schedule)) if spec.schedule else []
    if MODEL_PLACE in spec.template.artifacts.uri:
        found.append(f"template.artifacts.uri: takes no {MODEL_PLACE}, for all audits of a sweep share what they reuse")
    named = [candidate.engine.uri for candidate in spec.template.candidates if candidate.engine]
    if len(spec.models) != 1 and any(MODEL_PLACE not in uri for uri in named):
        found.append(f"template.candidates: an engine is of one model: put {MODEL_PLACE} into its URI")
    return tuple(found)
