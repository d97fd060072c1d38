"""Base images as docker archives, made without a registry and without a container engine.

A docker archive is a tar of layers and two JSON files; writing one is simpler than asking anybody to. The pause image
is one static program, the base a minimal Debian with Python, made by debootstrap.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab import Unavailable, digest_of, step, toolchain
from tests.lab.processes import run

__all__ = ["BASE_TAG", "PAUSE_TAG", "base", "pause"]

PAUSE_SOURCE = Path(__file__).parent / "pause" / "main.go"
PAUSE_TAG = "localhost/pause:1"
SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Nothing in an image reads them, and they are a third of a minimal Debian.
BASE_LEAVES_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
EPOCH = "1970-01-01T00:00:00Z"
BASE_DIGEST = digest_of([Path(__file__)])
# The tag says what it was made from, so that no storage ever answers with an older one.
BASE_TAG = f"localhost/assay-base:{BASE_DIGEST[:8]}"


def pause() -> Path:
    """Return a docker archive of the image that pod sandboxes are made of, tagged `localhost/pause:1`."""
    if brought := toolchain.staged("images", "pause.tar"):
        return brought

    def make(folder: Path) -> None:
        toolchain.go("the pause program", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{folder}/pause",
                     str(PAUSE_SOURCE))  # fmt: skip
        with tarfile.open(folder / "layer.tar", "w") as layer:
            layer.add(folder / "pause", "pause", filter=owned_by_root)
        write_archive(folder / "image.tar", PAUSE_TAG, folder / "layer.tar", {"Entrypoint": ["/pause"]})

    return toolchain.cached("images", "pause", digest_of([PAUSE_SOURCE, Path(__file__)]), make) / "image.tar"


def base() -> Path:
    """Return a docker archive of a minimal Debian 12 with Python 3.11, tagged `localhost/assay-base:2`.

    `$ASSAY_DEBIAN_MIRROR` names another mirror than deb.debian.org.
    """
    if os.geteuid() != 0:
        raise Unavailable("debootstrap needs root to make a base image: run as root, or set BASE_IMAGE")
    toolchain.require_mounts()
    mirror = os.environ.get("ASSAY_DEBIAN_MIRROR", "http://deb.debian.org/debian")

    def make(folder: Path) -> None:
        toolchain.debian("debootstrap", "debian-archive-keyring")
        include = f"--include={','.join(BASE_PACKAGES)}"
        keyring = "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"
        with step(f"making a Debian {SUITE} base image (about 90 s)"):
            # In a mount namespace: debootstrap mounts /proc and, when it breaks, leaves it.
            program = toolchain.find("debootstrap") or "debootstrap"
            arguments: list[str | Path] = ["--variant=minbase", include, keyring, SUITE, folder / "root", mirror]
            run(["unshare", "--mount", program, *arguments])
            for path in BASE_LEAVES_OUT:
                shutil.rmtree(folder / "root" / path, ignore_errors=True)
            with tarfile.open(folder / "layer.tar", "w") as layer:
                layer.add(folder / "root", ".", filter=no_devices)
            shutil.rmtree(folder / "root")
            environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
            write_archive(folder / "image.tar", BASE_TAG, folder / "layer.tar", environment)

    return toolchain.cached("images", "base", BASE_DIGEST, make) / "image.tar"


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
        # As many entries as layers: buildah refuses to build on anything else.
        "history": [{"created": EPOCH, "created_by": f"tests.lab ({tag})"}],
        "created": EPOCH,
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
