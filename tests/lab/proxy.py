"""A proxy before a real API server that loses, delays and refuses what it is told to: the faults of a network.

What it lets through is the API server's own: it parses nothing and makes nothing up but refusals. Its clients speak TLS
to it, with the API server's own certificate, so the operator is the one that users start.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.lab.apiserver import ApiServer
from tests.lab.credentials import write_kubeconfig
from tests.lab.proxy_faults import Asked, Cut, Expire, Fault, Hang, Refuse, Rule, Say, refusal, status_object

__all__ = ["Asked", "Cut", "Expire", "Fault", "Hang", "Proxy", "Refuse", "Say", "status_object"]

HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass
class Proxy:
    """A proxy on a port of its own, in a thread of its own.

    Attributes:
        api: the API server behind it.
        rules: asked in turn about every request, in the proxy's thread; the first fault is what becomes of it.
        asked: every request so far.
        stalled: plurals whose watches are silent, those that stand already too: their events wait.
        silent: single requests, by their `id`, of which nothing more is told for ever.
        torn: plurals whose watches end, cleanly, in the middle of the next thing that they tell; once each.
        page: objects in a page of a listing, where one asks for pages at all; 0: as many as it asks for.
        kubeconfig: of the API server through the proxy.
    """

    api: ApiServer
    rules: list[Rule] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    stalled: set[str] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)
    page: int = 0
    _standing: dict[int, web.Request] = field(default_factory=dict)

    def start(self) -> Proxy:
        """Listen."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        port = self._do(self._listen())
        keys = self.api.credentials
        self.kubeconfig: Path = self.api.folder / f"proxy-{port}"
        write_kubeconfig(self.kubeconfig, f"https://127.0.0.1:{port}", keys.authority, keys.token)
        return self

    def stop(self) -> None:
        """Cut every connection and listen no more."""
        self.stalled.clear()
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Proxy:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def done(self, method: str, plural: str) -> list[Asked]:
        """The requests of one kind that the API server has carried out."""
        return [a for a in list(self.asked) if (a.method, a.plural) == (method, plural) and 200 <= a.done < 300]

    def cut_watches(self) -> None:
        """Cut the connections of all watches that stand."""

        def cut() -> None:
            for request in self._standing.values():
                if request.transport:
                    request.transport.abort()

        self._loop.call_soon_threadsafe(cut)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> int:
        folder = self.api.credentials.folder
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(folder / "server.crt", folder / "server.key")
        trusted = ssl.create_default_context(cafile=str(self.api.credentials.authority))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted, limit=0), auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )  # fmt: skip
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=served).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def _close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()
        # Handlers of clients that were killed.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.method, request.path, dict(request.query), await request.read())
        self.asked.append(asked)
        fault = next((fault for rule in self.rules if (fault := rule(asked))), None)
        if fault is None or fault.after:
            try:
                answer = await self._forward(request, asked, fault)
            except aiohttp.ClientError:
                fault = fault or Cut()
            else:
                if answer is not None:
                    return answer
        assert fault is not None
        while isinstance(fault, Hang) and request.transport:
            await asyncio.sleep(0.05)
        return refusal(request, asked, fault)

    async def _forward(self, request: web.Request, asked: Asked, fault: Fault | None) -> web.StreamResponse | None:
        """Have the API server answer; None where that is kept from the client."""
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP}
        path = re.sub(r"\blimit=\d+", f"limit={self.page}", request.raw_path) if self.page else request.raw_path
        sent = self._session.request(
            request.method, URL(f"{self.api.url}{path}", encoded=True), headers=headers, data=asked.body or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"), allow_redirects=False,
        )  # fmt: skip
        async with sent as answer:
            asked.done = answer.status
            if fault is not None:
                if not asked.watch:
                    # A watch would be read to its end, minutes later: that is no refusal, but a `Hang`.
                    await answer.read()
                return None
            asked.status = answer.status
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if asked.watch:
                self._standing[id(asked)] = request
            try:
                await self._copy(answer, response, asked)
            finally:
                self._standing.pop(id(asked), None)
            await response.write_eof()
            return response

    async def _copy(self, answer: aiohttp.ClientResponse, response: web.StreamResponse, asked: Asked) -> None:
        async for chunk in answer.content.iter_any():
            while (asked.watch and asked.plural in self.stalled) or id(asked) in self.silent:
                await asyncio.sleep(0.05)
            if asked.watch and asked.plural in self.torn:
                self.torn.discard(asked.plural)
                await response.write(chunk[: len(chunk) // 2])
                return
            await response.write(chunk)
