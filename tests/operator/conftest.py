from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.proxy import Proxy
from tests.operator.kubelet import Kubelet
from tests.operator.lab import Namespace, Operator, install, running

numbers = count(1)


@pytest.fixture(scope="package")
def bare_api() -> Iterator[ApiServer]:
    """An API server without controllers: the tests play the Job controller and the kubelet."""
    with ApiServer() as api:
        install(api)
        yield api


@pytest.fixture(scope="module")
def operator(bare_api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with running(bare_api, tmp_path_factory.mktemp("operator")) as operator:
        yield operator


@pytest.fixture
def namespace(bare_api: ApiServer) -> Iterator[Namespace]:
    with Namespace(bare_api.kubectl, f"team-{next(numbers)}") as namespace:
        yield namespace


@pytest.fixture
def kubelet(namespace: Namespace) -> Kubelet:
    return Kubelet(namespace)


@pytest.fixture
def proxy(bare_api: ApiServer) -> Iterator[Proxy]:
    """A way to the API server that loses, refuses and cuts what a test tells it to."""
    with Proxy(bare_api) as proxy:
        yield proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
