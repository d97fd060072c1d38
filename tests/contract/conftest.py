"""Every backend that can run here; one that cannot is listed as not run."""

from __future__ import annotations

import pytest

from assay_runner import errors
from assay_runner.backends import BACKENDS, Backend
from tests.lab import Unavailable


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen = BACKENDS[request.param]
    try:
        chosen.available()
    except errors.Unavailable as error:
        raise Unavailable(str(error)) from error
    return chosen
