"""Three ways to the same engine again, each proved by builds: leave no choice, prescribe every tactic, keep the plan.

Equal means bit by bit: all outputs on the samples that are searched with. An engine may have regions that TensorRT
compiles itself, in which nobody chooses a tactic; where such a build repeats so far, that is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from assay_api.repair_tactics import RungEntry
from assay_api.report import Verdict
from assay_runner.remedies.case import Design
from assay_runner.remedies.tactics.bench import Bench, Rebuild, latency, outputs, passing

MOST_NAMED: Final = 20
NO_CHOICE: Final = "at optimisation level 0 with one tactic"
PINNED: Final = "with every layer held to its tactic"


def no_choice(bench: Bench) -> Design:
    """What leaves the builder no choice."""
    order = bench.order
    options = order.options.model_copy(update={"optimization_level": 0})
    return bench.design(NO_CHOICE, replace(order, options=options, tactics=None, most_tactics=1))


def pinned(bench: Bench, like: Rebuild) -> Design:
    """What prescribes every tactic of a build."""
    return bench.design(PINNED, replace(bench.order, tactics=dict(like.kernels.tactics)))


def climbed(bench: Bench, builds: Sequence[Rebuild], price: float | None) -> list[RungEntry]:
    """All rungs that can be tried and paid.

    Args:
        bench: builds.
        builds: at least one; the fastest that passes is the one to have again.
        price: latency of builds that chose freely, ms.

    Raises:
        OutOfBudget: the minutes are spent.
        Unavailable: the store, memory or the device gave out.
    """
    best = best_of(builds)
    found = []
    if bench.affords(bench.count):
        found.append(told_no_choice(bench.several("noChoice", no_choice(bench), bench.count), price))
    if not bench.holds:
        found.append(RungEntry(rung="pinned", verdict=Verdict.INCONCLUSIVE, message=CANNOT_HOLD))
    elif best.kernels.tactics and bench.affords(bench.count):
        found.append(told_pinned(bench.several("pinned", pinned(bench, best), bench.count), best, price))
    found.append(told_plan(best, bench.count, price))
    return found


def best_of(builds: Sequence[Rebuild]) -> Rebuild:
    """The fastest that passes; where none does, the fastest."""
    return min(builds, key=lambda b: (b.verdict is not Verdict.PASSED, b.kernels.latency_ms or float("inf")))


CANNOT_HOLD: Final = "this backend, as it is set up, cannot hold layers to tactics: keep the plan"


def told_no_choice(builds: Sequence[Rebuild], free: float | None) -> RungEntry:
    """The rung on which the builder has no choice.

    Args:
        builds: of it.
        free: latency of builds that chose freely, ms.
    """
    return _unbuilt("noChoice", builds) or _compared("noChoice", builds, free, (), NO_CHOICE)


def told_pinned(builds: Sequence[Rebuild], like: Rebuild, free: float | None) -> RungEntry:
    """The rung on which every tactic is prescribed; the build that it is taken from must give the same bits too."""
    unheld = tuple(dict.fromkeys(name for build in builds for name in build.kernels.unseen))
    return _unbuilt("pinned", builds) or _compared("pinned", builds, free, unheld, PINNED, like)


def told_plan(kept: Rebuild, sessions: int, free: float | None) -> RungEntry:
    """The rung on which nothing is built: one engine in many sessions."""
    different = len(kept.kernels.bits)
    same = different == 1
    said = f"the plan of trial {kept.trial} gives the same bits in each of {sessions} sessions"
    if not same:
        said = f"the plan of trial {kept.trial} itself gives {different} different outputs in {sessions} sessions"
    return RungEntry(
        rung="plan",
        verdict=Verdict.PASSED if same else Verdict.FAILED,
        message=said,
        builds=sessions,
        different=different,
        passing=sessions if kept.verdict is Verdict.PASSED else 0,
        latency_ms=kept.kernels.latency_ms,
        price=_price(kept.kernels.latency_ms, free),
    )


def _unbuilt(rung: str, builds: Sequence[Rebuild]) -> RungEntry | None:
    """A rung that could not be built; None where it could."""
    broken = next((build for build in builds if not build.kernels.bits), None)
    if broken is None:
        return None
    worst = broken.judged.worst
    because = worst.message if worst else "it could not be built"
    return RungEntry.model_validate(
        {"rung": rung, "verdict": Verdict.INCONCLUSIVE, "message": because, "builds": len(builds)}
    )


def _compared(
    rung: str,
    builds: Sequence[Rebuild],
    free: float | None,
    unheld: Sequence[str],
    words: str,
    like: Rebuild | None = None,
) -> RungEntry:
    different = outputs([*builds, *([like] if like else [])])
    shown = listed(unheld)
    of = f"{len(builds)} builds {words}" + (f" and the one of trial {like.trial} they are held to" if like else "")
    if different > 1:
        verdict, said = Verdict.FAILED, f"{of} give {different} different outputs"
        if like and any(len(build.kernels.bits) > 1 for build in (*builds, like)):
            said += ", for one engine alone does not repeat its bits"
        elif shown:
            said += f"; nobody can hold {shown}"
    elif unheld:
        verdict, said = Verdict.INCONCLUSIVE, f"{of} give the same bits so far, but nobody can hold {shown}"
    else:
        verdict, said = Verdict.PASSED, f"{of} give the same bits"
    took = latency(builds)
    return RungEntry.model_validate(
        {
            "rung": rung, "verdict": verdict, "message": said, "builds": len(builds), "different": different,
            "passing": passing(builds), "latencyMs": took, "price": _price(took, free),
            "unheld": tuple(unheld[:MOST_NAMED]),
        }
    )  # fmt: skip


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names, the first few of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _price(took: float | None, free: float | None) -> float | None:
    return took / free if took is not None and free else None
