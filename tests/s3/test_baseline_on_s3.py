"""A baseline in S3: accepted from what a run of Pods has stored, beside its artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay_api.audit import Storage
from assay_runner.stores import open_store
from tests.cli.audits import assay
from tests.cli.test_task import pod
from tests.s3.test_audit_on_s3 import planned, prefix

__all__ = ["prefix"]

CHECKS = [{"finite": {}}, {"labelAccuracy": {"keep": 0.5, "interval": "none"}}]


def test_the_summary_of_a_run_becomes_a_baseline(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts = {"uri": f"{prefix}/artifacts/"}
    for task in planned(prefix, checks=CHECKS, artifacts=artifacts).values():
        code, answer, log = pod(tmp_path, task)
        assert code == 0, log
    assert answer is not None
    assert answer.report is not None
    ended = assay(capsys, "baseline", "show", answer.report.uri)
    assert (ended.code, "New" in ended.out) == (2, True), ended.err
    ended = assay(capsys, "baseline", "accept", answer.report.uri, "--why", "first", "--who", "ann")
    assert ended.code == 0, ended.err
    ended = assay(capsys, "baseline", "show", answer.report.uri)
    assert (ended.code, "Unchanged" in ended.out) == (0, True)
    kept = [stat.uri for stat in open_store(Storage()).list(f"{prefix}/artifacts/baselines/")]
    assert len(kept) == 2
