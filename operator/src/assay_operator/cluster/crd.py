"""Whether the cluster's definitions of our resources are ours.

An API server with an older definition silently drops the fields it does not know, of specs and of statuses alike.
That must be said at the start, not be found out from a status that stays empty.
"""

from __future__ import annotations

import asyncio
import logging
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay_api.model import Model
from assay_api.names import API_VERSION, VERSION
from assay_api.resources import CustomResource
from assay_operator.cluster.api import Api, ApiError

log = logging.getLogger(__name__)

PAUSE_SECONDS, MOST_SECONDS = 1.0, 10.0
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class WrongDefinition(Exception):
    """The cluster has no such resource, or another one; the message is one sentence with the way out."""


async def await_definition(api: Api, resource: CustomResource, told: Callable[[str], None]) -> None:
    """Wait until the cluster's definition of a resource is ours, however long that takes.

    Whoever starts beside us may bring it later, and an API server that is away comes back: to end would only have the
    process started again, ever more slowly.

    Args:
        api: the API server.
        resource: ours.
        told: called with a sentence that says what is waited for, each time it is another one.
    """
    said, pause = "", PAUSE_SECONDS
    while True:
        try:
            await check_definition(api, resource)
            return
        except (WrongDefinition, ApiError) as error:
            if str(error) != said:
                said = str(error)
                log.warning(f"waiting for the definition of {resource.kind}", extra={"error": said})
                told(said)
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, MOST_SECONDS)


async def check_definition(api: Api, resource: CustomResource) -> None:
    """Compare the cluster's definition of a resource with ours.

    Raises:
        WrongDefinition: it is missing or lacks fields.
        ApiError: it could not be asked for.
    """
    try:
        definition = await _found(api, f"{PATH}/{resource.definition}", resource)
    except ApiError as error:
        if error.status != 403:
            raise
        await _check_served(api, resource)
        return
    missing = sorted(missing_fields(definition, resource))
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise WrongDefinition(f"The cluster's {resource.definition} does not know {shown}: {_way_out(resource)}.")


def _way_out(resource: CustomResource) -> str:
    file = f"crds/{resource.plural}.yaml"
    return f"install the one of this version: kubectl apply --server-side -f {file}, or helm upgrade"


async def _check_served(api: Api, resource: CustomResource) -> None:
    """All that a Role of a namespace lets us see: whether the resource is served."""
    served = await _found(api, f"/apis/{API_VERSION}", resource)
    if not any(each.get("name") == resource.plural for each in served.get("resources") or ()):
        raise WrongDefinition(f"The cluster's {API_VERSION} has no {resource.plural}: {_way_out(resource)}.")
    log.info("the definition may not be read here, so its fields are not compared with ours")


async def _found(api: Api, path: str, resource: CustomResource) -> dict[str, Any]:
    """What lies there; without it there is no such resource."""
    try:
        return await api.get(path)
    except ApiError as error:
        if error.status == 404:
            raise WrongDefinition(f"The cluster has no {resource.definition}: {_way_out(resource)}.") from error
        raise


def missing_fields(definition: Mapping[str, Any], resource: CustomResource) -> Iterator[str]:
    """Paths of the fields that our types have and the served schema lacks."""
    versions = (definition.get("spec") or {}).get("versions") or ()
    for version in versions:
        if version.get("name") == VERSION:
            schema = ((version.get("schema") or {}).get("openAPIV3Schema") or {}).get("properties") or {}
            yield from _missing(resource.spec, schema.get("spec") or {}, "spec")
            yield from _missing(resource.status, schema.get("status") or {}, "status")
            return
    yield VERSION


def _missing(model: type[Model], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties = schema.get("properties") or {}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        here = f"{path}.{alias}"
        if alias not in properties:
            yield here
            continue
        inner = properties[alias]
        for part in _models(field.annotation):
            yield from _missing(part, inner.get("items") or inner.get("additionalProperties") or inner, here)


def _models(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and not typing.get_origin(annotation):
        if issubclass(annotation, Model):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models(argument)
