"""The keys and kubeconfig files of a lab's API server.

Clients verify its certificate as they would any other, so that no test runs with verification turned off: an own
authority, one server certificate for the addresses it is reached at, one key pair for service account tokens, and one
administrator's token.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.processes import run
from tests.lab.toolchain import debian, find

__all__ = ["Credentials", "write_kubeconfig"]


@dataclass(frozen=True)
class Credentials:
    """Paths of an API server's keys in `folder`, and the administrator's token."""

    folder: Path
    token: str

    @property
    def authority(self) -> Path:
        """The certificate that signs the server's."""
        return self.folder / "ca.crt"

    @property
    def flags(self) -> list[str]:
        """The kube-apiserver flags that use these keys."""
        return [
            f"--tls-cert-file={self.folder / 'server.crt'}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--service-account-key-file={self.folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
        ]

    @classmethod
    def create(cls, folder: Path, addresses: Sequence[str]) -> Credentials:
        """Make everything anew in `folder` for a server reached at the IP `addresses`."""
        debian("openssl")
        openssl = str(find("openssl"))
        folder.mkdir(parents=True)
        folder.chmod(0o700)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
        names = [*(f"IP:{a}" for a in addresses), "DNS:localhost", "DNS:kubernetes.default.svc"]
        ca = ["-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key"]
        run([
            openssl, "req", "-x509", *key, "-subj", "/CN=lab-ca", "-keyout", f"{folder}/ca.key", "-out",
            f"{folder}/ca.crt", "-addext", "keyUsage=critical,keyCertSign,digitalSignature",
        ])  # fmt: skip
        run([
            openssl, "req", "-x509", *key, *ca, "-subj", "/CN=kube-apiserver", "-keyout", f"{folder}/server.key",
            "-out", f"{folder}/server.crt", "-addext", "subjectAltName=" + ",".join(names),
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth",
        ])  # fmt: skip
        run([openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out",
             f"{folder}/accounts.key"])  # fmt: skip
        run([openssl, "pkey", "-in", f"{folder}/accounts.key", "-pubout", "-out", f"{folder}/accounts.pub"])
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f'{token},admin,1,"system:masters"\n')
        return cls(folder, token)


def write_kubeconfig(path: Path, server: str, authority: Path, token: str) -> Path:
    """Write a kubeconfig for `server` (an https URL), readable by its owner only, and return its path."""
    data = base64.b64encode(authority.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": data}}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": "default"}}],
        "current-context": "lab",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path
