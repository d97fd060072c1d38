"""A backend that computes several nodes as one layer and shows nothing inside it, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from assay_runner.backends import Backend, Built, Segment, Session
from assay_runner.backends.onnxruntime import OnnxRuntime
from assay_runner.errors import InvalidInput
from assay_runner.evidence import FusedLayer
from assay_runner.passes.budgets import DEFAULT, Budgets
from assay_runner.passes.host import HostComparison


class Kept(HostComparison):
    """Compares the tensors between layers; a device knows them before it has run."""

    def __init__(
        self,
        backend: Backend,
        built: Built,
        session: Session,
        local: bool,
        budgets: Budgets,
        stack: ExitStack,
        kept: Collection[str],
        fused: Collection[str],
    ) -> None:
        """`kept`: what the session shows; `fused`: what is never made."""
        super().__init__(backend, built, session, local, budgets, stack)
        self._kept, self._fused = frozenset(kept), frozenset(fused)

    @property
    def shown(self) -> frozenset[str]:
        """What is kept."""
        return self._kept

    @property
    def fused(self) -> frozenset[str]:
        """What is not."""
        return self._fused


class Fusing(OnnxRuntime):
    """Fuses the layers it is told to, and splits them by another build."""

    def __init__(self, layers: Mapping[str, tuple[str, ...]], split: Built | None = None) -> None:
        """Tensors inside a layer, by the tensor that it makes; `split`: what is run where one is split.

        Without `split` the nodes compute apart what they compute as one.
        """
        self._layers, self._other = layers, split

    @contextmanager
    def open_comparison(self, built: Built, *, local: bool, whole: bool = False) -> Iterator[Kept]:
        """What lies between the layers, or with them split."""
        fused = frozenset(name for inner in self._layers.values() for name in inner if not whole)
        split = OnnxRuntime() if whole else self
        with self._opened((self._other if whole else None) or built, fused, local, split) as kept:
            yield kept

    @contextmanager
    def segments(
        self, built: Built, shared: Mapping[str, int], limit: int, golden: Built | None = None
    ) -> Iterator[tuple[Segment, ...]]:
        """Of what lies between the layers."""
        inside = {name for inner in self._layers.values() for name in inner}
        kept = {name: size for name, size in shared.items() if name not in inside}
        with super().segments(built, kept, limit, golden) as segments:
            yield segments

    def fused_layer(self, built: Built, tensor: str) -> FusedLayer | None:
        """As it was told."""
        inner = self._layers.get(tensor)
        return FusedLayer((f"fused-{tensor}",), inner) if inner else None

    @contextmanager
    def open_inside(self, built: Built, tensor: str) -> Iterator[Kept]:
        """The other build, or the same, with what is inside the one layer."""
        if tensor not in self._layers:
            raise InvalidInput(f"no fused layer makes {tensor}")
        others = frozenset(name for made, inner in self._layers.items() if made != tensor for name in inner)
        with self._opened(self._other or built, others, True, OnnxRuntime()) as split:
            yield split

    @contextmanager
    def _opened(self, built: Built, fused: frozenset[str], local: bool, cut: Backend) -> Iterator[Kept]:
        sites = {site.tensor for site in self.sites(built)}
        with ExitStack() as stack:
            session = stack.enter_context(self.open_tapped(built, sites - fused))
            yield Kept(cut, built, session, local, DEFAULT, stack, sites - fused, fused & sites)
