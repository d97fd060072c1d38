from __future__ import annotations

import pytest

from assay_operator.process.health import Health


@pytest.mark.parametrize(
    ("changes", "ill", "ready"),
    [
        ({}, False, False),
        ({"role": "standby"}, False, True),
        ({"role": "leader"}, False, False),
        ({"role": "leader", "resynced": 1000.0}, False, True),
        ({"role": "leader", "resynced": 1000.0, "deaf": 2}, False, True),
        ({"role": "leader", "resynced": 1000.0, "deaf": 3}, True, False),
        ({"role": "leader", "resynced": 10.0}, True, False),
        ({"role": "leader", "resynced": 1000.0, "stuck": lambda: 301.0}, True, False),
        ({"role": "standby", "resynced": 10.0, "stuck": lambda: 301.0}, False, True),
    ],
)
def test_probes_fail_when_it_does_not_get_on(changes: dict[str, object], ill: bool, ready: bool) -> None:
    health = Health(lambda: 1000.0, 60.0)
    for name, value in changes.items():
        setattr(health, name, value)
    assert (health.ill() is not None) is ill
    assert (health.unready() is None) is ready
