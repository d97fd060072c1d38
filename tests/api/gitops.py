"""What the examples give to GitOps tools, and resources in every phase, as an API server has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.lab.judging import Judged, judge
from tests.reconcile.cases import Case, names, status_after
from tests.reconcile.sweeps import World

EXAMPLES = Path(__file__).parents[2] / "examples" / "gitops"
HEALTH_KEY = "resource.customizations.health."
Raw = dict[str, Any]


def documents(path: str) -> list[Raw]:
    return [each for each in yaml.safe_load_all((EXAMPLES / path).read_text()) if each]


def argo_checks() -> dict[str, str]:
    """The Lua of argocd-cm, by the resource that each is for."""
    (config,) = documents("argocd/health.yaml")
    assert all(key.startswith(HEALTH_KEY) for key in config["data"])
    return {key.removeprefix(HEALTH_KEY): script for key, script in config["data"].items()}


def flux_checks() -> list[Raw]:
    (found,) = [d for d in documents("flux/kustomization.yaml") if d["kind"] == "Kustomization"]
    checks: list[Raw] = found["spec"]["healthCheckExprs"]
    return checks


def judged(*resources: Raw, desired: tuple[Raw, ...] = ()) -> list[Judged]:
    """What Argo CD, kstatus and Flux make of resources, by the checks of the examples."""
    return judge(resources, argo=argo_checks(), flux=flux_checks(), desired=desired)


def audit_of(name: str, **annotations: str) -> Raw:
    """The audit of a recorded decision, as it stands once that is carried out."""
    raw: Raw = Case(name).read("audit.yaml")
    meta = {**raw["metadata"], "generation": Case(name).seen.get("generation", 1)}
    meta["annotations"] = {**meta.get("annotations", {}), **annotations}
    return {**raw, "metadata": meta, "status": status_after(name)}


def audits_by_phase(each: int = 3) -> dict[str, list[str]]:
    """Names of a few recorded decisions for every phase."""
    found: dict[str, list[str]] = {}
    for name in names():
        phase = status_after(name).get("phase") or "New"
        if len(found.setdefault(phase, [])) < each:
            found[phase].append(name)
    return found


def _suspended(world: World) -> None:
    world.change(suspend=True)
    world.settle()


def _running(world: World) -> None:
    world.settle()


def _ended(**verdicts: str) -> Callable[[World], object]:
    return lambda world: world.run({f"bert/{key}": verdict for key, verdict in verdicts.items()})


def _sweep(play: Callable[[World], object], **spec: Any) -> Raw:
    world = World.of(**spec)
    world.now = datetime(2026, 3, 1, 1, tzinfo=UTC)
    play(world)
    return json.loads(json.dumps(world.raw))  # type: ignore[no-any-return]


def sweeps() -> dict[str, tuple[Raw, str]]:
    """Sweeps in every phase, and the word of kstatus for each."""
    nightly = {"schedule": {"cron": "0 2 * * *"}}
    return {
        "new": (_sweep(lambda world: None), "InProgress"),
        "looking at models": (_sweep(lambda world: world.step()), "InProgress"),
        "running": (_sweep(_running), "InProgress"),
        "suspended": (_sweep(_suspended), "InProgress"),
        "passed": (_sweep(_ended()), "Current"),
        "breached": (_sweep(_ended(cpu="Failed")), "Failed"),
        "breached and reported": (_sweep(_ended(cpu="Failed"), template__onBreach="Report"), "Current"),
        "without an answer": (_sweep(_ended(cpu="Error")), "Failed"),
        "inconclusive": (_sweep(_ended(cpu="Inconclusive")), "Failed"),
        "waits for its time": (_sweep(lambda world: world.settle(), **nightly), "Current"),
        "that cannot be": (_sweep(lambda world: world.settle(), schedule={"cron": "61 * * * *"}), "Failed"),
    }
