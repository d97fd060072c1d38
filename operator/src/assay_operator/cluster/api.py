"""The few requests the operator makes, as JSON over the official client's connections.

`kubernetes.aio` brings the configuration, the credentials and their renewal, TLS and the pool of connections; its
models are left out, for turning every answer into objects and back costs more than the request itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from assay_api import names
from assay_operator.objects.resources import Resource
from assay_operator.process.clock import ServerClock
from assay_operator.process.fence import Fence

Raw = dict[str, Any]

JSON: Final = "application/json"
METADATA: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
# With the parameter the client sends the bytes it is given; without, it makes JSON of its own.
APPLY_PATCH: Final = "application/apply-patch+yaml; charset=utf-8"
# What the API server's YAML takes as an escape only: controls, line ends beside \n, the byte order mark, noncharacters.
ESCAPED: Final = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
DELETE: Final = "\x7f"
SURROGATES: Final = range(0xD800, 0xE000)
SECONDS: Final = 30.0
"""How long a request may take."""
CHUNK: Final = 500
PAGE_TRIES: Final = 8
PAGE_PAUSE_SECONDS: Final = 1.0
MANAGER: Final = {"fieldManager": names.FIELD_MANAGER}


class ApiError(Exception):
    """The API server refused a request, or could not be reached (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def passing(self) -> bool:
        """Whether it says nothing of what was asked: no answer, too much to do (429), or a trouble of the server's."""
        return self.status == 0 or self.status == 429 or self.status >= 500


class Fenced(ApiError):
    """This process does not write: its Lease is another's, or was not renewed for too long."""

    def __init__(self) -> None:
        super().__init__(0, "nothing is written without a lease that was renewed lately")


class Api:
    """Requests to one API server.

    Args:
        client: the official client, configured.
        failed: told the verb and the status of every request that failed.
        fence: asked before every write; None: writes are not held back.

    Attributes:
        clock: the API server's, by what it answers.
    """

    def __init__(self, client: ApiClient, failed: Callable[[str, int], None], fence: Fence | None = None) -> None:
        self._client, self._failed, self._fence = client, failed, fence
        self.clock = ServerClock()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Raw:
        """What stands at a path."""
        return await self._request("GET", path, query or {})

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        query: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
    ) -> AsyncIterator[Raw]:
        """All objects of a kind, a page at a time; without specs and statuses where those are not asked for.

        Once a listing has begun, a page that is refused for a moment is asked for again: where many are, a listing of
        many pages would never come to its end.
        """
        asked, tries = {"limit": str(CHUNK), **(query or {})}, 0
        accept = METADATA if metadata_only else JSON
        while True:
            try:
                page = await self._request("GET", _path(resource, namespace), asked, accept=accept)
            except ApiError as error:
                tries += 1
                if not (error.passing and "continue" in asked and tries < PAGE_TRIES):
                    raise
                await asyncio.sleep(PAGE_PAUSE_SECONDS)
                continue
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            asked, tries = {**asked, "continue": token}, 0

    async def read(self, resource: Resource, namespace: str, name: str, seconds: float = SECONDS) -> Raw:
        """One object."""
        return await self._request("GET", _path(resource, namespace, name), {}, seconds=seconds)

    async def create(self, resource: Resource, namespace: str, body: Raw, seconds: float = SECONDS) -> Raw:
        """Create an object and return it as it stands.

        One that is there already (409) is no failure: names are digests, so it is the one that was wanted.
        """
        return await self._write("POST", _path(resource, namespace), MANAGER, body, JSON, seconds)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Raw, seconds: float = SECONDS) -> Raw:
        """Put another in an object's place, if it still is as it was in the body's version."""
        return await self._write("PUT", _path(resource, namespace, name), MANAGER, body, JSON, seconds)

    async def patch(self, resource: Resource, namespace: str, name: str, body: Raw) -> Raw:
        """Merge a change into an object."""
        return await self._write("PATCH", _path(resource, namespace, name), MANAGER, body, MERGE_PATCH)

    async def mark(self, resource: Resource, name: str, body: Raw) -> Raw:
        """Merge a change into the status of an object of the cluster, lists by the keys of their items."""
        return await self._write("PATCH", f"{_path(resource, None, name)}/status", MANAGER, body, STRATEGIC_PATCH)

    async def apply_status(self, resource: Resource, namespace: str, name: str, version: str, status: Raw) -> Raw:
        """Make the status of an object say this and nothing else of ours, if it still is as it was in this version.

        A UID would not do: the API server resets the metadata of a status request before it compares anything.
        """
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
            "status": status,
        }
        path = f"{_path(resource, namespace, name)}/status"
        return await self._write("PATCH", path, {**MANAGER, "force": "true"}, yaml_text(body), APPLY_PATCH)

    async def clear_status(self, resource: Resource, namespace: str, name: str, version: str) -> Raw:
        """Take away all of the status of an object, whoever wrote it, if the object still is in this version."""
        path = f"{_path(resource, namespace, name)}/status"
        body = {"metadata": {"resourceVersion": version}, "status": None}
        return await self._write("PATCH", path, MANAGER, body, MERGE_PATCH)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str | None = None) -> None:
        """Delete an object, in this version where one is given, and what it owns in the background."""
        same = {"uid": uid} | ({"resourceVersion": version} if version else {})
        body = {"propagationPolicy": "Background", "preconditions": same}
        await self._write("DELETE", _path(resource, namespace, name), {}, body, JSON)

    async def _write(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Raw | bytes,
        content: str,
        seconds: float = SECONDS,
    ) -> Raw:
        return await self._request(method, path, query, body, content, seconds, self._fence)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Raw | bytes | None = None,
        content: str = JSON,
        seconds: float = SECONDS,
        fence: Fence | None = None,
        accept: str = JSON,
    ) -> Raw:
        configuration = self._client.configuration
        url = f"{configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": names.FIELD_MANAGER}
        for setting in (await configuration.auth_settings()).values():
            headers["Authorization"] = setting["value"]
        if fence:
            # Last before it is sent; and what is still under way when the time is up is given up.
            seconds = min(seconds, fence.left)
            if seconds <= 0:
                raise Fenced
        began = time.monotonic()
        try:
            send: Any = self._client.rest_client.request
            timeout = aiohttp.ClientTimeout(total=seconds)
            response = await send(method, url, headers=headers, body=body, _request_timeout=timeout)
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._failed(method, 0)
            raise ApiError(0, f"{method} {path}: {type(error).__name__}: {error}") from error
        self.clock.told(response.headers.get("Date"), time.monotonic() - began)
        if response.status >= 400:
            if (method, response.status) != ("POST", 409):
                self._failed(method, response.status)
            raise ApiError(response.status, _message(data, response.status))
        answer = _object(data)
        if "kind" not in answer:
            # All that an API server says tells what it is; whatever answers in its place may be gone the next time.
            self._failed(method, 0)
            raise ApiError(0, f"{method} {path}: the answer is no object of an API server's")
        return answer


def _object(data: bytes) -> Raw:
    """An answer's JSON; nothing where it is none, or no object."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def yaml_text(body: Raw) -> bytes:
    """JSON that is YAML too, in UTF-8: YAML knows no pairs of surrogates, with which JSON escapes an emoji."""
    text = json.dumps(body, ensure_ascii=False)
    # Almost always; JSON itself escapes the controls below a blank.
    return text.encode() if text.isascii() and DELETE not in text else ESCAPED.sub(_escape, text).encode()


def _escape(found: re.Match[str]) -> str:
    """The character's escape; half of a pair means nothing and becomes the replacement character."""
    return f"\\u{0xFFFD if ord(found[0]) in SURROGATES else ord(found[0]):04x}"


def _path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    one = f"/{quote(name, safe='')}" if name else ""
    return f"{resource.prefix}{scope}/{resource.plural}{one}"


def _message(data: bytes, status: int) -> str:
    message = _object(data).get("message")
    return message if isinstance(message, str) and message else f"HTTP {status}"
