"""What TensorRT says is kept for as long as somebody asks for it, and no longer."""

from __future__ import annotations

from assay_runner.backends.tensorrt.sayings import Sayings

ERROR, WARNING, INFO = 1, 2, 3


def test_errors_come_first_and_each_line_once() -> None:
    sayings = Sayings()
    sayings.say(ERROR, "before")
    mark = sayings.mark()
    for severity, text in ((WARNING, "slow"), (INFO, "nothing"), (ERROR, "no\n  memory"), (WARNING, "slow")):
        sayings.say(severity, text)
    assert sayings.since(mark) == ("no memory", "slow")
    sayings.replace(mark, "done without")
    assert sayings.since(mark) == ("done without",)


def build(sayings: Sayings, lines: int) -> tuple[str, ...]:
    """What a build does: marks, within which others mark too."""
    whole = sayings.mark()
    for number in range(lines):
        inner = sayings.mark()
        sayings.say(WARNING, f"layer {number}")
        assert sayings.since(inner) == (f"layer {number}",)
    return sayings.since(whole)


def test_many_builds_leave_no_more_than_one() -> None:
    sayings = Sayings()
    for _ in range(50):
        assert build(sayings, 100) == tuple(f"layer {number}" for number in range(100))
        assert len(sayings) <= 100
    sayings.mark()
    assert len(sayings) == 0


def test_nothing_is_lost_that_a_build_in_progress_says() -> None:
    sayings = Sayings()
    outer = sayings.mark()
    sayings.say(ERROR, "the first")
    for _ in range(50):
        build(sayings, 100)
    assert sayings.since(outer) == ("the first", *(f"layer {number}" for number in range(100)))
