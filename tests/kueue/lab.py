"""Kueue's own controller beside a real API server: built from its module, with its definitions and its webhooks.

Nodes are not needed: Kueue admits by quota, and who ends the Pods of admitted Jobs is the test.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import yaml

from tests.lab import toolchain
from tests.lab.apiserver import ApiServer
from tests.lab.credentials import Credentials
from tests.lab.processes import Server, free_port

NAMESPACE: Final = "kueue-system"
HOOKS: Final = ("-batch-v1-job", "-kueue-x-k8s-io-")
# Where it looks for the certificate of its metrics, whatever its configuration says: given to it alone.
SHOWN: Final = (
    "mount -t tmpfs tmpfs /etc && mkdir -p /etc/kueue/metrics/certs && "
    'cp "$1/tls.crt" "$1/tls.key" /etc/kueue/metrics/certs && shift && exec "$@"'
)
Raw = dict[str, Any]


class Kueue:
    """A running Kueue.

    Args:
        api: with the Job controller.
    """

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def __enter__(self) -> Kueue:
        """Start it, and wait until its webhooks answer."""
        program, self.source = toolchain.kueue()
        self.folder = Path(tempfile.mkdtemp(prefix="assay-kueue-"))
        keys = Credentials.create(self.folder / "pki", ["127.0.0.1"])
        for name, made in (("tls.crt", "server.crt"), ("tls.key", "server.key")):
            shutil.copy(keys.folder / made, self.folder / name)
        self.authority = base64.b64encode(keys.authority.read_bytes()).decode()
        self.hooks, self.health = free_port(), free_port()
        self.api.kubectl("create", "namespace", NAMESPACE)
        self._define()
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        argv: list[str | Path] = ["unshare", "--mount", "--propagation=private", "sh", "-c", SHOWN, "kueue"]
        environment = {**os.environ, "KUBECONFIG": str(self.api.kubeconfig), "HOME": str(self.folder)}
        self.server = Server(
            [*argv, self.folder, program, f"--config={config}"], self.folder / "kueue.log", environment
        )
        try:
            self.server.wait_ready(self._ready, 120)
            self._hook()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; its folder goes."""
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self) -> Raw:
        return {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": NAMESPACE,
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self.health}"},
            "metrics": {"bindAddress": f"127.0.0.1:{free_port()}"},
            "webhook": {"host": "127.0.0.1", "port": self.hooks, "certDir": str(self.folder)},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "integrations": {"frameworks": ["batch/job"]},
            "featureGates": {"VisibilityOnDemand": False},
        }

    def _define(self) -> None:
        """Its definitions, with conversion where it has some."""
        crd = self.source / "config" / "components" / "crd"
        patched = {
            Path(each["path"]).name for each in yaml.safe_load((crd / "kustomization.yaml").read_text())["patches"]
        }
        made = []
        for file in sorted((crd / "bases").glob("*.yaml")):
            definition: Raw = yaml.safe_load(file.read_text())
            plural = definition["spec"]["names"]["plural"]
            if f"webhook_in_{plural}.yaml" in patched:
                webhook = {"clientConfig": self._client("/convert"), "conversionReviewVersions": ["v1"]}
                definition["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
            path = self.folder / file.name
            path.write_text(yaml.safe_dump(definition))
            made.append(f"--filename={path}")
        self.api.kubectl("apply", "--server-side", *made)
        self.api.kubectl("wait", "--for=condition=Established", *made, "--timeout=60s")

    def _hook(self) -> None:
        """Its webhooks for Jobs and for its own kinds."""
        manifests = self.source / "config" / "components" / "webhook" / "manifests.yaml"
        for configuration in yaml.safe_load_all(manifests.read_text()):
            configuration["metadata"]["name"] = f"kueue-{configuration['kind'].lower()}"
            kept = []
            for hook in configuration["webhooks"]:
                path = hook["clientConfig"]["service"]["path"]
                if any(each in path for each in HOOKS):
                    kept.append({**hook, "clientConfig": self._client(path)})
            self.api.kubectl.apply({**configuration, "webhooks": kept})

    def _client(self, path: str) -> Raw:
        return {"url": f"https://127.0.0.1:{self.hooks}{path}", "caBundle": self.authority}

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False
