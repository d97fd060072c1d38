"""Unpacks what `make gpu-stage` wrote, on a machine without network: `python3 unpack.py --to FOLDER [PART_FOLDER...]`.

The parts may lie anywhere, by default in the folders beside the one that holds this file; nothing is needed but Python.
Every piece is checked, and one that is missing is named.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

MANIFEST = "manifest.json"
HERE = Path(__file__).resolve().parent


def pieces(folders: Sequence[Path]) -> dict[str, Path]:
    """Every file of the part folders, by its name."""
    return {path.name: path for folder in folders for path in folder.iterdir() if path.is_file()}


def missing(manifest: dict[str, list[dict[str, str]]], found: dict[str, Path]) -> list[str]:
    """Names of the pieces that are not there."""
    return [piece["name"] for item in manifest.values() for piece in item if piece["name"] not in found]


def unpack(paths: Sequence[Path], digests: Sequence[str], target: Path) -> None:
    """Unpack one archive from its pieces; `ValueError` names a piece that is not what was staged."""
    packed = b"".join(_checked(path, digest) for path, digest in zip(paths, digests, strict=True))
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as archive:
        archive.extractall(target, filter="fully_trusted")


def _checked(path: Path, digest: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path} is not what was staged: copy it again")
    return content


def install(target: Path) -> None:
    """Unpack the wheels that fit this Python into `site`, for PYTHONPATH."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for wheel in fitting(sorted((target / "wheels").glob("*.whl")), tag):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target / "site")


def fitting(wheels: Sequence[Path], tag: str) -> Iterator[Path]:
    """The wheels that a Python of this tag can import."""
    for wheel in wheels:
        python, abi = wheel.name.split("-")[-3:-1]
        if "py3" in python.split(".") or tag in python.split(".") or abi == "abi3":
            yield wheel


def main(arguments: Sequence[str]) -> int:
    """Unpack everything; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder that is made, for ASSAY_STAGED")
    parser.add_argument("--only", default="", metavar="NAMES", help="archives, comma separated; else all of them")
    parser.add_argument("parts", nargs="*", type=Path, help="folders of the parts")
    asked = parser.parse_args(arguments)
    begin = time.monotonic()
    manifest = json.loads((HERE / MANIFEST).read_text())["items"]
    if asked.only:
        manifest = {name: manifest[name] for name in asked.only.split(",")}
    found = pieces(asked.parts or [path for path in HERE.parent.iterdir() if path.is_dir() and path != HERE])
    if absent := missing(manifest, found):
        print(f"Not all parts are here: {', '.join(absent)}. Copy the folders that hold them.", file=sys.stderr)
        return 66
    asked.to.mkdir(parents=True, exist_ok=True)
    try:
        with ProcessPoolExecutor() as pool:
            jobs = [
                pool.submit(unpack, [found[p["name"]] for p in item], [p["sha256"] for p in item], asked.to)
                for item in manifest.values()
            ]
            for job in jobs:
                job.result()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 65
    install(asked.to)
    print(f"{asked.to}: {len(manifest)} archives in {time.monotonic() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
