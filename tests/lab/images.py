"""Images without a registry: a pause image, a Debian base made by debootstrap, and builds by buildah on that base.

Each ends as a docker archive under the cache, for `Cluster.load_image`. Where public images can be pulled, `BASE_IMAGE`
names another base; nothing else changes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab import LabError, Unavailable, cache_dir, digest_of, step, toolchain
from tests.lab.processes import run

__all__ = ["base", "build", "default_base", "pause"]

ROOT = Path(__file__).parents[2]
PAUSE_SOURCE = Path(__file__).parent / "pause" / "main.go"
PAUSE_TAG = "localhost/pause:1"
SUITE = "bookworm"
BASE_TAG = "localhost/assay-base:1"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Nothing in an image reads them, and they are a third of a minimal Debian.
BASE_LEAVES_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
HOST_CA = "/run/host-ca.crt"


def pause() -> Path:
    """Return a docker archive of the image that pod sandboxes are made of, tagged `localhost/pause:1`."""

    def make(folder: Path) -> None:
        toolchain.go("the pause program", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{folder}/pause",
                     str(PAUSE_SOURCE))  # fmt: skip
        with tarfile.open(folder / "layer.tar", "w") as layer:
            layer.add(folder / "pause", "pause", filter=owned_by_root)
        write_archive(folder / "image.tar", PAUSE_TAG, folder / "layer.tar", {"Entrypoint": ["/pause"]})

    return toolchain.cached("images", "pause", digest_of([PAUSE_SOURCE, PAUSE_TAG]), make) / "image.tar"


def base() -> Path:
    """Return a docker archive of a minimal Debian 12 with Python 3.11, tagged `localhost/assay-base:1`.

    `$ASSAY_DEBIAN_MIRROR` names another mirror than deb.debian.org.
    """
    if os.geteuid() != 0:
        raise Unavailable("debootstrap needs root to make a base image: run as root, or set BASE_IMAGE")
    mirror = os.environ.get("ASSAY_DEBIAN_MIRROR", "http://deb.debian.org/debian")

    def make(folder: Path) -> None:
        toolchain.debian("debootstrap", "debian-archive-keyring")
        include = f"--include={','.join(BASE_PACKAGES)}"
        keyring = "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"
        with step(f"making a Debian {SUITE} base image (about 90 s)"):
            # In a mount namespace: debootstrap mounts /proc and, when it breaks, leaves it.
            run(["unshare", "--mount", toolchain.find("debootstrap"), "--variant=minbase", include, keyring, SUITE,
                 folder / "root", mirror])  # fmt: skip
            for path in BASE_LEAVES_OUT:
                shutil.rmtree(folder / "root" / path, ignore_errors=True)
            with tarfile.open(folder / "layer.tar", "w") as layer:
                layer.add(folder / "root", ".", filter=no_devices)
            shutil.rmtree(folder / "root")
            environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
            write_archive(folder / "image.tar", BASE_TAG, folder / "layer.tar", environment)

    made_of = [SUITE, BASE_TAG, *BASE_PACKAGES, *BASE_LEAVES_OUT]
    return toolchain.cached("images", "base", digest_of(made_of), make) / "image.tar"


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Forget who built it and when, so that equal content is an equal layer."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def no_devices(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave device nodes out: every container runtime brings its own."""
    return None if entry.isdev() else entry


def write_archive(path: Path, tag: str, layer: Path, config: Mapping[str, object]) -> None:
    """Write a docker archive of one layer; the layer's own file goes."""
    with layer.open("rb") as file:
        diff = hashlib.file_digest(file, "sha256").hexdigest()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
    }
    text = json.dumps(image).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": [f"{diff}.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        archive.add(layer, f"{diff}.tar", filter=owned_by_root)
        for file_name, content in ((name, text), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(file_name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    layer.unlink()


def buildah(*arguments: str | Path) -> str:
    """Run buildah on a storage of our own; the mounts it leaves end with it."""
    storage = cache_dir("containers")
    driver = "vfs" if on_overlay(storage) else "overlay"
    with tempfile.TemporaryDirectory(prefix="assay-buildah-") as state:
        where = ["--root", storage, "--runroot", state, "--storage-driver", driver]
        return run(["unshare", "--mount", "buildah", *where, *arguments])


def on_overlay(folder: Path) -> bool:
    """Tell whether a folder lies on an overlay, on which no other overlay can be mounted."""
    return run(["stat", "--file-system", "--format=%T", folder]).strip() == "overlayfs"


def require_buildah() -> None:
    """Raise `Unavailable` unless images can be built here."""
    if os.geteuid() != 0:
        raise Unavailable("building images without a container engine needs root: run as root")
    toolchain.debian("buildah", "util-linux")


def default_base() -> str:
    """Return the base that images are built on: `$BASE_IMAGE`, else the debootstrap one, which this imports."""
    if name := os.environ.get("BASE_IMAGE"):
        return name
    archive = base()
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
        tag: such as `localhost/assay-runner:dev`.
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
        with step(f"building {tag}"):
            buildah(
                "bud", "--isolation", "chroot", "--network", "host", "--layers", *volumes, *flags,
                "--file", context / dockerfile, "--tag", tag, context,
            )  # fmt: skip
        identity = buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", tag).strip()
    name = tag.rpartition("/")[2].replace(":", "-")

    def make(folder: Path) -> None:
        with toolchain.locked("buildah"), step(f"writing {tag} as an archive"):
            buildah("push", identity, f"docker-archive:{folder}/image.tar:{tag}")

    made = toolchain.cached("images", name, identity[:16], make)
    forget_older(made, name)
    return made / "image.tar"


def forget_older(newest: Path, name: str, keep: int = 2) -> None:
    """Delete all but the last archives of an image: each is hundreds of megabytes."""
    os.utime(newest)
    archives = sorted(newest.parent.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[keep:]:
        shutil.rmtree(old, ignore_errors=True)
