"""Debian's programs, made to run on another distribution: each with the libraries that it needs beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from tests.lab import LabError, toolchain
from tests.lab.processes import run

__all__ = ["copy_programs"]

PROGRAMS: Final = ("ip", "openssl", "runc")
PLUGINS: Final = ("bridge", "host-local", "loopback")
PACKAGES: Final = ("iproute2", "openssl", "runc", "containernetworking-plugins", "patchelf")
# The C library's own parts come from where a program runs; they must be no older than here.
SYSTEM: Final = re.compile(r"(ld-linux|libc|libm|libdl|libpthread|librt|libresolv)[-.]")


def copy_programs(target: Path) -> None:
    """Copy into `target` what the node runs and a machine without network may lack; libraries go to `target/lib`."""
    toolchain.debian(*PACKAGES)
    (target / "lib").mkdir(parents=True)
    found = [toolchain.find(name) for name in PROGRAMS] + [Path("/usr/lib/cni") / name for name in PLUGINS]
    for path in filter(None, found):
        copy = target / path.name
        shutil.copy(path.resolve(), copy)
        copy.chmod(0o755)
        needs = libraries(copy)
        for library in needs:
            shutil.copy(library.resolve(), target / "lib" / library.name)
        if needs:
            run(["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN/lib", copy])
    for library in (target / "lib").iterdir():
        run(["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN", library])


def libraries(program: Path) -> list[Path]:
    """Libraries that a program loads, but for the C library."""
    told = run(["ldd", program])
    if "not found" in told:
        raise LabError(f"{program.name} lacks a library here:\n{told}")
    paths = [Path(path) for path in re.findall(r"=> (/\S+)", told)]
    return [path for path in paths if not SYSTEM.match(path.name)]
