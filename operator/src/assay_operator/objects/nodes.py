"""The GPUs of a cluster, as the labels of its nodes show them (NVIDIA's GPU feature discovery writes these)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from assay_api.names import LABEL_GPU_PRODUCT

_FULL: Final = "nvidia.com/cuda.driver-version.full"
_PARTS: Final = ("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev")


@dataclass(frozen=True, order=True)
class Gpu:
    """A GPU product that nodes have.

    Attributes:
        product: as in the label.
        driver: version of the driver; several, joined by commas, where nodes differ; nothing where none tells.
        nodes: how many nodes.
    """

    product: str
    driver: str = ""
    nodes: int = 0


@dataclass(frozen=True)
class Gpus:
    """Every product of the cluster, by name.

    Attributes:
        products: what there is.
        refused: the API server's words, where the nodes may not be listed.
    """

    products: tuple[Gpu, ...] = ()
    refused: str = ""

    def __bool__(self) -> bool:
        """Whether anything was told."""
        return bool(self.products or self.refused)


def gpus_of(labels: Iterable[Mapping[str, str]]) -> tuple[Gpu, ...]:
    """The products of some nodes, from their labels."""
    found: dict[str, list[str]] = {}
    for each in labels:
        if product := each.get(LABEL_GPU_PRODUCT):
            found.setdefault(product, []).append(_driver(each))
    return tuple(
        Gpu(product, ",".join(sorted({driver for driver in drivers if driver})), len(drivers))
        for product, drivers in sorted(found.items())
    )


def _driver(labels: Mapping[str, str]) -> str:
    return labels.get(_FULL) or ".".join(filter(None, (labels.get(part, "") for part in _PARTS)))
