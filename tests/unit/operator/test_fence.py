from __future__ import annotations

import pytest

from assay_operator.process.fence import Fence, elapsed, moment
from assay_operator.process.health import STUCK_SECONDS, Health


class Clocks:
    """Two clocks that are moved by hand: one that never steps, and the wall's."""

    def __init__(self) -> None:
        self.now = (0.0, 1_000.0)

    def __call__(self) -> tuple[float, ...]:
        return self.now

    def move(self, steady: float, wall: float | None = None) -> None:
        self.now = (self.now[0] + steady, self.now[1] + (steady if wall is None else wall))


def test_it_is_closed_before_the_first_renewal_and_after_the_last() -> None:
    clocks = Clocks()
    fence = Fence(10, clocks)
    assert fence.left == 0
    fence.renewed(clocks())
    clocks.move(9)
    assert fence.left == 1
    clocks.move(1)
    assert fence.left == 0
    assert fence.open_seconds == 0


@pytest.mark.parametrize(("steady", "wall"), [(25, 25), (0, 25), (25, 0), (25, -3_600)])
def test_whichever_clock_saw_the_time_go_by_closes_it(steady: float, wall: float) -> None:
    clocks = Clocks()
    fence = Fence(10, clocks)
    fence.renewed(clocks())
    clocks.move(steady, wall)
    assert fence.left == 0


def test_a_renewal_counts_from_when_it_was_asked_for() -> None:
    clocks = Clocks()
    fence = Fence(10, clocks)
    asked = clocks()
    clocks.move(25)
    fence.renewed(asked)
    assert fence.left == 0


def test_it_opens_again_unless_the_lease_is_lost() -> None:
    clocks = Clocks()
    fence = Fence(10, clocks)
    assert fence.renewed(clocks())
    assert not fence.renewed(clocks())
    clocks.move(60)
    assert fence.renewed(clocks())
    clocks.move(4)
    assert (fence.left, fence.open_seconds) == (6, 4)
    fence.lose()
    fence.renewed(clocks())
    assert fence.left == 0


def test_real_clocks_go_forward() -> None:
    before = moment()
    assert elapsed(before, moment()) >= 0
    assert elapsed(moment(), before) == 0


def test_an_outage_makes_a_leader_unready_and_never_ill() -> None:
    clocks = Clocks()
    fence = Fence(10, clocks)
    health = Health(lambda: clocks.now[0], 300, role="leader", fence=fence, resynced=0.0)
    fence.renewed(clocks())
    assert health.unready() is None
    clocks.move(7_200)
    assert health.ill() is None
    assert health.unready() == "the lease was not renewed for 7200 s, so nothing is written"
    # The API server is back, and the next listing is not due yet.
    fence.renewed(clocks())
    clocks.move(9)
    assert (health.ill(), health.unready()) == (None, None)
    for _ in range(int(3 * 300 + STUCK_SECONDS)):
        fence.renewed(clocks())
        clocks.move(1)
    assert health.ill() == "nothing was listed for 8409 s"


def test_a_standby_that_hears_nothing_of_the_lease_is_not_ready_to_take_over() -> None:
    silence = [0.0]
    health = Health(lambda: 0.0, 300, role="standby", silence=lambda: silence[0])
    assert health.unready() is None
    silence[0] = 40.0
    assert health.unready() == "the API server has not answered about the lease for 40 s"
    assert health.ill() is None


def test_a_start_says_what_it_waits_for() -> None:
    health = Health(lambda: 0.0, 300)
    assert health.unready() == "starting"
    health.waits = "The cluster has no accuracyaudits.assay.dev"
    assert health.unready() == "starting: The cluster has no accuracyaudits.assay.dev"
