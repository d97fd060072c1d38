"""The operator's own requests, made by a test, with the rights of one kubeconfig."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.config import load_kube_config

from assay_operator.cluster.api import Api

T = TypeVar("T")


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[tuple[Api, list[tuple[str, int]]]]:
    """Our requests to an API server, and those that failed."""
    configuration = Configuration()
    load: Any = load_kube_config
    await load(config_file=str(kubeconfig), client_configuration=configuration)
    failed: list[tuple[str, int]] = []
    async with ApiClient(configuration) as client:
        yield Api(client, lambda verb, code: failed.append((verb, code))), failed


def through(kubeconfig: Path, do: Callable[[Api], Awaitable[T]]) -> T:
    """What comes of some requests, of which none may be refused unless `do` catches it."""

    async def run() -> T:
        async with connected(kubeconfig) as (requests, _):
            return await do(requests)

    return asyncio.run(run())
