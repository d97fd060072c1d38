"""TensorRT: named here, so that an audit that asks for it hears what is missing instead of a wrong number."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, NoReturn

from assay_api.audit import Candidate
from assay_runner.backends.backend import Built, Capability, Piece, Session
from assay_runner.errors import Unsupported
from assay_runner.evidence import Site
from assay_runner.models import LoadedModel
from assay_runner.tensors import Batches, Progress

WAY_OUT = "`assay run --backend onnxruntime` emulates the candidate on CPU"
DRIVER = Path("/dev/nvidiactl")


class TensorRT:
    """Engines on an NVIDIA GPU."""

    name: ClassVar[str] = "tensorrt"

    def available(self) -> None:
        """Always raises in this version.

        Raises:
            Unsupported: no driver, no bindings, or building engines is not yet in this version.
        """
        self._refuse()

    def can(self, capability: Capability) -> bool:
        """Nothing yet."""
        return False

    def build(
        self,
        model: LoadedModel,
        candidate: Candidate,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
    ) -> Built:
        """See `available`."""
        self._refuse()

    def sites(self, built: Built) -> tuple[Site, ...]:
        """See `available`."""
        self._refuse()

    def random(self, built: Built) -> tuple[Site, ...]:
        """See `available`."""
        self._refuse()

    def open(self, built: Built) -> AbstractContextManager[Session]:
        """See `available`."""
        self._refuse()

    def open_tapped(self, built: Built, tensors: Collection[str] | None = None) -> AbstractContextManager[Session]:
        """See `available`."""
        self._refuse()

    def pieces(self, built: Built, shared: Mapping[str, int], limit: int) -> AbstractContextManager[tuple[Piece, ...]]:
        """See `available`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        if not DRIVER.exists():
            raise Unsupported(f"backend tensorrt needs an NVIDIA GPU and its driver, and finds neither; {WAY_OUT}")
        if importlib.util.find_spec("tensorrt") is None:
            raise Unsupported(f"backend tensorrt needs the TensorRT Python package in the runner's image; {WAY_OUT}")
        raise Unsupported(f"building TensorRT engines is not yet in this version; {WAY_OUT}")
