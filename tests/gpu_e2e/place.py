"""The cluster whose node has GPUs, and the images that it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.place import Place
from tests.lab import LabError, Unavailable, images, step
from tests.lab.archives import add_layer, apart, tags, together
from tests.lab.cluster import Cluster
from tests.lab.gpus import Gpus
from tests.lab.kubectl import Proxy
from tests.lab.staging import OPERATOR, RUNNER, runner
from tests.lab.tensorrt_layer import tensorrt_layer
from tests.lab.toolchain import staged

__all__ = ["Images", "gpu_place", "needs_real"]

WITH_TENSORRT = RUNNER.rpartition(":")[0] + ":tensorrt"


@dataclass(frozen=True)
class Images:
    """What the cluster runs.

    Attributes:
        archives: docker archives.
        values: of the chart, where its own do not name them.
    """

    archives: list[Path]
    values: Mapping[str, str]


def needs_real(gpus: Gpus, what: str) -> None:
    """Raise `Unavailable` where the GPUs are stand-ins."""
    if not gpus.real:
        raise Unavailable(f"{what} needs an NVIDIA GPU: this machine has a stand-in")


def images_for(gpus: Gpus, scratch: Path) -> Images:
    """The operator's image and the runner's: with TensorRT where there is a GPU for it."""
    brought = staged("images")
    if not gpus.real and not brought:
        return Images([images.build(Path(dockerfile), tag) for tag, dockerfile in images.OURS.items()], {})
    parts = brought or scratch / "images"
    if not brought:
        apart([images.build(Path(images.OURS[OPERATOR]), OPERATOR), runner()], parts)
    tag = WITH_TENSORRT if gpus.real else RUNNER
    if tag not in tags(parts):
        with step("adding TensorRT to the runner's image"):
            add_layer(parts, RUNNER, tensorrt_layer(parts / "layer.fresh"), tag)
    with step("writing the images"):
        archives = [together(parts, name, scratch / f"{number}.tar") for number, name in enumerate((OPERATOR, tag))]
    repository, _, version = tag.rpartition(":")
    return Images(archives, {"runner.image.repository": repository, "runner.image.tag": version})


@contextmanager
def gpu_place(gpus: Gpus, scratch: Path) -> Iterator[Place]:
    """A one-node cluster with both images loaded, that offers these GPUs."""
    made = images_for(gpus, scratch)
    with ExitStack() as stack:
        with step("starting the cluster"):
            cluster = stack.enter_context(Cluster())
        for archive in made.archives:
            with step(f"loading {archive.name}, {archive.stat().st_size / 1e6:.0f} MB"):
                cluster.load_image(archive)
        cluster.offer(gpus)
        proxy = stack.enter_context(Proxy(cluster.kubeconfig, cluster.folder / "proxy.log"))
        yield Place(cluster.kubeconfig, cluster.s3, cluster.s3_inside, made.values, proxy, cluster)


def allocations(place: Place) -> list[str]:
    """Ids of the GPUs that containers got, one after the other."""
    if place.lab is None:
        raise LabError("only the lab's own cluster tells which GPU a container got")
    lines = (place.lab.folder / "device-plugin.log").read_text().splitlines()
    return [line.partition("[")[2].rstrip("]") for line in lines if line.endswith("]")]
