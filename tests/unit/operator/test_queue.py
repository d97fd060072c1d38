from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from assay_operator.cluster.queue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def queue(clock: Callable[[], float], spacing: float = 0.0) -> WorkQueue[str]:
    return WorkQueue(clock, lambda: 0.5, spacing=spacing, first=1.0, most=60.0)


async def work(line: WorkQueue[str], process: Callable[[str], Awaitable[None]], workers: int = 1) -> None:
    """Let the workers run until there is nothing left for them to do."""
    tasks = [asyncio.create_task(line.work(process)) for _ in range(workers)]
    for _ in range(50):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_key_that_comes_often_is_worked_on_once() -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        async def process(key: str) -> None:
            seen.append(key)

        line = queue(Clock())
        for key in ("a", "b", "a", "a"):
            line.add(key)
        assert line.depth == 2
        await work(line, process, workers=3)
        assert line.idle
        return seen

    assert asyncio.run(run()) == ["a", "b"]


def test_a_key_never_has_two_passes_at_once_and_none_is_lost() -> None:
    async def run() -> int:
        now, most, passes = 0, 0, 0
        line = queue(Clock())

        async def process(key: str) -> None:
            nonlocal now, most, passes
            now, passes = now + 1, passes + 1
            most = max(most, now)
            if passes == 1:
                line.add(key)
            await asyncio.sleep(0)
            now -= 1

        line.add("a")
        await work(line, process, workers=4)
        assert most == 1
        return passes

    assert asyncio.run(run()) == 2


def test_delays_are_kept_and_the_earlier_wins() -> None:
    async def run() -> list[tuple[float, str]]:
        clock, seen = Clock(), []
        line = queue(clock)

        async def process(key: str) -> None:
            seen.append((clock.now - 100, key))

        line.add("late", 10)
        line.add("late", 5)
        line.add("late", 20)
        line.add("now")
        await work(line, process)
        clock.now += 5
        await work(line, process)
        clock.now += 30
        await work(line, process)
        return seen

    assert asyncio.run(run()) == [(0, "now"), (5, "late")]


def test_two_passes_of_one_key_keep_their_distance() -> None:
    async def run() -> list[float]:
        clock, seen = Clock(), []
        line = queue(clock, spacing=0.2)

        async def process(key: str) -> None:
            seen.append(round(clock.now - 100, 3))

        line.add("a")
        await work(line, process)
        line.add("a")
        await work(line, process)
        clock.now += 0.2
        await work(line, process)
        return seen

    assert asyncio.run(run()) == [0.0, 0.2]


@pytest.mark.parametrize(("failures", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (50, 60.0)])
def test_failures_are_retried_ever_more_slowly(failures: int, delay: float) -> None:
    async def run() -> float:
        line = queue(Clock())
        return [line.retry("a") for _ in range(failures)][-1]

    assert asyncio.run(run()) == delay


def test_success_forgets_the_failures() -> None:
    async def run() -> float:
        line = queue(Clock())
        for _ in range(5):
            line.retry("a")
        line.succeeded("a")
        return line.retry("a")

    assert asyncio.run(run()) == 1.0


def test_a_pass_that_raises_is_retried_and_others_go_on() -> None:
    async def run() -> list[str]:
        clock, seen = Clock(), []
        line = queue(clock)

        async def process(key: str) -> None:
            seen.append(key)
            if key == "bad" and seen.count("bad") == 1:
                raise RuntimeError("a bug")

        line.add("bad")
        line.add("good")
        await work(line, process)
        clock.now += 2
        await work(line, process)
        return seen

    assert asyncio.run(run()) == ["bad", "good", "bad"]


def test_a_stuck_pass_shows() -> None:
    async def run() -> float:
        clock = Clock()
        line = queue(clock)
        stuck = asyncio.Event()

        async def process(key: str) -> None:
            await stuck.wait()

        line.add("a")
        task = asyncio.create_task(line.work(process))
        for _ in range(5):
            await asyncio.sleep(0)
        clock.now += 400
        seconds = line.stuck_seconds
        task.cancel()
        return seconds

    assert asyncio.run(run()) == 400


def test_a_forgotten_key_is_not_worked_on() -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        async def process(key: str) -> None:
            seen.append(key)

        line = queue(Clock())
        line.add("a")
        line.forget("a")
        await work(line, process)
        return seen

    assert asyncio.run(run()) == []


def test_once_closed_nothing_more_is_begun_and_what_is_at_work_is_waited_for() -> None:
    async def run() -> list[str]:
        seen: list[str] = []
        slow = asyncio.Event()

        async def process(key: str) -> None:
            await slow.wait()
            seen.append(key)

        line = queue(Clock())
        for key in "abc":
            line.add(key)
        working = asyncio.create_task(line.work(process))
        await asyncio.sleep(0)
        closing = asyncio.create_task(line.close(5))
        await asyncio.sleep(0)
        slow.set()
        await closing
        working.cancel()
        return seen

    assert asyncio.run(run()) == ["a"]


def test_passes_that_wait_for_nothing_let_others_have_their_turn() -> None:
    """Ten thousand of them at a start must hold up neither the Lease nor the probes."""

    async def run() -> int:
        turns = 0
        done = asyncio.Event()
        line = queue(Clock())

        async def process(key: str) -> None:
            if key == "99":
                done.set()

        async def probe() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        for index in range(100):
            line.add(str(index))
        working = asyncio.create_task(line.work(process))
        await probe()
        working.cancel()
        return turns

    assert asyncio.run(run()) >= 50
