"""A TCP forwarder between two network namespaces.

A socket belongs for good to the network it was made in. So the parent listens on its own loopback address and hands
the listening sockets to the process inside the namespace, which accepts on them and connects on its own side: clients
need no entry into the namespace, and nothing of the host's network is reachable from within.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping

__all__ = ["forward"]


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until either end closes."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    """Join every connection accepted on `listener` with a new one to `target`."""

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
        finally:
            there_writer.close()
            writer.close()

    server = await asyncio.start_server(join, sock=listener)
    await server.serve_forever()


def forward(routes: Mapping[int, tuple[str, int]]) -> None:
    """Forward, in a thread of its own until the process ends, each listening file descriptor to its (host, port)."""

    async def main() -> None:
        await asyncio.gather(*(serve(socket.socket(fileno=fd), target) for fd, target in routes.items()))

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True, name="forwarder").start()
