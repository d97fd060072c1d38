"""A TCP relay in front of a real S3 server that misbehaves on demand, as networks and overloaded servers do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 92\r\n\r\n"
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error> "
)


@dataclass
class Middleman:
    """What happens to the next connections.

    Attributes:
        target: host and port of the real server.
        busy: so many connections are answered by 503.
        cut: so many answers are cut off after `cut_after` bytes.
        silent: whether connections are taken and never answered.
        ranges: the Range headers seen.
    """

    target: tuple[str, int]
    busy: int = 0
    cut: int = 0
    cut_after: int = 0
    silent: bool = False
    ranges: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def serve(connection: socket.socket, middleman: Middleman, stop: threading.Event) -> None:
    # A client that was killed, or has given up, may reset its connection at any moment.
    with connection, suppress(OSError):
        request = connection.recv(1 << 16)
        if not request:
            return
        for line in request.decode("latin-1").split("\r\n"):
            if line.lower().startswith("range:"):
                middleman.ranges.append(line.partition(":")[2].strip())
        if middleman.silent:
            stop.wait()
            return
        if middleman.busy:
            middleman.busy -= 1
            connection.sendall(BUSY)
            return
        with socket.create_connection(middleman.target) as upstream:
            upstream.sendall(request)
            pump = threading.Thread(target=relay, args=(connection, upstream, None), daemon=True)
            pump.start()
            limit = None
            # Answers without a body (HEAD) are never long enough to be cut.
            if middleman.cut and request.startswith(b"GET") and b"list-type" not in request:
                middleman.cut -= 1
                limit = middleman.cut_after
            relay(upstream, connection, limit)
            for each in (upstream, connection):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            pump.join()


def relay(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
    sent = 0
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            if limit is not None and sent + len(chunk) > limit:
                sink.sendall(chunk[: limit - sent])
                return
            sink.sendall(chunk)
            sent += len(chunk)


@contextmanager
def in_front_of(port: int) -> Iterator[Middleman]:
    middleman = Middleman(("127.0.0.1", port))
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    middleman.port = listener.getsockname()[1]
    workers: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                worker = threading.Thread(target=serve, args=(connection, middleman, stop), daemon=True)
                worker.start()
                workers.append(worker)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield middleman
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
