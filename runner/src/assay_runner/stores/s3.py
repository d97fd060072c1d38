"""s3:// URIs, at AWS or any server that speaks its protocol.

Every request goes through one gate that retries what may pass, within one budget of seconds, and turns the rest into
a sentence. botocore's own retries stay off, so that the time told is the time spent. Downloads resume where the
connection broke, as long as the object is still the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import boto3
import botocore.config
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from assay_api.audit import Storage
from assay_runner.errors import InvalidInput
from assay_runner.stores import Opening, Replaced, Stat
from assay_runner.stores.files import CHUNK, whole_file
from assay_runner.stores.patience import Patience, Transient, retry_seconds
from assay_runner.stores.s3_errors import code_of, public_endpoint, status_of, translate

T = TypeVar("T")

DEFAULT_REGION = "us-east-1"
_TRANSFER = TransferConfig(multipart_threshold=32 << 20, multipart_chunksize=16 << 20, max_concurrency=4)


def open_s3(opening: Opening) -> S3Store:
    """The store of s3:// URIs: endpoint and region of the spec, else of the AWS environment.

    Raises:
        InvalidInput: the endpoint, the profile or the CA bundle cannot be used.
    """
    seconds = retry_seconds()
    return S3Store(_client(opening.storage, seconds), Patience(seconds, notify=opening.notify))


def _client(storage: Storage, seconds: float) -> Any:
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle and not (os.path.isfile(bundle) or os.path.isdir(bundle)):
        what = "is no file" if os.path.exists(bundle) else "does not exist"
        raise InvalidInput(f"AWS_CA_BUNDLE names {bundle}, which {what}: correct it or unset it")
    environ = os.environ.get
    endpoint = storage.endpoint or environ("AWS_ENDPOINT_URL_S3") or environ("AWS_ENDPOINT_URL") or None
    # A server that hangs must not outlast the budget by much.
    timeout = max(1.0, min(10.0, seconds))
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=timeout,
        read_timeout=max(1.0, min(60.0, seconds)),
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Servers other than AWS know only the checksums that an operation requires.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="assay",
    )
    try:
        session = boto3.session.Session()
        region = storage.region or environ("AWS_REGION") or session.region_name or DEFAULT_REGION
        return session.client("s3", endpoint_url=endpoint, region_name=region, config=config)
    except (BotoCoreError, Boto3Error, ValueError) as error:
        where = public_endpoint(endpoint) if endpoint else "AWS"
        raise InvalidInput(
            f"S3 at {where} cannot be set up ({type(error).__name__}): correct spec.storage or the AWS_* environment"
        ) from error


class S3Store:
    """Objects in S3 buckets.

    Attributes:
        endpoint: where it asks, fit to be shown.
    """

    def __init__(self, client: Any, patience: Patience) -> None:
        """Ask `client` (of boto3), as patiently as `patience`."""
        self._client = client
        self._patience = patience
        self.endpoint = public_endpoint(client.meta.endpoint_url)

    def _ask(self, verb: str, uri: str, request: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return request()
            except (BotoCoreError, ClientError) as error:
                raise translate(error, verb, uri, self.endpoint) from error

        return self._patience.persist(attempt)

    def stat(self, uri: str) -> Stat | None:
        """See `Stats`."""
        bucket, key = split_object(uri)

        def request() -> Stat | None:
            try:
                found = self._client.head_object(Bucket=bucket, Key=key)
            except ClientError:
                # The answer to HEAD has no body: only a GET tells a missing object from a missing bucket or user.
                try:
                    found = self._client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")
                except ClientError as error:
                    if code_of(error) in ("NoSuchKey", "NotFound", "404"):
                        return None
                    raise
                raise Transient(f"{uri} appeared while it was looked up") from None
            return Stat(uri, int(found["ContentLength"]), _version(found))

        return self._ask("look up", uri, request)

    def list(self, prefix: str) -> Iterator[Stat]:
        """See `Lists`."""
        bucket, key = split(prefix)
        request = partial(self._client.list_objects_v2, Bucket=bucket, Prefix=key)
        while True:
            page = self._ask("list", prefix, request)
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield Stat(f"s3://{bucket}/{item['Key']}", int(item["Size"]), _version(item))
            if not page.get("IsTruncated"):
                return
            request = partial(request, ContinuationToken=page["NextContinuationToken"])

    def get(self, uri: str, path: Path, named_by: str | None = None, version: str | None = None) -> None:
        """See `Gets`; keys have no links."""
        found = self.stat(uri)
        with whole_file(path, found.size if found else None) as file:
            self._ask("read", uri, _Download(self._client, uri, file, version))

    def read(self, uri: str) -> bytes:
        """See `Gets`."""
        bucket, key = split_object(uri)
        content = self._ask("read", uri, lambda: self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
        return bytes(content)

    def read_range(self, uri: str, start: int, length: int, version: str | None = None) -> bytes:
        """See `Gets`."""
        bucket, key = split_object(uri)
        wanted = f"bytes={start}-{start + length - 1}"

        def request() -> bytes:
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key, Range=wanted)
                _hold(answer, uri, version)
                return bytes(answer["Body"].read())
            except ClientError as error:
                if status_of(error) == 416:
                    return b""
                raise

        return self._ask("read", uri, request)

    def local_path(self, uri: str) -> Path | None:
        """See `Gets`."""
        return None

    def put(self, uri: str, source: Path | bytes, content_type: str = "application/octet-stream") -> None:
        """See `Puts`."""
        bucket, key = split_object(uri)

        def request() -> None:
            if isinstance(source, bytes):
                self._client.put_object(Bucket=bucket, Key=key, Body=source, ContentType=content_type)
                return
            with source.open("rb") as file:
                extra = {"ContentType": content_type}
                self._client.upload_fileobj(file, bucket, key, ExtraArgs=extra, Config=_TRANSFER)

        self._ask("write", uri, request)


class _Download:
    """One download over several attempts: each goes on where the last one broke."""

    def __init__(self, client: Any, uri: str, file: BinaryIO, wanted: str | None = None) -> None:
        self._client = client
        self._wanted = wanted
        self._bucket, self._key = split_object(uri)
        self._file = file
        self._version: str | None = None

    def __call__(self) -> None:
        position = self._file.tell()
        more: dict[str, str] = {}
        if position and self._version:
            more = {"Range": f"bytes={position}-", "IfMatch": self._version}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, **more)
        except ClientError as error:
            if status_of(error) in (412, 416):
                self._restart()
                raise Transient(f"s3://{self._bucket}/{self._key} changed while it was read") from error
            raise
        if position and status_of_answer(answer) != 206:
            self._restart()
        # By what is answered, and not by a condition of the request, which not every server heeds.
        _hold(answer, f"s3://{self._bucket}/{self._key}", self._wanted)
        self._version = answer["ETag"]
        for chunk in answer["Body"].iter_chunks(CHUNK):
            self._file.write(chunk)

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._version = None


def _hold(answer: dict[str, Any], uri: str, version: str | None) -> None:
    """Raise Replaced where an answer is of another version than the one asked for."""
    if version is not None and version != _version(answer):
        answer["Body"].close()
        raise Replaced(uri)


def _version(found: dict[str, Any]) -> str:
    return str(found["ETag"]).strip('"')


def status_of_answer(answer: dict[str, Any]) -> int:
    """HTTP status of a successful answer."""
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def split(uri: str) -> tuple[str, str]:
    """Bucket and key (or key prefix) of an s3:// URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise InvalidInput(f"{uri} is not an s3://bucket/key URI: correct it")
    if any(part in (".", "..") for part in key.split("/")) or "\0" in uri:
        # A key is a name and no path, and yet what is stored below it here is one.
        raise InvalidInput(f"{uri!r} has a key with '.', '..' or NUL between slashes: store the object under another")
    return bucket, key


def split_object(uri: str) -> tuple[str, str]:
    """Bucket and key of one object."""
    bucket, key = split(uri)
    if not key or key.endswith("/"):
        raise InvalidInput(f"{uri} names a prefix, not an object: name the object below it")
    return bucket, key
