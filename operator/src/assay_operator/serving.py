"""Start the operator: settings, then the Lease, then the work; exit 0 on a signal, 1 where a restart may mend it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from assay_api.names import ExitCode
from assay_operator.cluster.api import Api
from assay_operator.cluster.crd import await_definition
from assay_operator.cluster.leader import Leader
from assay_operator.controller import Controller, measure_lag
from assay_operator.kinds import KINDS
from assay_operator.objects.kind import Kinds
from assay_operator.process import logs
from assay_operator.process.fence import Fence
from assay_operator.process.health import Health
from assay_operator.process.metrics import Metrics
from assay_operator.process.probes import Endpoints
from assay_operator.process.signals import listen, unless_stopped
from assay_operator.settings import Settings, SettingsError, from_environment
from assay_operator.standby import Standby

log = logging.getLogger(__name__)

RESTART = 1
CONNECTIONS = 32
# JSON is most of the work and makes no cycles, yet each object in it counts towards the next search for some: with the
# usual 700 the search takes as long as the reading.
CYCLES = 50_000, 20, 20


def main(kinds: Kinds = KINDS) -> None:
    """Run an operator of these kinds of resource; the process's exit code tells how it ended."""
    try:
        settings = from_environment()
    except SettingsError as error:
        print(f"assay-operator: {error}", file=sys.stderr)
        sys.exit(ExitCode.INVALID_INPUT)
    logs.set_up(settings.log_format, settings.log_level)
    gc.set_threshold(*CYCLES)
    try:
        # Not asyncio.run: it would wait for everything that still runs, and another replica would for this one.
        code = asyncio.new_event_loop().run_until_complete(run(settings, kinds))
    except ConfigException as error:
        log.error("%s", error)
        code = RESTART
    except Exception:
        log.exception("the operator cannot go on")
        code = RESTART
    # Whatever still runs in a thread must not keep a replica that lost its Lease.
    logging.shutdown()
    os._exit(code)


async def run(settings: Settings, kinds: Kinds) -> int:
    """Run until a signal comes or the Lease is lost; the exit code."""
    stop = asyncio.Event()
    listen(stop)
    metrics = Metrics(settings.gpu_hour_prices)
    health = Health(time.monotonic, settings.resync_seconds)
    endpoints = Endpoints(health, metrics, settings.probe_port, settings.metrics_port)
    ports = await endpoints.start()
    log.info("started", extra={"identity": settings.identity, **{k: str(v) for k, v in ports.items()}})
    lag = asyncio.create_task(measure_lag(metrics), name="lag")
    try:
        client: Any = ApiClient(await load_configuration())
        try:
            return await _lead(client, kinds, settings, metrics, health, stop)
        finally:
            await client.close()
    finally:
        lag.cancel()
        await endpoints.stop()


async def load_configuration() -> Configuration:
    """Address and credentials of the API server: a Pod's own, or those of a kubeconfig."""
    configuration = Configuration()
    from_pod: Any = load_incluster_config
    from_kubeconfig: Any = load_kube_config
    try:
        from_pod(client_configuration=configuration)
    except ConfigException:
        await from_kubeconfig(client_configuration=configuration)
    configuration.connection_pool_maxsize = CONNECTIONS
    # With the environment trusted, every request would look for a ~/.netrc first, in another thread; the watches trust
    # it neither. A proxy is the kubeconfig's.
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


async def _lead(
    client: ApiClient, kinds: Kinds, settings: Settings, metrics: Metrics, health: Health, stop: asyncio.Event
) -> int:
    fence = Fence(settings.renew_seconds)
    # The Lease itself is written behind no fence: it is what opens the other's. That it is not there yet, or was
    # renewed by another first, is no trouble.
    free = Api(client, lambda verb, code: None if code in (404, 409) else metrics.failed(verb, code))
    fenced = Api(client, metrics.failed, fence)
    if not await unless_stopped(_prepare(free, kinds, health), stop):
        return 0
    standby = Standby(lambda: Controller(fenced, client.configuration, kinds, settings, metrics, health))
    leader = Leader(free, settings, fence, lambda silent: standby.hears(silent=silent))

    async def lead() -> None:
        health.role, health.fence = "leader", fence
        if await unless_stopped(standby.looked(), stop):
            await standby.leads().run(stop)

    health.role, health.silence = "standby", lambda: leader.silence
    metrics.leader.set_function(lambda: float(fence.left > 0))
    return 0 if await leader.run(lead, stop) else RESTART


async def _prepare(api: Api, kinds: Kinds, health: Health) -> None:
    def waits(what: str) -> None:
        health.waits = what

    for kind in kinds:
        await await_definition(api, kind.custom, waits)
