"""On what a report was made: versions, processor, image. Nothing of the user's environment variables enters it."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import Final

from assay_runner.installed import RUNNER, installed

_PACKAGES: Final = (RUNNER, "numpy", "onnx", "onnxruntime", "tensorrt")
ENV_IMAGE: Final = "ASSAY_IMAGE"


def environment() -> dict[str, str]:
    """Versions and machine, for the report."""
    found = {"python": platform.python_version(), "os": _os(), "cpu": _cpu(), "cores": str(_cores())}
    for package in _PACKAGES:
        if known := installed(package):
            found["assay" if package == RUNNER else package] = known
    image = os.environ.get(ENV_IMAGE)
    return {**found, "image": image} if image else found


@cache
def made_by() -> dict[str, str]:
    """What decides the bits of a stored result, apart from its inputs: ONNX Runtime and the runner's own sources.

    The sources and not the version alone, so that a changed checkout takes nothing that another one computed.
    """
    root = Path(__file__).resolve().parents[1]
    sources = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sources.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"assay": sources.hexdigest()[:16], "onnxruntime": environment()["onnxruntime"]}


def versions() -> str:
    """The versions that decide what comes out of a computation, in one string."""
    return " ".join(f"{name} {version}" for name, version in environment().items() if name in ("assay", "onnxruntime"))


def _os() -> str:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        name = ""
    return f"{name or platform.system()} ({platform.machine()}, {platform.release()})"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
