"""Everything that the one-node cluster and its images take, packed for a machine without network.

Parts of at most `PART_BYTES` each, for whoever copies them one by one; `unpack.py`, beside them, puts them together
again with nothing but Python.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.lab import LabError, bases, digest_of, images, step, toolchain
from tests.lab.archives import apart
from tests.lab.processes import run
from tests.lab.programs import copy_programs

__all__ = ["PART_BYTES", "RUNNER", "stage"]

ROOT = Path(__file__).parents[2]
PART_BYTES: Final = 58_000_000
PIECE_BYTES: Final = 14_500_000
OPERATOR: Final = next(tag for tag in images.OURS if "operator" in tag)
# Before all others, so that the first part is enough for `make gpu-host`.
FIRST: Final = ("tree", "programs", "device-plugin")
# With what a runner needs for a GPU, and without TensorRT: that is added where it lies.
RUNNER: Final = "localhost/assay-runner-gpu:0.1.0"
# What a machine with CUDA and PyTorch usually lacks.
PACKAGES: Final = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions", "boto3",
                   "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six")  # fmt: skip
PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64")
# The Python of the images' base.
IMAGE_PYTHON: Final = "3.11"


def stage(target: Path, python: str = "3.12", tensorrt: str = "10.6.0.post1") -> None:
    """Write all parts into `target`, which must not hold anything else.

    Args:
        target: folder; parts go to `00`, `01` and so on, what unpacks them to `setup`.
        python: version of Python on the other machine.
        tensorrt: version of TensorRT's Python bindings that go into the image; the libraries lie on the other machine.
    """
    if target.exists() and any(target.iterdir()):
        raise LabError(f"{target} is not empty: remove it, or name another folder")
    with tempfile.TemporaryDirectory(prefix="assay-stage-") as scratch:
        packed = [pack(name, folder) for name, folder in contents(Path(scratch), python, tensorrt)]
    write({path.stem.rpartition("-")[0]: cut(path) for path in packed}, target)


def write(described: dict[str, list[tuple[str, bytes]]], target: Path) -> None:
    """Write the pieces of every archive, and beside them what puts them together again."""
    setup = target / "setup"
    setup.mkdir(parents=True)
    distribute(described, target)
    items = {
        name: [{"name": piece, "sha256": hashlib.sha256(body).hexdigest()} for piece, body in pieces]
        for name, pieces in described.items()
    }
    commit = run(["git", "-C", ROOT, "rev-parse", "HEAD"]).strip()
    (setup / "manifest.json").write_text(json.dumps({"commit": commit, "items": items}, indent=1))
    shutil.copy(Path(__file__).with_name("unpack.py"), setup)


def contents(scratch: Path, python: str, tensorrt: str) -> Iterator[tuple[str, Path]]:
    """What travels, each as a name and a folder that is laid out as it will be unpacked."""

    def laid_out(name: str) -> Path:
        folder = scratch / name
        folder.mkdir()
        return folder

    servers = {"kubernetes": toolchain.kubernetes(), "containerd": toolchain.containerd(),
               "versitygw": toolchain.versitygw().parent, "helm": toolchain.helm().parent,
               "device-plugin": toolchain.device_plugin().parent}  # fmt: skip
    for name, source in servers.items():
        shutil.copytree(source, laid_out(name) / "bin" / name, symlinks=True)
        yield name, scratch / name
    copy_programs(laid_out("programs") / "programs")
    yield "programs", scratch / "programs"
    wheels(laid_out("wheels") / "wheels", python, tensorrt)
    yield "wheels", scratch / "wheels"
    tree(laid_out("tree") / "tree")
    yield "tree", scratch / "tree"
    images_of = laid_out("images") / "images"
    apart([images.build(Path(images.OURS[OPERATOR]), OPERATOR), runner()], images_of)
    shutil.copy(bases.pause(), images_of / "pause.tar")
    for layer in sorted(images_of.glob("*.tar")):
        if layer.stat().st_size > PIECE_BYTES:
            (folder := laid_out(f"layer-{layer.name[:12]}") / "images").mkdir()
            layer.replace(folder / layer.name)
            yield folder.parent.name, folder.parent
    yield "images", scratch / "images"


def runner() -> Path:
    """The archive of the runner's image, with what it needs for a GPU and without TensorRT."""
    return images.build(Path("Dockerfile.runner"), RUNNER, {"EXTRAS": "gpu"})


def tree(folder: Path) -> None:
    """The repository as it is committed: what runs there is what was staged."""
    folder.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)


def wheels(folder: Path, python: str, tensorrt: str) -> None:
    """Download what the other machine's Python lacks, and TensorRT's bindings for the image's."""
    folder.mkdir()
    fetch = (
        [sys.executable, "-m", "pip"]
        if importlib.util.find_spec("pip")
        else [ROOT / ".uv" / "bin" / "python", "-m", "pip"]
    )
    platforms = [f"--platform={name}" for name in PLATFORMS]
    where = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--implementation=cp", *platforms]
    here = [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    run([*fetch, *where, f"--python-version={python}", "--dest", folder, *here])
    bindings = f"tensorrt-cu12-bindings=={tensorrt}"
    (folder / "image").mkdir()
    run([*fetch, *where, f"--python-version={IMAGE_PYTHON}", "--dest", folder / "image", bindings])


def pack(name: str, folder: Path) -> Path:
    """Pack a folder, once for each content."""
    digest = digest_of([*(str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))), folder])

    def make(to: Path) -> None:
        toolchain.debian("xz-utils")
        with step(f"packing {name}"):
            archive = to / f"{name}-{digest}.tar"
            run(["tar", "--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0",
                 f"--file={archive}", f"--directory={folder}", "."])  # fmt: skip
            run(["nice", "xz", "--threads=0", "-6", archive])
        (to / f"{archive.name}.xz").rename(to / f"{name}-{digest}.xz")

    packed = toolchain.cached("staged", name, digest, make) / f"{name}-{digest}.xz"
    shutil.rmtree(folder)
    return packed


def cut(path: Path) -> list[tuple[str, bytes]]:
    """Pieces of a file, with their names."""
    body = path.read_bytes()
    starts = range(0, len(body), PIECE_BYTES)
    name = path.stem.rpartition("-")[0]
    return [(f"{name}.xz.{at // PIECE_BYTES:03}", body[at : at + PIECE_BYTES]) for at in starts]


def distribute(described: dict[str, list[tuple[str, bytes]]], target: Path) -> None:
    """Write the pieces into folders of at most `PART_BYTES` each: `FIRST` first, then the largest."""
    room: list[int] = []
    first = [piece for name in FIRST for piece in described.get(name, ())]
    others = [piece for name, pieces in described.items() if name not in FIRST for piece in pieces]
    for name, body in [*first, *sorted(others, key=lambda piece: -len(piece[1]))]:
        part = fitting(room, len(body))
        folder = target / f"{part:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
        room[part] -= len(body)


def fitting(room: list[int], size: int) -> int:
    """Index of the first part with so much room left; a new one where there is none."""
    for index, left in enumerate(room):
        if left >= size:
            return index
    room.append(PART_BYTES)
    return len(room) - 1


def summary(target: Path) -> Sequence[str]:
    """Lines that say how large each part is."""
    folders = sorted(path for path in target.iterdir() if path.is_dir())
    return [f"{path} {sum(file.stat().st_size for file in path.iterdir())}" for path in folders]
