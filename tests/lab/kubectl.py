"""kubectl bound to one cluster, for tests that say what a user would type."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import LabError
from tests.lab.credentials import write_kubeconfig
from tests.lab.toolchain import kubectl

__all__ = ["Kubectl"]


class Kubectl:
    """Run kubectl against the cluster of one kubeconfig file."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def attempt(
        self, *arguments: str, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended, with its output as text, whether it worked or not."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            [str(kubectl()), *arguments], env=env, input=stdin if stdin is not None else "",
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
