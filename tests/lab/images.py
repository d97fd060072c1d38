"""Images built by buildah on the lab's own Debian base, without a registry.

Each ends as a docker archive under the cache, for `Cluster.load_image`. Where public images can be pulled, `BASE_IMAGE`
names another base; nothing else changes. What an image is made of is remembered with it (`tests/lab/recipes.py`): to go
through all steps of a build, each of which buildah has in its own cache, takes it seconds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab import LabError, Unavailable, cache_dir, step, toolchain
from tests.lab.bases import BASE_TAG, base
from tests.lab.processes import on_overlay, run
from tests.lab.recipes import recipe

__all__ = ["OURS", "build", "default_base", "tidy"]

ROOT = Path(__file__).parents[2]
HOST_CA = "/run/host-ca.crt"
# The names that the chart takes where it is told no others.
OURS = {"localhost/assay-operator:0.1.0": "operator/Dockerfile", "localhost/assay-runner:0.1.0": "Dockerfile.runner"}


def buildah(*arguments: str | Path) -> str:
    """Run buildah on a storage of our own; the mounts it leaves end with it."""
    storage = cache_dir("containers")
    driver = "vfs" if on_overlay(storage) else "overlay"
    with tempfile.TemporaryDirectory(prefix="assay-buildah-") as state:
        where: list[str | Path] = ["--root", storage, "--runroot", state, "--storage-driver", driver]
        return run(["unshare", "--mount", "buildah", *where, *arguments])


def require_buildah() -> None:
    """Raise `Unavailable` unless images can be built here."""
    if os.geteuid() != 0:
        raise Unavailable("building images without a container engine needs root: run as root")
    toolchain.require_mounts()
    toolchain.debian("buildah")


def default_base() -> str:
    """Return the base that images are built on: `$BASE_IMAGE`, else the debootstrap one, which this imports."""
    if name := os.environ.get("BASE_IMAGE"):
        return name
    archive = base()
    forget_older(archive.parent, "base")
    with toolchain.locked("buildah"):
        try:
            buildah("inspect", "--type", "image", BASE_TAG)
        except LabError:
            with step("importing the base image"):
                buildah("pull", f"docker-archive:{archive}")
    return BASE_TAG


def build(dockerfile: Path, tag: str, build_args: Mapping[str, str] | None = None, context: Path = ROOT) -> Path:
    """Build an image and return its docker archive; unchanged steps come from buildah's own cache.

    Args:
        dockerfile: absolute, or relative to `context`.
        tag: such as `localhost/assay-runner:0.1.0`.
        build_args: besides BASE_IMAGE (see `default_base`), and PIP_CERT where the host trusts an authority of its own.
        context: folder that COPY reads from.

    Raises:
        Unavailable: this machine cannot build images.
        LabError: the build failed; the message ends with its output.
    """
    require_buildah()
    arguments = {"BASE_IMAGE": default_base(), **(build_args or {})}
    volumes: list[str | Path] = []
    authority = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if authority and Path(authority).is_file():
        # Beside the image's own bundle, never over it: packages in the image may replace theirs.
        volumes = ["--volume", f"{Path(authority).resolve()}:{HOST_CA}:ro"]
        arguments["PIP_CERT"] = HOST_CA
    flags = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    with toolchain.locked("buildah"):
        of_base = identity_of(arguments["BASE_IMAGE"])
        known = of_base and cache_dir("images", "recipes") / recipe(context, context / dockerfile, [of_base, *flags])
        identity = known and remembered(known, tag)
        if not identity:
            with step(f"building {tag}"):
                buildah(
                    "bud", "--isolation", "chroot", "--network", "host", "--layers", *volumes, *flags,
                    "--file", context / dockerfile, "--tag", tag, context,
                )  # fmt: skip
            identity = identity_of(tag)
            if known:
                known.write_text(identity)
    name = tag.rpartition("/")[2].replace(":", "-")

    def make(folder: Path) -> None:
        with toolchain.locked("buildah"), step(f"writing {tag} as an archive"):
            buildah("push", identity, f"docker-archive:{folder}/image.tar:{tag}")

    made = toolchain.cached("images", name, identity[:16], make)
    forget_older(made, name)
    tidy()
    return made / "image.tar"


def identity_of(image: str) -> str:
    """What names an image's content; nothing where it is not in the storage."""
    try:
        return buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", image).strip()
    except LabError:
        return ""


def remembered(known: Path, tag: str) -> str:
    """The image that was built of the same, under this tag again; nothing where there is none, or it is gone."""
    if not known.exists():
        return ""
    identity = known.read_text()
    try:
        buildah("tag", identity, tag)
    except LabError:
        return ""
    return identity


def tidy(most: int = 200) -> None:
    """Where builds left more than `most` images, steps included, remove what no tag leads to any more.

    Each version of the source leaves its layers behind: some hundred megabytes a build, tens of gigabytes in a month.
    """
    images = cache_dir("containers") / f"{'vfs' if on_overlay(cache_dir('containers')) else 'overlay'}-images"
    if not images.is_dir() or sum(1 for _ in images.iterdir()) <= most:
        return
    with toolchain.locked("buildah"), step("removing the layers of earlier images"):
        # Containers are what killed builds left; the lock says that none is at work.
        buildah("rm", "--all")
        buildah("rmi", "--prune")


def forget_older(newest: Path, name: str, keep: int = 2) -> None:
    """Delete all but the last archives of an image: each is hundreds of megabytes."""
    os.utime(newest)
    archives = sorted(newest.parent.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[keep:]:
        shutil.rmtree(old, ignore_errors=True)
