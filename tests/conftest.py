"""Fixtures of the lab, and the list of what this machine could not run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from tests import lanes
from tests.lab import not_run
from tests.lab.apiserver import ApiServer
from tests.lab.cluster import Cluster
from tests.lab.s3 import S3Server

# Tests start hundreds of processes, half of whose start would be compiling what they import, each time anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A pipeline must give the same answer twice; at a desk every run may look somewhere new. How long an example takes says
# more about what else the machine does than about us.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("pipeline", settings.get_profile("desk"), derandomize=True)
settings.load_profile("pipeline" if os.environ.get("CI") else "desk")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(not_run, "assay-not-run")
    config.pluginmanager.register(lanes, "assay-lanes")


@contextmanager
def shown(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the progress of a long step reach the terminal, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


@pytest.fixture(scope="session")
def apiserver(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """A kube-apiserver on an etcd, without controllers; shared by the session: use own namespaces."""
    with shown(request):
        server = ApiServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def controlplane(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """The same with garbage collection, Jobs, namespaces and TTL; shared by the session."""
    with shown(request):
        server = ApiServer(controllers=True).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """An S3 server; shared by the session: use own buckets."""
    with shown(request):
        server = S3Server().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A one-node cluster with an S3 server in its network; shared by a module: use own namespaces and buckets."""
    with shown(request):
        node = Cluster().start()
    yield node
    node.stop()
