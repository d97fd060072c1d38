"""What is asked of an API server through a proxy, and the faults that may come of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

PLURAL = re.compile(r"^/apis?/(?:[^/]+/)?v[^/]+/(?:namespaces/[^/]+/)?([^/]+)")


@dataclass
class Asked:
    """One request.

    Attributes:
        method: GET, POST, PATCH, PUT or DELETE.
        path: without the query.
        query: the query.
        body: what was sent.
        status: what was answered to the client; 0: nothing yet, or nothing at all.
        done: what the API server answered; 0: it was not asked.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    status: int = 0
    done: int = 0

    @property
    def plural(self) -> str:
        """The kind of object it is about, as the path has it."""
        found = PLURAL.match(self.path)
        return found[1] if found else ""

    @property
    def watch(self) -> bool:
        """Whether it is a watch."""
        return "watch" in self.query

    @property
    def writes(self) -> bool:
        """Whether it changes anything, the Lease apart."""
        return self.method != "GET" and self.plural != "leases"


@dataclass(frozen=True)
class Refuse:
    """An answer in the API server's place.

    Attributes:
        status: of the answer.
        after: the API server has done what was asked all the same.
        retry: seconds in `Retry-After`.
        reason: of the Status object.
    """

    status: int
    after: bool = False
    retry: int | None = None
    reason: str = "InternalError"


@dataclass(frozen=True)
class Cut:
    """No answer: the connection ends before the API server was asked, or after."""

    after: bool = False


@dataclass(frozen=True)
class Hang:
    """No answer, not so much as its headers, while the connection lives."""

    after: bool = False


@dataclass(frozen=True)
class Say:
    """Words in the API server's place (200), and a clean end."""

    words: str = ""
    after: bool = False


@dataclass(frozen=True)
class Expire:
    """A watch that begins and says at once that its version is too old, as an API server does (410)."""

    after: bool = False


Fault = Refuse | Cut | Hang | Say | Expire
Rule = Callable[[Asked], Fault | None]


def refusal(request: web.Request, asked: Asked, fault: Fault) -> web.StreamResponse:
    """What comes of a fault, in the API server's place."""
    if isinstance(fault, Cut | Hang):
        if request.transport:
            request.transport.abort()
        # It reaches nobody.
        return web.Response(status=502)
    if isinstance(fault, Say):
        asked.status = 200
        return web.Response(text=fault.words, content_type="application/json")
    if isinstance(fault, Expire):
        asked.status = 200
        line = json.dumps({"type": "ERROR", "object": status_object(410, "Expired")})
        return web.Response(text=f"{line}\n", content_type="application/json")
    asked.status = fault.status
    headers = {} if fault.retry is None else {"Retry-After": str(fault.retry)}
    return web.json_response(status_object(fault.status, fault.reason), status=fault.status, headers=headers)


def status_object(code: int, reason: str) -> dict[str, Any]:
    """The object with which an API server refuses."""
    words = f"made up by a proxy: {code}"
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": words,
            "reason": reason, "code": code}  # fmt: skip
