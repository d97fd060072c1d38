"""Control groups for a node, of either version: mounted where nobody has, handed on where they stick."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from tests.lab import LabError, Unavailable
from tests.lab.processes import run

__all__ = ["control_groups"]

GROUPS: Final = Path("/sys/fs/cgroup")
NEEDED: Final = ("cpu", "memory", "pids")
BUSY_LEAF: Final = "assay-outside"


def control_groups() -> str:
    """See to it that control groups are mounted, can be written, and count memory, processors and processes."""
    kind = run(["stat", "--file-system", "--format=%T", GROUPS]).strip() if GROUPS.is_dir() else ""
    if kind == "cgroup2fs":
        return second_version()
    mounted = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    # What lies hidden under another mount is in the list too.
    seen = [fields for fields in mounted if fields[2] == "cgroup" and (Path(fields[1]) / "cgroup.procs").exists()]
    named = {option for fields in seen for option in fields[3].split(",")}
    if set(NEEDED) <= named:
        return "version 1"
    if {"memory", "pids"} & named:
        lack = ", ".join(sorted(set(NEEDED) - named))
        raise Unavailable(f"control groups of version 1 are mounted, but not {lack}: mount it below {GROUPS}")
    return mounted_anew()


def mounted_anew() -> str:
    """Mount control groups where nobody has."""
    known = [line.split() for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
    enabled = [fields[0] for fields in known if fields[3] == "1"]
    if {*NEEDED, "devices"} <= set(enabled):
        with contextlib.suppress(LabError):
            run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", GROUPS])
            for name in enabled:
                (GROUPS / name).mkdir()
                run(["mount", "-t", "cgroup", "-o", name, name, GROUPS / name])
            return "version 1, mounted for this cluster"
    try:
        run(["mount", "-t", "cgroup2", "cgroup2", GROUPS])
    except LabError as error:
        raise Unavailable(f"a cluster needs control groups, and this kernel mounts none: {error.last}") from None
    return f"{second_version()}, mounted for this cluster"


def second_version() -> str:
    """Hand the controllers of version 2 to the groups below its root."""
    if not os.access(GROUPS / "cgroup.subtree_control", os.W_OK):
        with contextlib.suppress(LabError):
            run(["mount", "-o", "remount,rw", GROUPS])
    there = (GROUPS / "cgroup.controllers").read_text().split()
    if lack := set(NEEDED) - set(there):
        raise Unavailable(f"control groups of version 2 lack {', '.join(sorted(lack))}: delegate all controllers")
    wanted = " ".join(f"+{name}" for name in there if name in (*NEEDED, "cpuset", "io", "hugetlb"))
    try:
        try:
            (GROUPS / "cgroup.subtree_control").write_text(wanted)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # A group that is not the machine's root hands on its controllers only once no process is in it.
            empty(GROUPS)
            (GROUPS / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        raise Unavailable(f"control groups of version 2 cannot be written: {error.strerror}; delegate them") from None
    return "version 2"


def empty(group: Path) -> None:
    """Move every process of a group into one below it."""
    leaf = group / BUSY_LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (leaf / "cgroup.procs").write_text(pid)
