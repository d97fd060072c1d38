from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

from tests.runner.engines.host_runtime import HostRuntime


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostRuntime]:
    """CUDA's runtime on host memory; what a test leaves allocated fails it."""
    made = HostRuntime()
    # The package has a function by the name of the module.
    monkeypatch.setattr(import_module("assay_runner.backends.tensorrt.device"), "runtime", lambda: made)
    yield made
    assert not made.held, "device memory is left"
