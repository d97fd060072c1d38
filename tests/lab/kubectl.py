"""kubectl bound to one cluster, for tests that say what a user would type."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import LabError
from tests.lab.credentials import write_kubeconfig
from tests.lab.processes import Server
from tests.lab.toolchain import kubectl

__all__ = ["Kubectl", "Proxy"]


class Kubectl:
    """Run kubectl against the cluster of one kubeconfig file."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    @property
    def env(self) -> dict[str, str]:
        """What any program that runs kubectl against this cluster needs in its environment."""
        # What kubectl remembers of an API server, it remembers by address: another may have had the same port before.
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.kubeconfig.parent / "kubectl-cache")}

    def attempt(
        self, *arguments: str, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended, with its output as text, whether it worked or not."""
        return subprocess.run(
            [str(kubectl()), *arguments], env={**os.environ, **self.env}, input=stdin if stdin is not None else "",
            text=True, capture_output=True, check=False, timeout=seconds,
        )  # fmt: skip

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run kubectl and return its standard output; `LabError` with its message when it fails."""
        done = self.attempt(*arguments, stdin=stdin, seconds=seconds)
        if done.returncode:
            raise LabError(f"kubectl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Return what kubectl prints with `-o json`, parsed."""
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *manifests: Mapping[str, Any], arguments: Sequence[str] = ()) -> str:
        """Apply manifests given as mappings."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return self("apply", "-f", "-", *arguments, stdin=json.dumps(listed))

    def as_service_account(self, namespace: str, name: str, folder: Path) -> Path:
        """Write to `folder` and return a kubeconfig that acts as a service account, by a token good for an hour."""
        cluster = self.json("config", "view", "--raw")["clusters"][0]["cluster"]
        authority = folder / "ca.crt"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        token = self("create", "token", name, "--namespace", namespace).strip()
        return write_kubeconfig(folder / f"{namespace}-{name}.kubeconfig", cluster["server"], authority, token)


class Proxy:
    """`kubectl proxy`: looking again and again through it does not take the CPU from what is looked at.

    Args:
        kubeconfig: of any cluster, with whatever credentials.
        log: where it writes.
    """

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.kubeconfig, self.log = kubeconfig, log

    def __enter__(self) -> Proxy:
        env = {**os.environ, **Kubectl(self.kubeconfig).env}
        self.server = Server([kubectl(), "proxy", "--port=0"], self.log, env)
        try:
            self.server.wait_ready(lambda: self._port() is not None)
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def _port(self) -> int | None:
        said = re.search(r"serve on 127\.0\.0\.1:(\d+)\n", self.log.read_text())
        return int(said[1]) if said else None

    def json(self, path: str, **query: str) -> Any:
        """Return the JSON that the API server answers; `LabError` with its message when it refuses."""
        asked = urllib.parse.urlencode({key: value for key, value in query.items() if value})
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=60)
        try:
            connection.request("GET", f"{path}?{asked}")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise LabError(f"GET {path}: {answer.status}: {body[:500].decode(errors='replace')}")
        return json.loads(body)
