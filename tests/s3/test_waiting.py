"""What a task tells the operator while the real S3 server is away."""

from __future__ import annotations

import io

import pytest

from assay_api.audit import Storage
from assay_runner.progress.server import as_progress
from assay_runner.progress.tracker import Tracker
from assay_runner.progress.views import PlainView
from assay_runner.stores import open_store
from tests.lab.s3 import S3Server


def test_a_task_says_that_it_waits_for_storage_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker(PlainView(io.StringIO()))
    with S3Server() as server:
        server.bucket("models")
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        tracker.stage("fetch")
        server.pause()
        told: list[bool] = []

        def waits(words: str) -> None:
            tracker.waits(words)
            told.append(as_progress(tracker.now, "0123456789ab", waiting=tracker.waiting).waiting)
            if len(told) == 1:
                server.resume()

        open_store(Storage(endpoint=server.endpoint), notify=waits).put("s3://models/x", b"content")
    assert told[0] is True
    assert "cannot connect to" in tracker.now.message
    tracker.stage("infer")
    assert as_progress(tracker.now, "0123456789ab", waiting=tracker.waiting).waiting is False
