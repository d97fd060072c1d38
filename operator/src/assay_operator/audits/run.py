"""From an audit to the run that its spec means: the tasks, or the sentences that say why it cannot be run.

Admission has refused most mistakes already. What is left is what a schema cannot know: an old definition of the
resource, a file:// URI that means nothing in a cluster, a matrix too large to be told in one status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError

from assay_api.asked import MOST_TOKEN
from assay_api.audit import AuditSpec, AuditTemplate
from assay_api.model import problems, to_wire
from assay_api.names import ANNOTATION_RERUN
from assay_api.plan import Task, cache_folder, run_digest, run_folder, tasks_of
from assay_operator.audits.jobs import TASK_BYTES
from assay_operator.audits.observed import Audit
from assay_operator.objects.raw import compact, unpacked

MOST_CANDIDATES = 128


@dataclass(frozen=True)
class Run:
    """One run: its spec, its digest and its tasks, each behind those that it comes after."""

    spec: AuditSpec
    digest: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Refused:
    """Why a spec cannot be run, one sentence per problem."""

    sentences: tuple[str, ...]


def run_of(audit: Audit) -> Run | Refused:
    """The run that the audit's spec means now."""
    if too_long := tokens_too_long({ANNOTATION_RERUN: audit.rerun}):
        return Refused(too_long)
    return _run_of(audit.namespace, audit.name, audit.uid, audit.rerun, audit.spec)


def tokens_too_long(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each annotation that asks for a rerun by more than a status holds."""
    names = (name for name, token in annotations.items() if len(token) > MOST_TOKEN)
    return tuple(f"annotation {name} has more than {MOST_TOKEN} characters: give a shorter one" for name in names)


def meaning_of(audit: Audit) -> tuple[AuditSpec, str] | None:
    """The audit's spec and the digest of its run, without the plan, which costs most; None where there is none."""
    try:
        return _meaning_of(audit.spec, audit.rerun)
    except ValidationError:
        return None


@lru_cache(maxsize=64)
def _meaning_of(packed: bytes, rerun: str) -> tuple[AuditSpec, str]:
    spec = AuditSpec.model_validate_json(unpacked(packed))
    return spec, run_digest(spec, rerun)


@lru_cache(maxsize=256)
def _run_of(namespace: str, name: str, uid: str, rerun: str, packed: bytes) -> Run | Refused:
    try:
        spec, digest = _meaning_of(packed, rerun)
        if sentences := tuple(not_in_a_cluster(spec)):
            return Refused(sentences)
        uri = spec.artifacts.uri
        output = run_folder(uri, namespace, name, digest, uid)
        tasks = tasks_of(spec, audit=f"{namespace}/{name}", run=digest, output=output, cache=cache_folder(uri))
    except ValidationError as error:
        return Refused(tuple(f"spec.{sentence}" for sentence in problems(error)))
    except ValueError as error:
        return Refused((f"spec cannot be planned: {error}",))
    candidates = sum(task.candidate is not None for task in tasks)
    if candidates > MOST_CANDIDATES:
        return Refused(
            (
                f"candidates times target.gpuProducts make {candidates}, more than {MOST_CANDIDATES}: "
                "split the audit in two",
            )
        )
    if largest_task(spec, tasks) > TASK_BYTES:
        return Refused((f"spec is larger than {TASK_BYTES // 1024} KiB: split the audit in two",))
    return Run(spec, digest, tasks)


def largest_task(spec: AuditSpec, tasks: Iterable[Task]) -> int:
    """Bytes of the largest task as its Pod reads it, each of which holds the spec."""
    own = (task.model_dump_json(by_alias=True, exclude={"spec"}, exclude_defaults=True) for task in tasks)
    return len(compact(to_wire(spec))) + max(map(len, own))


def not_in_a_cluster(spec: AuditTemplate) -> Iterator[str]:
    """What of a spec means nothing in a cluster, in sentences led by the field."""
    for path, uri in _uris(spec):
        if uri.startswith("file://") and not uri.startswith("file:///"):
            yield (
                f"{path}: {uri} is relative to the audit's file, which only `assay run` knows: "
                "use s3://, or file:///path of a file in the runner's image"
            )
    if spec.artifacts.uri.startswith("file:///"):
        yield f"artifacts.uri: {spec.artifacts.uri} would go with the Pod that wrote it: use s3://"
    gpus = spec.target.resources.get("nvidia.com/gpu", "1")
    if not gpus.isdigit():
        yield f"target.resources: nvidia.com/gpu takes a whole number, got {gpus}"
    elif int(gpus) == 0 and any(candidate.backend == "tensorrt" for candidate in spec.candidates):
        yield "target.resources: nvidia.com/gpu is 0 and a tensorrt candidate needs one: leave it out, or say how many"


def _uris(spec: AuditTemplate) -> Iterator[tuple[str, str]]:
    if isinstance(spec, AuditSpec):
        yield "model.uri", spec.model.uri
        if spec.compare_with:
            yield "compareWith.uri", spec.compare_with.uri
    yield "dataset.uri", spec.dataset.uri
    yield "artifacts.uri", spec.artifacts.uri
    if spec.golden.uri:
        yield "golden.uri", spec.golden.uri
    for candidate in spec.candidates:
        for field in ("model", "calibration", "engine"):
            if part := getattr(candidate, field):
                yield f"candidates[{candidate.name}].{field}.uri", part.uri
