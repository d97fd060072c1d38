"""What GitOps tools make of resources, by their own code, and what their resources must look like.

Argo CD, kstatus and Flux are Go: a small program of ours links them (`judges/main.go`), built once and cached as every
other program of the lab. Definitions of their resources come out of the same modules.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import LabError, digest_of
from tests.lab.toolchain import cached, go, go_program, staged

__all__ = ["Judged", "Said", "judge", "module_file", "program"]

SOURCE = Path(__file__).parent / "judges"
Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What one tool makes of a resource: its status in the tool's word, and a message."""

    status: str
    message: str


@dataclass(frozen=True)
class Judged:
    """What all of them make of one; `drift` is empty where Git and the cluster say the same."""

    argo: Said
    kstatus: Said
    flux: Said
    drift: str


@functools.cache
def program() -> Path:
    """Return the program, built from the tools' modules."""
    if brought := staged("bin", "judges"):
        return brought / "judges"
    flags = ("-buildvcs=false", "-trimpath", "-ldflags", "-s -w")

    def make(folder: Path) -> None:
        what = "the judges of GitOps tools (about 2 minutes)"
        go(what, "build", *flags, "-o", str(folder / "judges"), ".", cwd=SOURCE)

    return cached("bin", "judges", digest_of([SOURCE, *flags]), make) / "judges"


def judge(
    resources: Sequence[Raw],
    *,
    argo: Mapping[str, str],
    flux: Sequence[Raw],
    desired: Sequence[Raw] = (),
) -> list[Judged]:
    """What the tools make of resources.

    Args:
        resources: as the API server has them.
        argo: health checks in Lua by `group_Kind`.
        flux: healthCheckExprs of a Kustomization.
        desired: what Git says of each, where drift is asked about.

    Raises:
        LabError: a script or an expression is wrong, or a tool refuses to judge.
    """
    asked = [{"live": each} for each in resources]
    for entry, said in zip(asked, desired, strict=bool(desired)):
        entry["desired"] = said
    told = json.dumps({"argo": dict(argo), "flux": list(flux), "resources": asked})
    done = subprocess.run([program()], input=told, text=True, capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise LabError(f"the judges ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return [
        Judged(Said(**one["argo"]), Said(**one["kstatus"]), Said(**one["flux"]), one["drift"])
        for one in json.loads(done.stdout)
    ]


@functools.cache
def module_file(module: str, path: str) -> Path:
    """Return a file of a Go module (`path@version`), out of the module cache."""
    done = subprocess.run(
        [go_program(module), "mod", "download", "-json", module], cwd="/", text=True, capture_output=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    told = json.loads(done.stdout or "{}")
    if "Dir" not in told:
        raise LabError(f"{module} could not be had: {told.get('Error') or done.stderr.strip()}")
    return Path(told["Dir"]) / path
