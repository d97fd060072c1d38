"""What a one-node cluster takes from the machine it runs on, made good where it can be.

Machines differ: control groups of either version or none mounted, a root file system on which no overlay can be laid,
no /dev/kmsg. All of it is prepared inside the cluster's own mount namespace, so nothing outside changes, but for
processes that are moved within the control groups where version 2 demands it. `python -m tests.lab.host`, as root in
such namespaces, says what it finds; what cannot be made good is one sentence.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.lab import LabError, Unavailable, gpus, toolchain
from tests.lab.control_groups import control_groups
from tests.lab.processes import run

__all__ = ["prepare", "snapshotter"]

# More than all images take, unpacked and packed, a few times over.
ROOMY_KB: Final = 12 * 1024 * 1024


def prepare() -> dict[str, str]:
    """Make good what the machine lacks, from inside the cluster's namespaces; returns what was found, by what it is.

    Raises:
        Unavailable: something is missing that cannot be made good.
    """
    return {name: check() for name, check in CHECKS.items()}


def mounts() -> str:
    """Hide /run, as the node does."""
    try:
        run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    except LabError as error:
        raise Unavailable(f"a cluster of one's own needs to mount: {error.last}") from None
    return "a tmpfs of one's own on /run"


def network() -> str:
    """Try what a pod's network is made of: a bridge, and a cable with two ends."""
    ip = program("ip", "iproute2")
    made = {"a bridge": ["type", "bridge"], "a veth pair": ["type", "veth", "peer", "name", "assay-try2"]}
    for what, words in made.items():
        try:
            run([ip, "link", "add", "assay-try1", *words])
            run([ip, "link", "delete", "assay-try1"])
        except LabError as error:
            raise Unavailable(f"pods need a network, and this kernel makes no {what[2:]}: {error.last}") from None
    return "bridge and veth"


def kernel_log() -> str:
    """See to it that the kubelet can open the kernel's log, which it does not start without."""
    log = Path("/dev/kmsg")
    with contextlib.suppress(OSError), log.open("rb"):
        return "there"
    with contextlib.suppress(OSError, LabError):
        if not log.exists():
            log.touch()
        run(["mount", "--bind", "/dev/null", log])
        return "an empty one"
    raise Unavailable("the kubelet needs /dev/kmsg, and it can be neither opened nor made here")


def container() -> str:
    """Run one program in a container: what runc asks of a kernel shows nowhere else."""
    runc = program("runc", "runc")
    with tempfile.TemporaryDirectory(prefix="assay-try-") as name:
        bundle = Path(name)
        (bundle / "rootfs").mkdir()
        shutil.copy(toolchain.device_plugin(), bundle / "rootfs" / "program")
        try:
            run([runc, "--root", bundle / "state", "spec", "--bundle", bundle])
            described = json.loads((bundle / "config.json").read_text())
            described["process"] |= {"args": ["/program", "-h"], "terminal": False}
            described["linux"]["cgroupsPath"] = f"/{bundle.name}"
            (bundle / "config.json").write_text(json.dumps(described))
            run([runc, "--root", bundle / "state", "run", "--bundle", bundle, bundle.name])
        except LabError as error:
            raise Unavailable(f"runc starts no container here: {error.last}") from None
    return run([runc, "--version"]).splitlines()[0]


def program(name: str, package: str) -> str:
    """Where a program is."""
    found = toolchain.find(name)
    if not found:
        raise Unavailable(f"there is no {name} here, and none was brought along: install {package}")
    return str(found)


def snapshotter(folder: Path) -> str:
    """How containerd may lay out images in `folder`: as overlays, and in memory where there is plenty.

    A gigabyte of small files takes a disk half a minute to write and to delete, and a tmpfs no time. Some file systems
    bear no overlay, and a tmpfs does.
    """
    available = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "Available" in line
    )
    if available >= ROOMY_KB:
        with contextlib.suppress(LabError):
            run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "tmpfs", folder])
    return "overlayfs" if overlays(folder) else "native"


def overlays(folder: Path) -> bool:
    """Tell whether an overlay can be mounted in a folder."""
    with tempfile.TemporaryDirectory(prefix=".overlay-", dir=folder) as name:
        at = Path(name)
        for part in ("lower", "upper", "work", "whole"):
            (at / part).mkdir()
        options = f"lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work"
        argv = ["mount", "-t", "overlay", "-o", options, "overlay", f"{at}/whole"]
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            return False
        run(["umount", at / "whole"])
    return True


CHECKS: Final[dict[str, Callable[[], str]]] = {
    "mounts": mounts,
    "control groups": control_groups,
    "network": network,
    "kernel log": kernel_log,
}


def images() -> str:
    """How images would be laid out in the folder of temporary files."""
    with tempfile.TemporaryDirectory(prefix="assay-try-", ignore_cleanup_errors=True) as name:
        return snapshotter(Path(name))


def machine() -> str:
    """What it is."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(memory["MemAvailable"].split()[0]) * 1024
    room = f"{available / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB of {tempfile.gettempdir()} free"
    return f"Linux {os.uname().release}, {os.cpu_count()} processors, {room}"


def cards() -> str:
    """Its GPUs; none is not amiss, for a stand-in serves."""
    try:
        found = gpus.here()
    except Unavailable as error:
        return str(error)
    nodes = " ".join([*(gpu.source for gpu in found.devices), *found.shared])
    return f"{len(found.devices)} of {found.label}, driver {found.driver}, {nodes}; {' '.join(sorted(found.libraries))}"


def main() -> int:
    """Say what there is: for a look at a machine before anything is started."""
    missing = 0
    checks = {"machine": machine, **CHECKS, "runc": container, "images": images, "GPUs": cards}
    for name, check in checks.items():
        try:
            found = check()
        except Unavailable as error:
            missing, found = missing + 1, f"MISSING: {error}"
        print(f"{name}: {found}", flush=True)
    return 69 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
