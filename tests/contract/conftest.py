"""Every backend that can run here; one that cannot is listed as not run."""

from __future__ import annotations

from functools import cache

import pytest

from assay_runner import errors
from assay_runner.backends import Backend, Built
from tests.contract.builds import SHAPES, Build, X, asked
from tests.contract.offered import OFFERED
from tests.lab import Unavailable
from tests.models import Heard, Samples, convolutions, loaded
from tests.timings import shared_by_builds


@pytest.fixture(scope="session", params=sorted(OFFERED))
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen = OFFERED[request.param]
    try:
        chosen.available()
    except errors.Unavailable as error:
        raise Unavailable(str(error)) from error
    return chosen


@pytest.fixture(scope="session")
def build(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds for batches of up to 6, shared by all tests: on a GPU builds are what costs."""

    @cache
    def made(precision: str) -> Built:
        folder = tmp_path_factory.mktemp(f"{backend.name}-{precision}")
        model, workdir = loaded(convolutions(), folder), shared_by_builds(backend, folder / "built")
        return backend.build(model, asked(backend, precision), Samples({"x": X}), workdir, Heard(), SHAPES)

    return made
