"""A user's desk: kubectl finds the cluster, and there is neither a display nor anything of AWS."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.toolchain import kubectl


def with_kubectl(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the user's kubectl be there, and see the server."""
    for name, value in server.kubectl.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{kubectl().parent}{os.pathsep}{os.environ['PATH']}")


def bare(server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With kubectl, a temporary folder of the test's, and no display or AWS environment."""
    with_kubectl(server, monkeypatch)
    (folder / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    monkeypatch.setenv("ASSAY_RETRY_SECONDS", "1")
    for name in [n for n in os.environ if n.startswith("AWS_")] + ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
