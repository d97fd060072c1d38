"""Start the operator: settings, then the Lease, then the work; exit 0 on a signal, 1 where a restart may mend it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from assay_api.names import ExitCode
from assay_operator.cluster.api import Api, ApiError
from assay_operator.cluster.crd import WrongDefinition, check_definition
from assay_operator.controller import Controller, measure_lag
from assay_operator.kinds import KINDS
from assay_operator.objects.kind import Kinds
from assay_operator.process import logs
from assay_operator.process.health import Health
from assay_operator.process.leader import Leader
from assay_operator.process.metrics import Metrics
from assay_operator.process.probes import Endpoints
from assay_operator.settings import Settings, SettingsError, from_environment

log = logging.getLogger(__name__)

RESTART = 1
CONNECTIONS = 32


def main(kinds: Kinds = KINDS) -> None:
    """Run an operator of these kinds of resource; the process's exit code tells how it ended."""
    try:
        settings = from_environment()
    except SettingsError as error:
        print(f"assay-operator: {error}", file=sys.stderr)
        sys.exit(ExitCode.INVALID_INPUT)
    logs.set_up(settings.log_format, settings.log_level)
    try:
        code = asyncio.run(run(settings, kinds))
    except (WrongDefinition, ApiError, ConfigException) as error:
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
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    health = Health(time.monotonic, settings.resync_seconds)
    endpoints = Endpoints(health, metrics, settings.probe_port, settings.metrics_port)
    ports = await endpoints.start()
    log.info("started", extra={"identity": settings.identity, **{k: str(v) for k, v in ports.items()}})
    lag = asyncio.create_task(measure_lag(metrics), name="lag")
    try:
        configuration = await load_configuration()
        async with ApiClient(configuration) as client:
            return await _lead(client, kinds, settings, metrics, health, stop)
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
    api = Api(client, metrics.failed)
    for kind in kinds:
        await check_definition(api, kind.custom)

    def lost() -> None:
        api.fenced = True
        metrics.leader.set(0)

    async def lead() -> None:
        health.role = "leader"
        metrics.leader.set(1)
        await Controller(api, client.configuration, kinds, settings, metrics, health).run(stop)

    health.role = "standby"
    kept = await Leader(client, settings, lost).run(lead, stop)
    return 0 if kept else RESTART


if __name__ == "__main__":
    main()
