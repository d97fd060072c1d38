"""/livez, /readyz and /metrics over plain HTTP, in the same event loop as the work: where that blocks, they fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from assay_operator.process.health import Health
from assay_operator.process.metrics import Metrics

Ask = Callable[[], str | None]


class Endpoints:
    """The HTTP servers of this process.

    Args:
        health: answers the probes.
        metrics: answers Prometheus.
        probe_port: port of /livez and /readyz; 0 takes an unused one.
        metrics_port: port of /metrics; the same as `probe_port` serves all on one.
    """

    def __init__(self, health: Health, metrics: Metrics, probe_port: int, metrics_port: int) -> None:
        self._health, self._metrics = health, metrics
        self._ports = {"probes": probe_port, "metrics": metrics_port}
        self._runners: list[web.AppRunner] = []

    async def start(self) -> Mapping[str, int]:
        """Listen; the ports by name."""
        apps = {"probes": web.Application(), "metrics": web.Application()}
        if self._ports["probes"] == self._ports["metrics"] != 0:
            apps["metrics"] = apps["probes"]
        apps["probes"].router.add_get("/livez", _probe(self._health.ill))
        apps["probes"].router.add_get("/healthz", _probe(self._health.ill))
        apps["probes"].router.add_get("/readyz", _probe(self._health.unready))
        apps["metrics"].router.add_get("/metrics", self._serve_metrics)
        ports: dict[str, int] = {}
        for name, app in apps.items():
            if any(app is other and name != first for first, other in apps.items() if first in ports):
                ports[name] = ports["probes"]
                continue
            ports[name] = await self._listen(app, self._ports[name])
        return ports

    async def stop(self) -> None:
        """Stop listening."""
        for runner in self._runners:
            await runner.cleanup()

    async def _listen(self, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        bound: int = runner.addresses[0][1]
        return bound

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=1.0.0"})


def _probe(ask: Ask) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        trouble = ask()
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)

    return answer
