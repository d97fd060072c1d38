"""A backend whose builds are dear, on ONNX Runtime: it keeps them, and shares what it has timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from assay_runner.backends import Built, Session
from assay_runner.backends.backend import NOTHING
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.backends.order import BuildOrder
from assay_runner.backends.seams import KEPT, SHARED
from assay_runner.models.loading import LoadedModel
from assay_runner.tensors import Batches, Extents, Progress

FILE = "timing.cache"


class Dear(OnnxRuntime):
    """ONNX Runtime as if its builds were dear: it counts them, and times a layer per precision unless SHARED knows it.

    Attributes:
        built: builds that found nothing kept.
        timed: layers that were timed.
    """

    def __init__(self, device: str = "gpu") -> None:
        self.device = device
        self.built: list[str] = []
        self.timed: list[str] = []

    def identity(self) -> str:
        return self.device

    def merge(self, ours: Path, theirs: Path) -> None:
        ours.write_text("".join(f"{line}\n" for line in dict.fromkeys((*lines(ours), *lines(theirs)))))

    def build(
        self,
        model: LoadedModel,
        order: BuildOrder,
        calibration: Batches | None,
        workdir: Path,
        progress: Progress,
        shapes: Mapping[str, Extents] = NOTHING,
    ) -> Built:
        kept, timings = workdir / KEPT / "engine.plan", workdir / SHARED / FILE
        for file in (kept, timings):
            file.parent.mkdir(parents=True, exist_ok=True)
        if not kept.is_file():
            self.built.append(str(order.precision))
            self.time(timings, str(order.precision))
            kept.write_text("plan")
        return super().build(model, order, calibration, workdir, progress, shapes)

    def time(self, timings: Path, layer: str) -> None:
        known = lines(timings)
        if layer not in known:
            self.timed.append(layer)
            timings.write_text("".join(f"{line}\n" for line in (*known, layer)))


def lines(path: Path) -> list[str]:
    """Layers that a file knows; none where the file is not there or not whole."""
    content = path.read_bytes() if path.is_file() else b""
    return content.decode(errors="replace").split("\n")[:-1] if content.endswith(b"\n") else []


class Growing(Dear):
    """Times one more layer whenever a session is opened, as the probes of a check do."""

    @contextmanager
    def open(self, built: Built) -> Iterator[Session]:
        self.time(built.folder / SHARED / FILE, "probe")
        with super().open(built) as session:
            yield session
