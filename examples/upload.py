"""Put the digits models and data where `examples/cluster` looks for them: `make example-data`.

The S3 store is the one that AWS_ENDPOINT_URL_S3 names, opened by the keys of the AWS environment. Buckets that are
missing are made; what lies there already is written again, so a second run changes nothing.
"""

import os
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from assay_api.names import ExitCode
from assay_runner.errors import AuditError, InvalidInput, Unavailable
from assay_runner.stores.patience import Transient
from assay_runner.stores.s3_errors import public_endpoint, translate

DIGITS = Path(__file__).resolve().parent / "digits"
ENDPOINT = "AWS_ENDPOINT_URL_S3"
AUDITS = "audits"
"""The bucket that reports go to."""

PLACES = (
    ("models", "", "*.onnx"),
    ("datasets", "digits/", "data/*.npz"),
    ("datasets", "digits-calib/", "calib/*.npz"),
    ("datasets", "digits-calib-poor/", "calib-poor/*.npz"),
)
"""(bucket, prefix of the key, files below examples/digits)"""


def main() -> int:
    """Make the buckets and upload the files, one line for each place."""
    try:
        upload(endpoint())
    except AuditError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return ExitCode.PASSED


def endpoint() -> str:
    """Return the store's address.

    Raises:
        InvalidInput: the environment names none; AWS itself is never meant, where the names of buckets are everybody's.
    """
    if found := os.environ.get(ENDPOINT):
        return found
    raise InvalidInput(f'{ENDPOINT} names no S3 store: run eval "$(make env)" first, or set it and your store\'s keys')


def upload(store: str) -> None:
    """Bring buckets and files to the store at an address.

    Raises:
        InvalidInput: the store refuses.
        Unavailable: it does not answer.
    """
    timeouts = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 2})
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    uri = f"s3://{AUDITS}/"
    try:
        client = boto3.client("s3", endpoint_url=store, region_name=region, config=timeouts)
        for bucket in dict.fromkeys([*(place[0] for place in PLACES), AUDITS]):
            uri = f"s3://{bucket}/"
            make(client, bucket)
        for bucket, prefix, pattern in PLACES:
            files = sorted(DIGITS.glob(pattern))
            for file in files:
                uri = f"s3://{bucket}/{prefix}{file.name}"
                client.put_object(Bucket=bucket, Key=prefix + file.name, Body=file.read_bytes())
            print(f"s3://{bucket}/{prefix}: {len(files)} files of examples/digits/{pattern}")
    except ValueError as error:
        raise InvalidInput(f"{ENDPOINT} is no address of an S3 store ({error}): correct it") from error
    except (BotoCoreError, ClientError) as error:
        failure = translate(error, "write", uri, public_endpoint(store))
        raise (Unavailable(str(failure)) if isinstance(failure, Transient) else failure) from error


def make(client: Any, bucket: str) -> None:
    """Make a bucket unless it is there."""
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=bucket)


if __name__ == "__main__":
    sys.exit(main())
