"""Runs in a pod with GPUs: `assay screen` of one plan, once as a user does and then on GPUs that compute wrongly.

It is not imported here: `test_7_screening.py` sends its text into the pod, and beside it what injects faults. It prints
one line of JSON, and puts page and record into S3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE, SCRATCH = Path(__file__).parent, Path("/scratch")


def located(uri: str) -> dict[str, str]:
    """Bucket and key of an object."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def screen(words: list[str], out: str, faults: dict[str, Any]) -> dict[str, Any]:
    """What a screening came to: exit code, seconds from start to end, report, and what it printed."""
    command = [sys.executable, str(HERE / "injected.py")] if faults else ["assay", "screen"]
    env = {**os.environ, "PYTHONPATH": str(HERE), "ASSAY_TEST_FAULTS": json.dumps(faults)} if faults else None
    begin = time.monotonic()
    # The last one's process may be on the GPU for a moment yet.
    whole = [*command, *words, "--wait", "30", "--out", str(SCRATCH / out)]
    done = subprocess.run(whole, env=env, cwd=SCRATCH, capture_output=True, text=True, check=False)
    seconds = round(time.monotonic() - begin, 2)
    report = SCRATCH / out / "screen.json"
    told = json.loads(report.read_text()) if report.exists() else None
    return {"code": done.returncode, "seconds": seconds, "report": told, "said": done.stdout + done.stderr}


def asked(*words: str) -> str:
    """What nvidia-smi says here, for whoever was not there."""
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Do it all.

    Args:
        order: URI of the plan, of the record and the page; words for every screening; faults by name, with words of
            their own.
    """
    import boto3

    s3 = boto3.client("s3")
    plan = SCRATCH / Path(order["plan"]).name
    s3.download_file(Filename=str(plan), **located(order["plan"]))
    record, common = SCRATCH / "answers.json", [str(plan), *order["words"]]
    clean = screen([*common, *order["clean"], "--record", str(record)], "clean", {})
    told: dict[str, Any] = {"clean": clean, "smi": [asked("-L"), asked(*order["smi"]), asked(*order["held"])]}
    if not record.exists():
        return told
    for file, uri in ((record, order["record"]), (SCRATCH / "clean" / "screen.html", order["page"])):
        s3.upload_file(Filename=str(file), **located(uri))
    told["held"] = screen([*common, *order["clean"], "--digest", str(record)], "held", {})
    device = clean["report"]["devices"][0]["device"]
    for name, (fault, words) in order["faults"].items():
        told[name] = screen([*common, *words, "--digest", str(record)], "faulty", {device: fault})
    told["without a record"] = screen([*common, *order["alone"]], "alone", {device: order["faults"]["one bit"][0]})
    return told


if __name__ == "__main__":
    print(json.dumps(main(json.loads((HERE / "order.json").read_text()))))
