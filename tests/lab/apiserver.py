"""A real kube-apiserver on a real etcd, nothing else: all that a test of the API itself needs.

Validation, CEL rules, server-side apply, watches and status subresources are the API server's own; nothing runs pods.
Ready in a few seconds, needs no root, leaves nothing behind.
"""

from __future__ import annotations

import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.lab import toolchain
from tests.lab.credentials import Credentials, write_kubeconfig
from tests.lab.kubectl import Kubectl
from tests.lab.processes import Server, free_port

__all__ = ["ApiServer", "answers"]

# What the API's own semantics need of the controllers: owner references, Jobs, namespaces, and their expiry.
CONTROLLERS = (
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "ttl-after-finished-controller",
)


def answers(url: str, authority: Path, token: str) -> bool:
    """Tell whether an HTTPS endpoint answers 200 to a bearer of `token`."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=str(authority))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


class ApiServer:
    """A kube-apiserver of one's own on the loopback address.

    Args:
        controllers: also run a kube-controller-manager with garbage collection, Jobs, namespaces and TTL.

    Attributes:
        url: its https address.
        kubeconfig: path of an administrator's kubeconfig.
        kubectl: kubectl bound to it.
        folder: its logs and data, gone when it stops.
    """

    def __init__(self, *, controllers: bool = False) -> None:
        self.controllers = controllers
        self.servers: list[Server] = []

    def start(self) -> ApiServer:
        """Start it and wait until it is ready; `LabError` with the log's end, or `Unavailable`, when it cannot be."""
        binaries = toolchain.control_plane()
        self.folder = Path(tempfile.mkdtemp(prefix="assay-api-"))
        try:
            self._start(binaries)
            if self.controllers:
                self.start_controllers()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, binaries: Path) -> None:
        self.credentials = credentials = Credentials.create(self.folder / "pki", ["127.0.0.1", "10.96.0.1"])
        etcd, peer, port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.kubeconfig = write_kubeconfig(
            self.folder / "kubeconfig", self.url, credentials.authority, credentials.token
        )
        self.kubectl = Kubectl(self.kubeconfig)
        self.servers.append(start_etcd(binaries, self.folder, etcd, peer))
        server = Server(
            [
                binaries / "kube-apiserver",
                *credentials.flags,
                f"--etcd-servers=http://127.0.0.1:{etcd}",
                f"--secure-port={port}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--allow-privileged=true",
            ],
            self.folder / "kube-apiserver.log",
        )
        self.servers.append(server)
        server.wait_ready(lambda: answers(f"{self.url}/readyz", credentials.authority, credentials.token))

    def start_controllers(self) -> None:
        """Start the kube-controller-manager of an API server that began without.

        Garbage collection looks for new kinds every half a minute only: one that is defined before it starts is
        collected from the start.
        """
        manager, names = toolchain.kubernetes(), ",".join(CONTROLLERS)
        self.servers.append(start_controller_manager(manager, self.folder, self.kubeconfig, self.credentials, names))

    def stop(self) -> None:
        """Stop what runs, the API server before its etcd (alone it would linger), and delete its folder."""
        for server in reversed(self.servers):
            server.stop(grace=2)
        self.servers.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> ApiServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_etcd(binaries: Path, folder: Path, port: int, peer: int) -> Server:
    """Start an etcd whose data need not outlive the machine."""
    return Server(
        [
            binaries / "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{port}",
            f"--advertise-client-urls=http://127.0.0.1:{port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        ],
        folder / "etcd.log",
    )


def start_controller_manager(
    binaries: Path, folder: Path, kubeconfig: Path, credentials: Credentials, controllers: str, *flags: str
) -> Server:
    """Start a kube-controller-manager running the named controllers (comma separated; `*` for the usual ones)."""
    return Server(
        [
            binaries / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--controllers={controllers}",
            f"--service-account-private-key-file={credentials.folder / 'accounts.key'}",
            f"--root-ca-file={credentials.authority}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            *flags,
        ],
        folder / "kube-controller-manager.log",
    )
