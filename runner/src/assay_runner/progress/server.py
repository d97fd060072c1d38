"""Progress for the operator: the numbers, read-only, on the Pod's address."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from assay_api import result
from assay_api.names import PROGRESS_PATH
from assay_runner.progress.tracker import Snapshot, Tracker


@contextmanager
def served(tracker: Tracker, task: str, port: int, *, among: bool = False) -> Iterator[int]:
    """Serve the tracker's numbers read-only at GET /progress on all addresses; yields the port.

    Args:
        tracker: who knows.
        task: digest of the task.
        port: TCP port; 0 asks for any.
        among: it works on one of several things, which is to be named.
    """
    import socket
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingTCPServer

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            known = self.path.split("?")[0] == PROGRESS_PATH
            now = as_progress(tracker.now, task, waiting=tracker.waiting, among=among)
            body = now.model_dump_json(by_alias=True).encode() if known else b"not found\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json" if known else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing: the log belongs to the work."""

    class Server(ThreadingTCPServer):
        # Not http.server's own class: that asks the DNS for this host's name, which may take long.
        address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of one who was gone before the answer: TensorRT may hold the interpreter for seconds."""
            if not isinstance(sys.exc_info()[1], ConnectionError):
                super().handle_error(request, client_address)  # type: ignore[arg-type]

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

    with Server(("", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="progress", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def as_progress(now: Snapshot, task: str, *, waiting: bool = False, among: bool = False) -> result.Progress:
    """The contract's form of a snapshot."""
    said = ": ".join(filter(None, (now.subject, now.message))) if among else now.message
    return result.Progress(
        task=task, stage=now.stage, done=now.done, total=now.total, unit=now.unit, message=said, waiting=waiting
    )
