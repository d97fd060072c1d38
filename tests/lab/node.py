"""The inside of the one-node cluster: the first process of its own network, mount and process namespace.

`python -m tests.lab.node FOLDER API_FD S3_FD`, started by `tests.lab.cluster` through `unshare`. It starts
every component in order, says so by the file `FOLDER/ready`, and waits to be told to end. Being the first process of
its namespace, its end is everybody's: the kernel takes down what it started, containers and mounts included, even
when it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tests.lab import LabError, Unavailable, host, toolchain
from tests.lab.apiserver import answers, start_controller_manager, start_etcd
from tests.lab.credentials import Credentials, write_kubeconfig
from tests.lab.forwarder import forward
from tests.lab.gpus import RESOURCE
from tests.lab.kubectl import Kubectl
from tests.lab.node_files import (
    API_ADDRESS,
    NODE,
    NODE_ADDRESS,
    S3_PORT,
    SERVICES,
    write_containerd_files,
    write_kubelet_config,
)
from tests.lab.processes import Server, run, wait_until
from tests.lab.s3 import start_versitygw

__all__ = ["main"]

UNAVAILABLE = 69


class Node:
    """All servers of the cluster, started one after the other in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = json.loads((folder / "state.json").read_text())
        self.credentials = Credentials(folder / "pki", self.state["token"])
        self.binaries = toolchain.kubernetes()
        self.servers: list[Server] = []

    def isolate(self) -> None:
        """Hide the host's folders that the components write to, and give the node its addresses."""
        print(host.prepare(), flush=True)
        for path in ("/var/log", "/var/lib/cni", "/var/lib/kubelet"):
            private = self.folder / "hidden" / path.strip("/").replace("/", "-")
            private.mkdir(parents=True)
            Path(path).mkdir(parents=True, exist_ok=True)
            run(["mount", "--bind", private, path])
        ip = str(toolchain.find("ip"))
        run([ip, "link", "set", "lo", "up"])
        for address in (NODE_ADDRESS, API_ADDRESS):
            run([ip, "address", "add", f"{address}/32", "dev", "lo"])
        # Whatever looks for the world outside is told at once that there is none, instead of waiting for it.
        run([ip, "route", "add", "unreachable", "default"])

    def start_control_plane(self) -> None:
        """Start etcd, the API server, the controllers and the scheduler."""
        url = f"https://{NODE_ADDRESS}:443"
        credentials = self.credentials
        self.kubeconfig = write_kubeconfig(
            self.folder / "node.kubeconfig", url, credentials.authority, credentials.token
        )
        self.servers.append(start_etcd(self.binaries, self.folder, 2379, 2380))
        server = Server(
            [
                self.binaries / "kube-apiserver",
                *credentials.flags,
                "--etcd-servers=http://127.0.0.1:2379",
                "--secure-port=443",
                "--bind-address=0.0.0.0",
                f"--advertise-address={NODE_ADDRESS}",
                f"--service-cluster-ip-range={SERVICES}",
                "--authorization-mode=Node,RBAC",
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
            ],
            self.folder / "kube-apiserver.log",
        )
        self.servers.append(server)
        server.wait_ready(lambda: answers(f"{url}/readyz", credentials.authority, credentials.token))
        self.servers.append(
            start_controller_manager(self.binaries, self.folder, self.kubeconfig, credentials, controllers="*")
        )
        scheduler: list[str | Path] = [
            self.binaries / "kube-scheduler",
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
        ]
        self.servers.append(Server([*scheduler, "--secure-port=0"], self.folder / "kube-scheduler.log"))

    def start_containerd(self) -> None:
        """Start containerd and load the image that every pod's sandbox is made of."""
        programs = toolchain.containerd()
        config = write_containerd_files(self.folder)
        # It finds its shim on the PATH, and so does the shim its runc.
        env = {**os.environ, "PATH": f"{programs}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        server = Server([programs / "containerd", "--config", config], self.folder / "containerd.log", env)
        self.servers.append(server)
        ctr: list[str | Path] = [
            programs / "ctr",
            "--address",
            self.folder / "containerd.sock",
            "--namespace",
            "k8s.io",
        ]

        def listening() -> bool:
            with contextlib.suppress(LabError):
                return bool(run([*ctr, "version"]))
            return False

        server.wait_ready(listening)
        run([*ctr, "images", "import", self.state["pause"]])

    def start_kubelet(self) -> None:
        """Start the kubelet; its node is ready some seconds later."""
        config = write_kubelet_config(self.folder, self.state["cgroup"])
        self.servers.append(
            Server(
                [
                    self.binaries / "kubelet",
                    f"--kubeconfig={self.kubeconfig}",
                    f"--config={config}",
                    f"--root-dir={self.folder / 'kubelet'}",
                    f"--cert-dir={self.folder / 'kubelet-pki'}",
                    f"--hostname-override={NODE}",
                    f"--node-ip={NODE_ADDRESS}",
                ],
                self.folder / "kubelet.log",
            )
        )

    def start_device_plugin(self) -> None:
        """Start what offers GPUs to the kubelet: those that `Cluster.offer` names."""
        argv: list[str | Path] = [
            toolchain.device_plugin(),
            "-resource",
            RESOURCE,
            "-devices",
            self.folder / "gpus.json",
        ]
        self.servers.append(Server(argv, self.folder / "device-plugin.log"))

    def start_s3(self) -> None:
        """Start the S3 server on the node's address, where pods reach it."""
        keys = (self.state["s3"]["access_key"], self.state["s3"]["secret_key"])
        log, data = self.folder / "versitygw.log", self.folder / "s3"
        self.servers.append(start_versitygw(toolchain.versitygw(), data, log, NODE_ADDRESS, S3_PORT, keys))

    def wait_ready(self) -> None:
        """Wait until a pod could be scheduled and started."""
        kubectl = Kubectl(self.kubeconfig)
        condition = '{.status.conditions[?(@.type=="Ready")].status}'

        def ready() -> bool:
            self.check()
            node = kubectl.attempt("get", "node", NODE, "-o", f"jsonpath={condition}")
            account = kubectl.attempt("get", "serviceaccount", "default")
            return node.stdout == "True" and account.returncode == 0

        wait_until(ready, "node ready", 90, every=0.3)

    def check(self) -> None:
        """Raise `LabError` if a server has ended by itself."""
        for server in self.servers:
            server.wait_ready(lambda: True, seconds=0)

    def reap(self) -> None:
        """Collect the orphans that the kernel gave to this first process (containerd's shims among them)."""
        own = {server.pid for server in self.servers}
        with contextlib.suppress(ChildProcessError):
            while (state := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and state.si_pid not in own:
                os.waitpid(state.si_pid, 0)


def main(folder: Path, api: int, s3: int) -> int:
    """Run the cluster until SIGTERM, or until one of its servers ends."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    node = Node(folder)
    try:
        node.isolate()
        node.start_control_plane()
        node.start_containerd()
        node.start_kubelet()
        node.start_device_plugin()
        node.start_s3()
        forward({api: (NODE_ADDRESS, 443), s3: (NODE_ADDRESS, S3_PORT)})
        node.wait_ready()
        (folder / "ready").touch()
        while not stopping.wait(1):
            node.reap()
            node.check()
    except Unavailable as error:
        (folder / "unavailable").write_text(str(error))
        return UNAVAILABLE
    except LabError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
