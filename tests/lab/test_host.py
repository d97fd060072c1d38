"""What a node makes good, in namespaces where it is missing."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import Unavailable
from tests.lab.cluster import NAMESPACES, ROOT


def findings(*first: str) -> tuple[int, dict[str, str]]:
    """Exit code and findings of `python -m tests.lab.host`, after these shell commands in its namespaces."""
    if os.geteuid() != 0:
        raise Unavailable("namespaces of one's own need root: run as root")
    script = " && ".join([*first, f"exec {shlex.quote(sys.executable)} -m tests.lab.host"])
    argv = ["unshare", *NAMESPACES, "sh", "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, dict(line.split(": ", 1) for line in done.stdout.splitlines())


def test_this_machine_can_run_a_node() -> None:
    code, found = findings()
    assert code == 0, found
    told = ["machine", "mounts", "control groups", "network", "kernel log", "runc", "images", "GPUs"]
    assert list(found) == told
    assert found["runc"].startswith("runc version")


@pytest.mark.parametrize("first", ["umount --recursive /sys/fs/cgroup", "mount -t tmpfs -o ro tmpfs /sys/fs/cgroup"])
def test_control_groups_that_nobody_mounted_are_mounted(first: str) -> None:
    code, found = findings(first)
    assert code == 0, found
    assert found["control groups"].endswith("mounted for this cluster")


def test_a_kernel_log_that_is_not_there_is_an_empty_one(tmp_path: Path) -> None:
    hidden = [f"mount -t tmpfs tmpfs {tmp_path}"]
    nodes = [f"cp -a /dev/{name} {tmp_path}/" for name in ("null", "zero", "full", "random", "urandom", "tty")]
    code, found = findings(*hidden, *nodes, f"mount --move {tmp_path} /dev")
    assert found["kernel log"] == "an empty one", (code, found)


@pytest.mark.parametrize(
    ("spoil", "what", "says"),
    [
        ("umount $(awk '$3 ~ /^cgroup/ && $4 ~ /memory/ {print $2}' /proc/mounts)", "control groups", "not memory"),
        ("mount --bind /dev/null $(command -v runc || echo /usr/sbin/runc)", "runc", "runc"),
    ],
)
def test_what_cannot_be_made_good_is_one_sentence(spoil: str, what: str, says: str) -> None:
    code, found = findings(spoil)
    assert code == 69, found
    assert found[what].startswith("MISSING: ")
    assert says in found[what]
    assert "\n" not in found[what]
