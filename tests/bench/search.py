"""Evaluations of the search for what to keep wide, against published searches and the information there is.

Counts, not times: they are the same on every machine. A trial of all narrow or of all wide costs nobody anything here,
since an audit knows both.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from statistics import mean, median

from assay_runner.search import Answer, Item, Settings, Stage, search_with_confirmation
from tests.bench.figures import Figure, report, say
from tests.bench.set_searches import Passes, bisect, ddmin, galloped, halving, quickxplain, splitting
from tests.unit.search.oracles import Model, answered, flipped, needs

SIZES = (200, 1000, 5000)
NEEDED = (1, 2, 3, 4)
ALONE = Settings(confirmations=1, alternatives=0)
"""What the others do: a set from which nothing can be left out, neither confirmed nor compared with another."""

PUBLISHED: dict[str, Callable[[list[int], Passes], frozenset[int]]] = {
    "halving": lambda ranking, passes: halving(len(ranking), passes),
    "bisect": lambda ranking, passes: bisect(len(ranking), passes),
    "ddmin": lambda ranking, passes: ddmin(range(len(ranking)), passes),
    "QuickXplain": lambda ranking, passes: quickxplain(range(len(ranking)), passes),
    "Hwang": lambda ranking, passes: splitting(range(len(ranking)), passes, 2),
    "galloped": galloped,
}
"""Of the ranking, only the last makes use."""


def evaluations(name: str, model: Model) -> tuple[int, int]:
    """Trials of a published search, both ends free; and how many items it keeps."""
    asked: list[int] = []

    def passes(kept: frozenset[int]) -> bool:
        asked.append(len(kept))
        return model.needed <= kept

    size = len(model.items)
    ranking = sorted(range(size), key=lambda item: -model.items[item].prior)
    kept = PUBLISHED[name](ranking, passes)
    assert model.needed <= kept
    assert name == "bisect" or kept == model.needed
    return len(asked) - len({0, size}.intersection(asked)), len(kept)


def ours(model: Model, settings: Settings) -> int:
    """Trials of this search; it must be right."""
    found, trials = answered(model, Answer.of, settings)
    assert found.outcome().best == model.needed
    return trials


def counted(seeds: int) -> Iterator[Figure]:
    """Evaluations to the final answer, rankings good and useless."""
    for size in SIZES:
        ratios: dict[str, list[float]] = {"halving": [], "useless": [], "good": []}
        for needed in NEEDED:
            bound = math.log2(math.comb(size, needed))
            good = [Model.of(size, needed, seed, useful=True) for seed in range(seeds)]
            useless = [Model.of(size, needed, seed, useful=False) for seed in range(seeds)]
            theirs = mean(evaluations("halving", model)[0] for model in good)
            whole = mean(ours(model, Settings()) for model in good)
            ratios["halving"].append(whole / theirs)
            ratios["good"].append(mean(ours(model, ALONE) for model in good) / bound)
            ratios["useless"].append(mean(ours(model, ALONE) for model in useless) / bound)
            say(f"N={size} k={needed}: " + ", ".join(f"{name} {values[-1]:.2f}" for name, values in ratios.items()))
        yield Figure(f"search_vs_halving_n{size}", max(ratios["halving"]), 0.6)
        yield Figure(f"search_useless_ranks_vs_bound_n{size}", max(ratios["useless"]), 1.3)
        yield Figure(f"search_good_ranks_vs_bound_n{size}", max(ratios["good"]), 1.0)


def confirmed(seeds: int) -> Iterator[Figure]:
    """Builds to the final answer where an emulation proposes, against bisecting builds."""
    for size, most in ((200, 4), (5000, 6)):
        builds, theirs, kept = [], [], []
        for seed in range(seeds):
            model = Model.of(size, 4, seed, useful=True)
            outcome = search_with_confirmation(model.items, needs(*model.needed), needs(*model.needed))
            assert outcome.best == model.needed
            builds.append(outcome.evaluations[Stage.DECIDE])
            asked, wide = evaluations("bisect", model)
            theirs.append(asked + 1)
            kept.append(wide)
        say(f"N={size}: bisect takes {mean(theirs):.1f} builds and keeps {median(kept):.0f} items wide, at the median")
        yield Figure(f"search_builds_n{size}", max(builds), most)


def noisy(seeds: int) -> Iterator[Figure]:
    """Right in how many runs, where 3 of 100 answers are wrong; N = 200, k = 4."""
    right, trials = [], []
    for seed in range(seeds):
        model = Model.of(200, 4, seed, useful=True)
        found, took = answered(model, flipped(random.Random(-seed), 0.03), Settings(wrong=0.03))
        right.append(found.outcome().best == model.needed)
        trials.append(took)
    say(f"3 % wrong: {mean(trials):.0f} evaluations, at most {max(trials)}")
    yield Figure("search_right_with_noise", mean(right), 1, at_most=False)


def own_time(seeds: int) -> Iterator[Figure]:
    """What choosing a trial among 5,000 items takes."""
    taken, trials = 0.0, 0
    for seed in range(seeds):
        model = Model.of(5000, 4, seed, useful=False)
        begin = time.process_time()
        trials += ours(model, Settings())
        taken += time.process_time() - begin
    yield Figure("search_time_per_trial_n5000", 1000 * taken / trials, 20, unit="ms")


def blocks(seeds: int) -> None:
    """Say what blocks are worth: four items in two of 48 blocks of 100."""
    leaves = [Item(at) for at in range(4800)]
    tree = [Item(-1 - block, parts=tuple(leaves[100 * block : 100 * block + 100])) for block in range(48)]
    counts: dict[str, list[int]] = {"flat": [], "nested": []}
    for seed in range(seeds):
        chance = random.Random(seed)
        bad = chance.sample(range(48), 2)
        needed = frozenset(100 * block + at for block in bad for at in chance.sample(range(100), 2))
        counts["flat"].append(ours(Model(leaves, needed), ALONE))
        counts["nested"].append(ours(Model(tree, needed), ALONE))
    shown = ", ".join(f"{name} {mean(trials):.1f}" for name, trials in counts.items())
    say(f"48 blocks of 100, four items needed in two, no ranking: evaluations {shown}")


def table(seeds: int) -> None:
    """Print evaluations, mean and most, as the design note has them."""
    others = ("ddmin", "halving", "QuickXplain", "Hwang", "galloped")
    heads = ["N, k (bound)", *others, "ours, useless", "ours, good", "confirmed"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for size in SIZES:
        for needed in (1, 2, 4, 8):
            good = [Model.of(size, needed, seed, useful=True) for seed in range(seeds)]
            useless = [Model.of(size, needed, seed, useful=False) for seed in range(seeds)]
            columns = [[evaluations(name, model)[0] for model in good] for name in others]
            columns += [[ours(model, ALONE) for model in models] for models in (useless, good)]
            columns.append([ours(model, Settings()) for model in good])
            cells = [f"{mean(counts):.1f} ({max(counts)})" for counts in columns]
            print(f"| {size}, {needed} ({math.log2(math.comb(size, needed)):.1f}) | {' | '.join(cells)} |", flush=True)


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="models per figure")
    parser.add_argument("--table", action="store_true", help="the table of the design note instead")
    asked = parser.parse_args()
    if asked.table:
        table(asked.seeds)
        return 0
    blocks(asked.seeds)
    return report(
        [counted(asked.seeds), confirmed(min(asked.seeds, 20)), noisy(asked.seeds), own_time(min(asked.seeds, 5))]
    )


if __name__ == "__main__":
    sys.exit(main())
