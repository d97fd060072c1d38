"""Requests to an API server, as cheap as can be: what measures must not take the CPU from what is measured."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab import LabError

__all__ = ["Kube", "Refused"]

Raw = dict[str, Any]
IDLE_SECONDS = 60.0
"""Seconds after which a connection is not used again: an API server closes it after 90."""


class Refused(LabError):
    """The API server refused a request; the message says which and why."""


class Kube:
    """A client of the cluster of one kubeconfig with a token, one connection per thread."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.address = urlsplit(cluster["server"])
        self.tls = ssl.create_default_context(cadata=authority)
        self.headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "Accept": "application/json"}
        self.own = threading.local()

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = self.address.hostname or "", self.address.port
        return http.client.HTTPSConnection(host, port, context=self.tls, timeout=60)

    def raw(self, method: str, path: str, body: object = None, content: str = "application/json") -> bytes:
        """The body of the answer.

        Raises:
            Refused: the answer is not 2xx.
        """
        connection = getattr(self.own, "connection", None) or self._connect()
        if time.monotonic() - getattr(self.own, "asked", 0.0) > IDLE_SECONDS:
            # It opens itself again; one that the server has closed would fail a request that must not be made twice.
            connection.close()
        self.own.connection, self.own.asked = connection, time.monotonic()
        # What is read as YAML has no escapes for halves of characters.
        sent = None if body is None else json.dumps(body, ensure_ascii="yaml" not in content).encode()
        connection.request(method, path, sent, {**self.headers, "Content-Type": content})
        answer = connection.getresponse()
        data: bytes = answer.read()
        if answer.status >= 300:
            raise Refused(f"{method} {path}: {answer.status}: {data[:500].decode(errors='replace')}")
        return data

    def request(self, method: str, path: str, body: object = None, content: str = "application/json") -> Raw:
        """The answer as JSON."""
        answer: Raw = json.loads(self.raw(method, path, body, content))
        return answer

    def apply(self, path: str, manifest: Mapping[str, Any]) -> Raw:
        """Apply a manifest, as `kubectl apply --server-side` does."""
        return self.request("PATCH", f"{path}?fieldManager=bench&force=true", manifest, "application/apply-patch+yaml")

    def count(self, path: str) -> int:
        """How many objects a collection has, without fetching them."""
        page = self.request("GET", f"{path}{'&' if '?' in path else '?'}limit=1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)

    def watch(self, path: str) -> Iterator[Raw]:
        """Events of a collection from now on; the watch stands when this returns."""
        version = self.request("GET", f"{path}{'&' if '?' in path else '?'}limit=1")["metadata"]["resourceVersion"]
        connection = self._connect()
        connection.request("GET", f"{path}?watch=true&resourceVersion={version}", headers=self.headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(f"watch {path}: {answer.status}")
        return (json.loads(line) for line in answer)
