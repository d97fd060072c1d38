"""A real S3 server over a folder: versitygw's POSIX backend.

Signatures, multipart uploads, listings, range reads and error codes are those of a server that others run in
production, not of a mock in the test's own process.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tests.lab import toolchain
from tests.lab.processes import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REGION", "S3Access", "S3Server", "start_versitygw"]

REGION = "us-east-1"


@dataclass(frozen=True)
class S3Access:
    """Where an S3 server is and the keys that open it; `repr` does not show the secret."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = REGION

    def __repr__(self) -> str:
        return f"S3Access(endpoint={self.endpoint!r}, access_key={self.access_key!r})"

    @property
    def env(self) -> dict[str, str]:
        """The environment variables by which boto3 and every AWS SDK find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, **options: Any) -> Any:
        """Return a boto3 S3 client of it; `options` go to `boto3.client`."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name=self.region, **options,
        )  # fmt: skip

    def bucket(self, name: str) -> str:
        """Create a bucket unless it exists, and return its name."""
        client = self.client()
        if name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=name)
        client.close()
        return name


def accepts(host: str, port: int) -> bool:
    """Tell whether something listens at a TCP address."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def start_versitygw(program: Path, data: Path, log: Path, host: str, port: int, access: Sequence[str]) -> Server:
    """Start versitygw over `data` and wait until it listens; `access` is (access key, secret key)."""
    # The keys go by the environment: an argument would show in every process list.
    env = {**os.environ, "ROOT_ACCESS_KEY": access[0], "ROOT_SECRET_KEY": access[1]}
    data.mkdir(parents=True, exist_ok=True)
    server = Server([program, f"--port={host}:{port}", f"--region={REGION}", "posix", data], log, env)
    try:
        server.wait_ready(lambda: accepts(host, port), seconds=60)
    except BaseException:
        server.stop()
        raise
    return server


class S3Server:
    """An S3 server of one's own on the loopback address.

    Attributes:
        access: its endpoint and keys (`access.env`, `access.client()`, `access.bucket(name)`).
        data: the folder behind it; a bucket is a folder in it, an object a file.
    """

    def start(self) -> S3Server:
        """Start it and wait until it listens."""
        program = toolchain.versitygw()
        self.folder = Path(tempfile.mkdtemp(prefix="assay-s3-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.access = S3Access(f"http://127.0.0.1:{self.port}", "lab", secrets.token_hex(16))
        self.server: Server | None = None
        try:
            self.resume(program)
        except BaseException:
            self.stop()
            raise
        return self

    def resume(self, program: Path | None = None) -> None:
        """Start it again after `pause`, with the same data, address and keys."""
        keys = (self.access.access_key, self.access.secret_key)
        log = self.folder / "versitygw.log"
        self.server = start_versitygw(program or toolchain.versitygw(), self.data, log, "127.0.0.1", self.port, keys)

    def pause(self) -> None:
        """Take the server away (connections are refused) but keep its data."""
        if self.server:
            self.server.stop()

    def stop(self) -> None:
        """Stop it and delete its data."""
        self.pause()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        """Its http address."""
        return self.access.endpoint

    @property
    def env(self) -> dict[str, str]:
        """See `S3Access.env`."""
        return self.access.env

    def client(self, **options: Any) -> Any:
        """See `S3Access.client`."""
        return self.access.client(**options)

    def bucket(self, name: str) -> str:
        """See `S3Access.bucket`."""
        return self.access.bucket(name)

    def __enter__(self) -> S3Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
