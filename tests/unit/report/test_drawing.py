"""Lines of deep networks: single tensors without error are passed over, columns show median and span."""

from __future__ import annotations

import math
import re

import pytest

from assay_runner.report.compare import COLUMNS, _fallen
from assay_runner.report.drawing import HEIGHT, band, line, spikes

INF = math.inf


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]


def test_a_spike_is_passed_over_and_a_stretch_without_error_is_drawn() -> None:
    assert spikes([50.0, INF, 48.0, INF, INF, 46.0]) == {1, 3, 4}
    assert spikes([INF, INF, INF, 50.0]) == frozenset()
    assert spikes([INF] * 3) == frozenset()
    assert spikes([INF, None]) == frozenset(), "what is all there is is drawn"
    path = line([50.0, INF, 48.0], 0, 100)
    assert heights(path) == pytest.approx([HEIGHT * 0.5, HEIGHT * 0.52])
    assert path.count("M") == 1, "the line goes on over it"


@pytest.mark.parametrize("count", [500, 6000])
def test_one_tensor_of_a_column_does_not_move_its_line(count: int) -> None:
    """Whatever single tensors do, infinite or 40 dB down: the line is where most of a column is."""
    quiet = [60.0 - 30 * i / count for i in range(count)]
    loud = [INF if i % 11 == 5 else value - 40 if i % 53 == 20 else value for i, value in enumerate(quiet)]
    columns = 100
    before, after = (heights(line(v, 0, 100, columns, choose="median")) for v in (quiet, loud))
    assert len(before) == len(after) == columns
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) < 0.02 * HEIGHT
    reach = heights(band(loud, 0, 100, columns))
    assert max(reach) > max(after) + 0.3 * HEIGHT, "the worst of a column is what it spans down to"
    assert min(reach) >= min(before) - 1, "and no error at all is not its best"


def test_what_cannot_be_drawn_still_breaks_the_line() -> None:
    assert line([50.0, math.nan, 48.0, 47.0], 0, 100).count("M") == 2
    assert line([50.0, None, INF, None, 48.0, 47.0], 0, 100).count("M") == 2


def test_the_line_of_a_deep_network_falls_where_it_is_not_finite_any_more() -> None:
    broken = [60.0] * 3005 + [math.nan] * 2995
    path = line(_fallen(broken, 0), 0, 100, COLUMNS, choose="median")
    assert heights(path)[-1] == HEIGHT, "it falls"
    assert path.count("M") == 1, "and ends"
    assert set(heights(path)[:-1]) == {HEIGHT * 0.4}
