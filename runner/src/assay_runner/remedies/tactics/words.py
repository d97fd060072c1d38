"""What the tactics remedy says: one sentence of what was seen, and one of what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assay_api.repair_tactics import RungEntry
from assay_api.report import Verdict
from assay_runner.remedies.case import Design
from assay_runner.remedies.tactics.bench import Bench, Rebuild, failing, latency, outputs, passing
from assay_runner.remedies.tactics.blame import Suspect
from assay_runner.remedies.tactics.ladder import listed
from assay_runner.remedies.tactics.proof import Proof, spoken
from assay_runner.remedies.tactics.routes import Turned
from assay_runner.statistics.no_failure import most_failing


def counted(builds: Sequence[Rebuild]) -> str:
    """How many of these fail and pass: "3 of 8 builds fail, 5 pass"."""
    unclear = len(builds) - failing(builds) - passing(builds)
    more = f", {unclear} cannot be judged" if unclear else ""
    return f"{failing(builds)} of {len(builds)} builds fail, {passing(builds)} pass{more}"


def so_far(builds: Sequence[Rebuild], suspect: Suspect | None) -> str:
    """What was seen where the budget ended it."""
    if suspect is None:
        return counted(builds)
    return f"{counted(builds)}; most suspect is {spoken(suspect.tactics)} (by chance {suspect.chance:.2g})"


def shaken(bench: Bench, forbidden: Mapping[str, tuple[str, ...]]) -> Design:
    """A build that is kept from these tactics."""
    order = replace(bench.order, forbidden=forbidden)
    return bench.design(f"built again, {len(forbidden)} layers kept from tactics that they had", order)


def none_failed(builds: Sequence[Rebuild], others: Sequence[Rebuild], rungs: Sequence[RungEntry]) -> str:
    """No build fails again."""
    most = most_failing(passing(builds))
    also = f", and {passing(others)} of {len(others)} kept from tactics that they had" if others else ""
    said = (
        f"all {len(builds)} rebuilds pass on the samples that are searched with{also}, so no tactic is to blame (with "
        f"95 % confidence fewer than {most:.0%} of builds fail on them)"
    )
    return f"{said}; {climbed(builds, rungs)}"


def all_failed(builds: Sequence[Rebuild], turned: Sequence[Turned]) -> str:
    """Every build fails."""
    least = 1 - most_failing(failing(builds))  # As few would pass.
    kinds = len({tuple(sorted(build.kernels.tactics.items())) for build in builds})
    said = (
        f"all {len(builds)} rebuilds fail, with {kinds} different sets of tactics, so no tactic is to blame (with 95 % "
        f"confidence more than {least:.0%} of builds fail)"
    )
    knobs = f"; nor does any of {len(turned)} build routes help" if turned else ""
    if unsteady := sum(len(build.kernels.bits) > 1 for build in builds):
        which = "each of them" if unsteady == len(builds) else f"{unsteady} of them"
        return (
            f"{said}{knobs}; {which} gives other bits from one session to the next, which no choice of tactics and no "
            "other build mends: replace what draws random numbers or sums in any order, as plugins do (runToRun says "
            "from which tensor on where that can be seen), or allow as much in its limits"
        )
    return f"{said}{knobs}: look at precision and calibration"


def no_choice(builds: Sequence[Rebuild], made: Sequence[Rebuild]) -> str:
    """Only builds without a choice pass."""
    return f"{counted(builds)}; {of_builds(made, builds)} at optimisation level 0 with one tactic pass"


def turned(found: Turned, tried: Sequence[Turned]) -> str:
    """A knob is behind it."""
    others = sum(each.build.verdict is Verdict.PASSED for each in tried) - 1
    more = f"; {others} others help too" if others else ""
    return f"every build fails but those with {found.words}, the knob behind it of {len(tried)} turns tried{more}"


def blamed(found: Sequence[Proof], proofs: Sequence[Proof], bench: Bench) -> str:
    """Who is blamed, and why."""
    said = counted(bench.of("free", "shaken"))
    if found:
        return f"{said}; {'; '.join(map(_evidence, found))}"
    unseen = list(dict.fromkeys(name for build in bench.done for name in build.kernels.unseen))
    where = f", and nobody sees into {listed(unseen)}" if unseen else ""
    if not proofs:
        return f"{said}; no tactic that is told is in failing builds alone{where}"
    first = min(proofs, key=lambda proof: proof.refuted)
    why = "builds held to it pass" if first.refuted else f"by chance {first.suspect.chance:.2g}, which decides nothing"
    return f"{said}; no tactic is blamed: {spoken(first.tactics)} is in failing builds alone, but {why}{where}"


def cured(cure: tuple[Design, Sequence[Rebuild]]) -> str:
    """Forbidding it helps."""
    design, made = cure
    return f"{len(made)} of {len(made)} builds {design.words} pass"


def of_rung(design: Design, rung: RungEntry) -> str:
    """A rung helps."""
    price = f", at {rung.price:.2f} of the latency" if rung.price is not None else ""
    return f"{rung.passing} of {rung.builds} builds {design.words} pass{price}"


def uncured(bench: Bench, rungs: Sequence[RungEntry]) -> str:
    """Nothing helps."""
    good = [build for build in bench.of("free", "shaken") if build.verdict is Verdict.PASSED]
    record = f" (its tactics: {good[0].record})" if good and good[0].record else ""
    if not bench.holds:
        return (
            f"nothing can be forbidden here: keep the plan of a build that passes, like trial {good[0].trial}{record}"
        )
    unheld = [name for rung in rungs for name in rung.unheld]
    where = f"; nobody can hold {listed(unheld)}" if unheld else ""
    return f"no way to build it passes every time{where}: keep the plan of a build that passes"


def climbed(builds: Sequence[Rebuild], rungs: Sequence[RungEntry]) -> str:
    """Whether builds repeat, and what makes them."""
    if outputs(builds) == 1:
        return "their outputs are the same bit by bit"
    said = f"they give {outputs(builds)} different outputs"
    return "; ".join([said, *(_priced(rung) for rung in rungs)])


def of_builds(made: Sequence[Rebuild], free: Sequence[Rebuild]) -> str:
    """So many builds, and what they cost."""
    took, before = latency(made), latency(free)
    price = f" (at {took / before:.2f} of the latency)" if took is not None and before else ""
    return f"{passing(made)} of {len(made)} builds{price}"


def _priced(rung: RungEntry) -> str:
    price = f" (latency × {rung.price:.2f})" if rung.price is not None else ""
    return f"{rung.message}{price}"


def _evidence(proof: Proof) -> str:
    who = proof.suspect
    parts = [f"in {who.bad_with} of {who.bad} that fail and none of {who.good} that pass"]
    parts.append(f"by chance {who.chance:.2g}")
    if proof.held:
        parts.append(f"held to it {failing(proof.held)} of {len(proof.held)} fail")
    if proof.made < 1:
        parts.append(f"without it {len(proof.without)} of {len(proof.without)} pass: by chance {proof.made:.2g}")
    alike = len(who.alike) if not failing(proof.held) else 0
    more = f" or one of {alike} that ran in just the same builds" if alike else ""
    are = "are to blame together" if len(proof.tactics) > 1 else "is to blame"
    return f"{spoken(proof.tactics)}{more} {are} ({'; '.join(parts)})"
