"""Progress: few lines for a log, and the same numbers for the operator."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import threading
import urllib.error
import urllib.request

import pytest

from assay_runner.progress.server import served
from assay_runner.progress.tracker import Snapshot, Tracker
from assay_runner.progress.views import INTERVAL, PlainView, shown_on


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_log_gets_a_line_per_stage_and_one_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    tracker = Tracker(PlainView(stream, clock))
    tracker.subject("fp16")
    tracker.stage("infer", 1000, "samples")
    for _ in range(100):
        tracker.advance(10)
        clock.time += INTERVAL / 40
    tracker.note("trying again")
    assert stream.getvalue().splitlines() == [
        "fp16: infer (1000 samples)",
        "fp16: infer 410/1000 samples",
        "fp16: infer 810/1000 samples",
        "fp16: infer: trying again",
    ]


def test_a_stage_starts_from_nothing() -> None:
    tracker = Tracker(PlainView(io.StringIO()))
    tracker.stage("a", 5)
    tracker.advance(5)
    tracker.stage("b")
    assert (tracker.now.stage, tracker.now.done, tracker.now.total) == ("b", 0, None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with shown_on(stream) as tracker:
        tracker.subject("fp16")
        tracker.stage("infer [bold]", 10, "samples")
        tracker.advance(4)
        tracker.note("a [note]")
    assert "a [note]" in stream.getvalue()
    assert "infer [bold]" in stream.getvalue()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_operator_reads_it_by_http() -> None:
    tracker = Tracker(PlainView(io.StringIO()))
    with served(tracker, "0123456789ab", 0) as port:
        tracker.stage("infer", 100, "samples")
        tracker.advance(7)
        status, body = get(port, "/progress")
        assert status == 200
        assert json.loads(body) == {
            "task": "0123456789ab", "stage": "infer", "done": 7, "total": 100, "unit": "samples", "message": "",
            "waiting": False,
        }  # fmt: skip
        assert get(port, "/")[0] == 404
        assert get(port, "/progress", "POST")[0] == 501


def test_waiting_for_storage_is_told_until_work_goes_on_or_nobody_says_so_again() -> None:
    clock = Clock()
    tracker = Tracker(PlainView(io.StringIO()), clock)
    tracker.stage("fetch")
    tracker.waits("cannot connect to s3; trying again in 8 s")
    assert (tracker.waiting, tracker.now.message) == (True, "cannot connect to s3; trying again in 8 s")
    clock.time += 89
    assert tracker.waiting
    clock.time += 2
    assert not tracker.waiting
    for goes_on in (tracker.advance, lambda: tracker.stage("infer"), lambda: tracker.note("taken from the cache")):
        tracker.waits("again")
        assert tracker.waiting
        goes_on()
        assert not tracker.waiting
    with served(tracker, "0123456789ab", 0) as port:
        tracker.waits("again")
        assert json.loads(get(port, "/progress")[1])["waiting"] is True


class Held(Tracker):
    """A tracker whose numbers are had only once `go` is set, as where a build holds the interpreter."""

    def __init__(self) -> None:
        super().__init__(PlainView(io.StringIO()))
        self.asked, self.go, self.broken = threading.Event(), threading.Event(), False

    @property
    def now(self) -> Snapshot:
        self.asked.set()
        self.go.wait(60)
        if self.broken:
            raise LookupError("a fault of our own")
        return super().now


def asked_and_left(tracker: Held) -> None:
    """Ask for progress, and be gone with a reset before there is an answer."""
    with served(tracker, "0123456789ab", 0) as port:
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asking.sendall(b"GET /progress HTTP/1.0\r\n\r\n")
            assert tracker.asked.wait(30)
        # It is gone by now: a reset is there with the end of the block.
        tracker.go.set()
        for thread in threading.enumerate():
            if "process_request" in thread.name:
                thread.join(30)
                assert not thread.is_alive()


def test_one_who_did_not_wait_for_the_answer_leaves_nothing_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    asked_and_left(Held())
    assert capfd.readouterr().err == ""


def test_a_fault_of_our_own_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    tracker = Held()
    tracker.broken = True
    asked_and_left(tracker)
    assert "LookupError: a fault of our own" in capfd.readouterr().err


@pytest.mark.parametrize(("subject", "line"), [("int8", "int8: taken"), ("", "taken")])
def test_a_note_has_one_colon_after_what_there_is(subject: str, line: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in (io.StringIO(), Terminal()):
        with shown_on(stream) as tracker:
            tracker.subject(subject)
            tracker.note("taken")
        words = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines()
        assert line in [each.strip() for each in words]
