"""Whether a candidate keeps a share of the golden run's hits, judged on pairs.

Both runs see the same samples, so what decides is where they disagree. Let b be the hits of golden alone, c those of
the candidate alone, a those of both, m = a + b + c. The ratio of hit rates phi = (a + c) / (a + b) is tested by the
score statistic for a ratio of paired proportions (Nam and Blackwelder, Statistics in Medicine 21, 2002, 689-699):

    z(phi) = (a + c - phi (a + b)) / sqrt(phi m (B + C))

    C = (sqrt((p - phi^2 g)^2 + 4 phi^2 b c / m^2) - p + phi^2 (g + 2 c / m)) / (2 phi (phi + 1))
    B = phi C + 1 - phi                       with p = (a + c) / m and g = (a + b) / m

where B and C are the maximum likelihood estimates of b/m and c/m under the ratio phi. Samples that both miss drop out.

Alone it is a little too bold when disagreements are few, so the numerator is drawn towards zero by a continuity
correction: half a sample when a pass is claimed, three quarters when a failure is (the distribution is skewed that
way). With it the exact probability of a wrong claim stays below 5 %; the tests enumerate it. Without any disagreement,
keeping 99 % takes 361 hits (an exact bound on the losses alone would take 299).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.6448536269514722
PASS_CORRECTION = 0.5
FAIL_CORRECTION = 0.75
MOST_SAMPLES = 10**9


@dataclass(frozen=True)
class Pairs:
    """Samples by who hits; real numbers, so that what more samples would show can be asked.

    Attributes:
        both: golden and candidate hit.
        golden: golden alone.
        candidate: candidate alone.
        neither: both miss.
    """

    both: float
    golden: float
    candidate: float
    neither: float

    @property
    def samples(self) -> float:
        """All samples."""
        return self.both + self.golden + self.candidate + self.neither

    @property
    def ratio(self) -> float:
        """Candidate's hits per golden hit; NaN without golden hits."""
        hits = self.both + self.golden
        return (self.both + self.candidate) / hits if hits else math.nan

    def times(self, factor: float) -> Pairs:
        """What so many times as many samples would show, all shares being equal."""
        return Pairs(self.both * factor, self.golden * factor, self.candidate * factor, self.neither * factor)


def keeps(pairs: Pairs, keep: float) -> bool | None:
    """Whether the ratio is at least `keep`, at one-sided 95 %: True, False, or None where the samples do not tell."""
    if score(pairs, keep, PASS_CORRECTION) >= Z95:
        return True
    return False if score(pairs, keep, FAIL_CORRECTION) <= -Z95 else None


def score(pairs: Pairs, phi: float, correction: float) -> float:
    """The corrected statistic at a ratio `phi` > 0; 0 where nothing can be told."""
    m = pairs.both + pairs.golden + pairs.candidate
    if m <= 0:
        return 0.0
    excess = pairs.both + pairs.candidate - phi * (pairs.both + pairs.golden)
    p, g = (pairs.both + pairs.candidate) / m, (pairs.both + pairs.golden) / m
    root = math.sqrt((p - phi**2 * g) ** 2 + 4 * phi**2 * pairs.golden * pairs.candidate / m**2)
    gain = (root - p + phi**2 * (g + 2 * pairs.candidate / m)) / (2 * phi * (phi + 1))
    variance = phi * m * (gain * (1 + phi) + 1 - phi)
    if variance <= 0:
        return 0.0
    return math.copysign(max(abs(excess) - correction, 0.0), excess) / math.sqrt(variance)


def bounds(pairs: Pairs) -> tuple[float, float]:
    """Lower and upper one-sided 95 % bounds of the ratio: the ratios from which on `keeps` is no longer sure."""
    return _crossing(pairs, PASS_CORRECTION, Z95), _crossing(pairs, FAIL_CORRECTION, -Z95)


def samples_to_settle(pairs: Pairs, keep: float) -> int | None:
    """How many samples with the same shares would settle the question; None where no number would."""
    if pairs.samples <= 0:
        return None
    low, high = 1.0, MOST_SAMPLES / pairs.samples
    if high < 1 or keeps(pairs.times(high), keep) is None:
        return None
    while high - low > 0.5 / pairs.samples:
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(pairs.times(middle), keep) is None else (low, middle)
    return math.ceil(pairs.samples * high)


def _crossing(pairs: Pairs, correction: float, level: float) -> float:
    """The ratio at which the statistic, which falls as the ratio grows, reaches `level`."""
    low, high = 1e-9, 1e3
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if score(pairs, middle, correction) > level else (low, middle)
    return low if low > 2e-9 else 0.0
