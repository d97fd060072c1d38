"""A real one-node Kubernetes, from API server to kubelet and containerd, in namespaces of its own.

Nothing of it touches the host's network, mounts or processes, so several can run side by side and none leaves
anything behind. The host reaches its API and its S3 server through two ports on the loopback address, so kubectl, helm
and Python clients work unchanged; pods reach the S3 server at a fixed address.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import LabError, Unavailable, bases, toolchain
from tests.lab.credentials import Credentials, write_kubeconfig
from tests.lab.gpus import RESOURCE, Gpus, specification, stand_in
from tests.lab.kubectl import Kubectl
from tests.lab.node_files import API_ADDRESS, NODE, NODE_ADDRESS, S3_PORT
from tests.lab.processes import run, tail, wait_until
from tests.lab.s3 import S3Access

__all__ = ["Cluster", "sweep"]

PREFIX = "assay-cluster-"
ROOT = Path(__file__).parents[2]
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave")


def require_namespaces() -> None:
    """Raise `Unavailable` unless this process may make the namespaces that the cluster lives in."""
    if os.geteuid() != 0:
        raise Unavailable("a cluster of one's own needs root: run as root, or name a cluster by ASSAY_E2E_KUBECONFIG")
    toolchain.debian("iproute2", "runc", "containernetworking-plugins")
    toolchain.require_namespaces("a cluster of one's own needs network and mount namespaces", *NAMESPACES)


def remove(folder: Path) -> None:
    """Delete what a cluster that runs no more leaves: its cgroups and its files."""
    root = Path("/sys/fs/cgroup")
    for top in (parent / folder.name for parent in [root, *root.iterdir()]):
        # Deepest first; what goes away by itself, or by another's hand, meanwhile is no error to `os.walk`.
        for group in (Path(path) for path, _, _ in os.walk(top, topdown=False)):
            with contextlib.suppress(LabError):
                wait_until(functools.partial(is_removed, group), f"{group} empty", 5)
    shutil.rmtree(folder, ignore_errors=True)


def is_removed(group: Path) -> bool:
    """Remove a cgroup, and tell whether it is gone; it stays for the moment that its processes take to die."""
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def replace(path: Path, content: Any) -> None:
    """Write JSON in one go: whoever reads it meanwhile reads the old or the new."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(content, indent=1))
    fresh.replace(path)


def sweep() -> None:
    """Remove the folders of clusters that were killed together with the tests that had started them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # One without a state, or without a pid in it, is just being started.
        with contextlib.suppress(FileNotFoundError, ValueError):
            if "pid" in json.loads((folder / "state.json").read_text()) and not Cluster.attach(folder):
                remove(folder)


class Cluster:
    """A one-node cluster, running from `start()` to `stop()`, or as a context manager.

    Args:
        detached: let it outlive this process; whoever has its folder stops it by `Cluster.attach(folder).stop()`.

    Attributes:
        folder: its logs and data; gone when it stops.
        kubeconfig: path of an administrator's kubeconfig, good on the host.
        kubectl: kubectl bound to it.
        s3: the S3 server as the host reaches it.
        s3_inside: the same server and keys as pods reach it.
        node: the node's name.
    """

    node = NODE

    def __init__(self, *, detached: bool = False) -> None:
        self.detached = detached

    def start(self) -> Cluster:
        """Start it and wait until its node is ready; `LabError` with the logs' ends, or `Unavailable`."""
        require_namespaces()
        sweep()
        for prepare in (toolchain.kubernetes, toolchain.containerd, toolchain.device_plugin, toolchain.versitygw):
            prepare()
        pause = bases.pause()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.ExitStack() as listeners:
            api, s3 = (listeners.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
            credentials = Credentials.create(folder / "pki", ["127.0.0.1", API_ADDRESS, NODE_ADDRESS])
            state: dict[str, Any] = {
                "api": f"https://127.0.0.1:{api.getsockname()[1]}",
                "token": credentials.token,
                "s3": {
                    "endpoint": f"http://127.0.0.1:{s3.getsockname()[1]}",
                    "access_key": "lab",
                    "secret_key": secrets.token_hex(16),
                },
                "cgroup": f"/{folder.name}",
                "pause": str(pause),
            }
            write_kubeconfig(folder / "kubeconfig", state["api"], credentials.authority, credentials.token)
            self._write_state(folder, state)
            try:
                self._spawn(api, s3)
                self._wait_ready()
            except BaseException:
                self.stop()
                raise
        return self

    def _write_state(self, folder: Path, state: dict[str, Any]) -> None:
        path = folder / "state.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(state))
        self._read_state(folder)

    def _read_state(self, folder: Path) -> None:
        self.folder = folder
        self.state = json.loads((folder / "state.json").read_text())
        self.kubeconfig = folder / "kubeconfig"
        self.kubectl = Kubectl(self.kubeconfig)
        self.s3 = S3Access(**self.state["s3"])
        self.s3_inside = S3Access(**{**self.state["s3"], "endpoint": f"http://{NODE_ADDRESS}:{S3_PORT}"})

    def _spawn(self, *listeners: socket.socket) -> None:
        descriptors = [listener.fileno() for listener in listeners]
        lifeline = [] if self.detached else ["setpriv", "--pdeathsig", "KILL"]
        inner = [sys.executable, "-m", "tests.lab.node", str(self.folder), *map(str, descriptors)]
        # Importing the project's own virtual environment would only slow it; the repository's root is all it needs.
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*lifeline, "unshare", *NAMESPACES, *inner],
                cwd=ROOT, env=env, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._write_state(self.folder, {**self.state, "pid": self.process.pid})

    def _wait_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                if (said := self.folder / "unavailable").exists():
                    raise Unavailable(said.read_text())
                raise LabError(f"the cluster did not start:\n{tail(self.folder / 'node.log', 40)}")
            return (self.folder / "ready").exists()

        wait_until(ready, "the cluster ready", 180)

    @classmethod
    def attach(cls, folder: Path) -> Cluster | None:
        """Return the running cluster of `folder`, or None where none runs."""
        cluster = cls(detached=True)
        try:
            cluster._read_state(folder.resolve())
        except FileNotFoundError:
            return None
        return cluster if cluster.running() else None

    def running(self) -> bool:
        """Tell whether its processes run."""
        try:
            # unshare, outermost, lives exactly as long as what it started.
            return str(self.folder) in Path(f"/proc/{self.state['pid']}/cmdline").read_text()
        except (KeyError, OSError):
            return False

    def _first_process(self) -> int | None:
        """Return the pid, on the host, of the first process inside."""
        outer = self.state.get("pid")
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if outer and int(stat.read_text().rpartition(")")[2].split()[1]) == outer:
                    pid = int(stat.parent.name)
                    if str(self.folder) in (stat.parent / "cmdline").read_text():
                        return pid
        return None

    def stop(self) -> None:
        """Stop it and delete all it had; returns when its last process is gone. Stopping twice is harmless."""
        for kind in (signal.SIGTERM, signal.SIGKILL):
            if (first := self._first_process()) is not None:
                with contextlib.suppress(ProcessLookupError, LabError):
                    os.kill(first, kind)
                    wait_until(lambda: not self.running(), "the cluster gone", 20)
        if hasattr(self, "process"):
            self.process.wait(20)
        remove(self.folder)

    def load_image(self, archive: Path) -> None:
        """Make a docker archive's images known to the node, as `docker load` would."""
        ctr = toolchain.containerd() / "ctr"
        run([ctr, "--address", self.folder / "containerd.sock", "--namespace", "k8s.io", "images", "import", archive])

    def offer(self, gpus: Gpus) -> None:
        """Have the node offer these GPUs and no others, labelled as GPU feature discovery would."""
        specifications = self.folder / "cdi"
        specifications.mkdir(exist_ok=True)
        if gpus.devices:
            replace(specifications / "gpus.json", specification(gpus))
        replace(self.folder / "gpus.json", gpus.offered)
        self.kubectl("label", "node", NODE, "--overwrite", *(f"{k}={v}" for k, v in gpus.labels.items()))

        def offered() -> bool:
            allocatable: dict[str, str] = self.kubectl.json("get", "node", NODE)["status"]["allocatable"]
            return allocatable.get(RESOURCE, "0") == str(len(gpus.devices))

        wait_until(offered, f"{len(gpus.devices)} of {RESOURCE} on the node", 30, every=0.3)

    def advertise_gpu(self, count: int, product: str) -> None:
        """Have the node offer `count` stand-ins for GPUs of a product."""
        self.offer(stand_in(count, product))

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
