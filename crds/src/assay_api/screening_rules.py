"""What is wrong with a screening that neither its fields' patterns nor its rules tell."""

from __future__ import annotations

from assay_api.gpu_screening import ScreenSpec
from assay_api.schedule import schedule_problems


def screening_problems(spec: ScreenSpec) -> tuple[str, ...]:
    """One sentence per problem, each led by the path of the field below `spec`."""
    found = list(schedule_problems(spec.schedule)) if spec.schedule else []
    named = {"plan.uri": spec.plan.uri, "artifacts.uri": spec.artifacts.uri}
    if spec.record:
        named["record.uri"] = spec.record.uri
    for field, uri in named.items():
        if uri.startswith("file://") and not uri.startswith("file:///"):
            found.append(f"{field}: {uri} is relative, which means nothing in a cluster: use s3://")
    return tuple(found)
