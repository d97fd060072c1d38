"""`make example-data`: what the examples of a cluster read lies where they look for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab.s3 import S3Server

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "cluster").glob("*.yaml"))


def upload(**environment: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = others | {"AWS_EC2_METADATA_DISABLED": "true"} | environment
    command = [sys.executable, "-m", "examples.upload"]
    return subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, check=False, timeout=120)


def test_all_that_the_examples_read_is_there_and_a_second_time_changes_nothing(s3: S3Server) -> None:
    client = s3.client()

    def keys(bucket: str) -> dict[str, str]:
        found = client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {f"s3://{bucket}/{item['Key']}": item["ETag"] for item in found}

    first = upload(**s3.env)
    assert first.returncode == 0, first.stderr
    there = keys("models") | keys("datasets")
    assert upload(**s3.env).stdout == first.stdout
    assert keys("models") | keys("datasets") == there
    assert "audits" in {each["Name"] for each in client.list_buckets()["Buckets"]}
    # A sweep's example is about models that a team has; what is uploaded is for audits.
    documents = [yaml.safe_load(path.read_text()) for path in EXAMPLES]
    spec = json.dumps([each["spec"] for each in documents if each["kind"] == "AccuracyAudit"])
    asked = set(re.findall(r's3://[^"]+', spec)) - {"s3://audits/"}
    assert len(asked) > 4
    assert [uri for uri in asked if not any(found.startswith(uri) for found in there)] == []
    client.close()


@pytest.mark.parametrize(
    ("environment", "code", "says"),
    [
        ({"AWS_ENDPOINT_URL_S3": ""}, 64, 'AWS_ENDPOINT_URL_S3 names no S3 store: run eval "$(make env)" first'),
        ({"AWS_ENDPOINT_URL_S3": "s3.example.com"}, 64, "AWS_ENDPOINT_URL_S3 is no address of an S3 store"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, 69, "cannot connect to http://127.0.0.1:1"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 64, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, 64, "no usable credentials"),
        ({"AWS_PROFILE": "nobody-s"}, 64, "no usable credentials"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_a_sentence(
    s3: S3Server, environment: dict[str, str], code: int, says: str
) -> None:
    done = upload(**(s3.env | environment))
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
