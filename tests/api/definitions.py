"""A definition on a real API server, and what both that server and our types say against an object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from pydantic import ValidationError

from assay_api.audit import AuditTemplate
from assay_api.model import problems
from assay_runner.checks import parse_checks
from assay_runner.errors import InvalidInput
from tests.lab.apiserver import ApiServer
from tests.lab.discovery import establish


@contextmanager
def installed(apiserver: ApiServer, definition: Path) -> Iterator[client.CustomObjectsApi]:
    """Client of the server, which has the definition, put there by a plain client-side `kubectl apply`."""
    establish(apiserver.kubectl, definition, how=())
    with config.new_client_from_config(str(apiserver.kubeconfig)) as api:  # type: ignore[no-untyped-call]
        yield client.CustomObjectsApi(api)


def server_refusal(objects: client.CustomObjectsApi, plural: str, data: dict[str, Any]) -> str | None:
    """What the API server says against an object, as `kubectl apply` would hear it; None where it takes it."""
    body = json.loads(json.dumps(data))
    try:
        objects.create_namespaced_custom_object(
            "assay.dev", "v1alpha1", "default", plural, body, dry_run="All", field_validation="Strict"
        )
    except client.ApiException as error:
        if error.status not in (400, 422):
            raise
        return str(json.loads(error.body or "{}")["message"])
    return None


def types_refusal(spec: Callable[[], AuditTemplate]) -> str | None:
    """What our types and the checks say against a spec that is read; None where they take it."""
    try:
        parse_checks(spec())
    except ValidationError as error:
        return "; ".join(problems(error))
    except InvalidInput as error:
        return str(error)
    return None
