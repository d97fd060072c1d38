"""The GPU of this machine, or the sentence that says what is missing."""

from __future__ import annotations

import pytest

from assay_runner import errors
from assay_runner.backends import BACKENDS
from tests.lab import Unavailable


@pytest.fixture(scope="session")
def gpu() -> None:
    """Engines can be built and run here.

    Raises:
        Unavailable: they cannot; listed as NOT RUN at the end.
    """
    try:
        BACKENDS["tensorrt"].available()
    except errors.Unavailable as error:
        raise Unavailable(str(error)) from error
