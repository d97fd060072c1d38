"""Fixtures of the lab, and the list of what this machine could not run.

A fixture or a test that raises `Unavailable` is skipped and named at the very end of the run, in a line beginning
`NOT RUN:`; a skipped test that nobody sees would be a false pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from tests.lab import Unavailable
from tests.lab.apiserver import ApiServer
from tests.lab.cluster import Cluster
from tests.lab.s3 import S3Server

NOT_RUN = "not run"
missed = pytest.StashKey[Counter[tuple[str, str]]]()


@contextmanager
def shown(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the progress of a long step reach the terminal, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield


def skip_unavailable(item: pytest.Item) -> Generator[None, object, object]:
    """Turn `Unavailable` into a skip that is remembered."""
    try:
        return (yield)
    except Unavailable as error:
        item.user_properties.append((NOT_RUN, str(error)))
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_unavailable(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from skip_unavailable(item))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[missed] = Counter()
    config.pluginmanager.register(Missed(config), "assay-not-run")


class Missed:
    """Gathers, from the reports (so from every worker), what could not run, and prints it last of all."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            file = report.nodeid.split("::")[0]
            self.config.stash[missed].update(
                (file, str(why)) for what, why in report.user_properties if what == NOT_RUN
            )

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if not hasattr(self.config, "workerinput"):
            for (file, why), count in sorted(self.config.stash[missed].items()):
                print(f"NOT RUN: {file} ({count} test{'s' * (count > 1)}): {why}")


@pytest.fixture(scope="session")
def apiserver(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """A kube-apiserver on an etcd, with garbage collection, Jobs and TTL; shared by the session: use own namespaces."""
    server = ApiServer(controllers=True)
    with shown(request):
        server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """An S3 server; shared by the session: use own buckets."""
    server = S3Server()
    with shown(request):
        server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A one-node cluster with an S3 server in its network; shared by the session: use own namespaces and buckets."""
    node = Cluster()
    with shown(request):
        node.start()
    yield node
    node.stop()
