"""One cluster with the chart installed for all end-to-end tests, and a namespace of its own for each module or test."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import shown
from tests.e2e.data import upload
from tests.e2e.place import RELEASE, SYSTEM, Place, Room, given_kubeconfig, given_place, lab_place
from tests.lab import LabError, step


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster with both images and the data within its reach: the lab's, or the one that the environment names."""
    given = given_kubeconfig()
    with ExitStack() as stack:
        with shown(request):
            found = given_place(given, tmp_path_factory.mktemp("cluster")) if given else lab_place()
            place = stack.enter_context(found)
        upload(place.s3)
        yield place


@pytest.fixture(scope="session")
def place(cluster: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    """That cluster with the chart installed by helm, in a namespace that enforces `restricted`."""
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    cluster.kubectl.attempt("create", "namespace", SYSTEM)
    cluster.kubectl("label", "namespace", SYSTEM, "--overwrite", *labels)
    try:
        with shown(request), step("installing the chart"):
            cluster.install()
    except LabError as error:
        pods = cluster.kubectl("describe", "pods", "--namespace", SYSTEM)
        pytest.fail(f"{error}\n{pods}\n{cluster.operator_log()}")
    yield cluster
    if cluster.lab is None:
        cluster.kubectl.attempt("delete", "audits", "--all", "--all-namespaces")
        cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found")


def named_after(request: pytest.FixtureRequest) -> str:
    """A namespace's name made of a test's or a module's."""
    name = request.node.name.removesuffix(".py").removeprefix("test_")
    return "e2e-" + re.sub(r"[^a-z0-9]+", "-", name.lower())[:50].strip("-")


@pytest.fixture
def room(place: Place, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A namespace of the test's own."""
    made = Room.make(place, named_after(request))
    yield made
    place.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture(scope="module")
def shared(place: Place, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A namespace that the tests of a module share."""
    made = Room.make(place, named_after(request))
    yield made
    place.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a failure, print what a person would ask the cluster for."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        rooms = {r.name: r for r in item.funcargs.values() if isinstance(r, Room)}
        for room in rooms.values():
            try:
                report.sections.append((f"namespace {room.name}", room.explain()))
            except LabError as error:
                report.sections.append((f"namespace {room.name}", f"could not be explained: {error}"))
    return report
