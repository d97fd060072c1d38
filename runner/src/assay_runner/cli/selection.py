"""What of an audit is run: the candidates and checks that the command line names, on the backend that it names."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from assay_api.audit import AccuracyAudit, AuditSpec
from assay_runner.errors import InvalidInput, did_you_mean


def selected(audit: AccuracyAudit, arguments: argparse.Namespace) -> AccuracyAudit:
    """The audit with the candidates and checks that `--candidate` and `--check` name, in the file's order.

    Raises:
        InvalidInput: the audit has none of a name.
    """
    spec = audit.spec
    changes: dict[str, Any] = {}
    if arguments.candidate:
        _known("candidate", arguments.candidate, [candidate.name for candidate in spec.candidates])
        changes["candidates"] = tuple(c for c in spec.candidates if c.name in arguments.candidate)
    if arguments.check:
        checks = _checks(spec)
        _known("check", arguments.check, [name for entry in checks for name in entry])
        changes["checks"] = tuple(entry for entry in checks if set(entry) & set(arguments.check))
    return audit.model_copy(update={"spec": spec.model_copy(update=changes)}) if changes else audit


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The same selection on a command line."""
    words = ["--backend", arguments.backend] if arguments.backend else []
    words += ["--strict"] if arguments.strict else []
    for option in ("candidate", "check"):
        for name in getattr(arguments, option):
            words += [f"--{option}", name]
    return words


def for_backend(spec: AuditSpec, backend: str | None) -> AuditSpec:
    """The spec as a backend runs it: one CPU stands for every GPU product, and one process audits all candidates."""
    if not backend:
        return spec
    target = spec.target.model_copy(update={"gpu_products": ()})
    return spec.model_copy(update={"target": target, "candidates_per_job": None})


def _checks(spec: AuditSpec) -> Sequence[dict[str, dict[str, object]]]:
    if spec.checks:
        return spec.checks
    # The checks of an audit that names none.
    from assay_runner.checks import parse_checks

    return [{check.name: {}} for check in parse_checks(spec)]


def _known(what: str, wanted: Iterable[str], known: Sequence[str]) -> None:
    strange = [name for name in wanted if name not in known]
    if strange:
        there = ", ".join(dict.fromkeys(known))
        raise InvalidInput(
            f"the audit has no {what} {strange[0]!r}: --{what} names one of {there}{did_you_mean(strange[0], known)}"
        )
