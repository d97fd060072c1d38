"""`assay tactics`: which tactic each layer of a build runs, and where two builds differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from assay_api.audit import Storage
from assay_api.names import REPORT_JSON, ExitCode
from assay_runner.backends.chosen import unlike
from assay_runner.cli.reports import content_at
from assay_runner.errors import InvalidInput
from assay_runner.raw import objects
from assay_runner.stores import Store, open_store

RECORD: Final = "tactics.json"
MOST_NAMED: Final = 12


@dataclass(frozen=True)
class Build:
    """The tactics of a build.

    Attributes:
        name: how the user may name it behind `#`.
        words: what it is.
        tactics: by layer.
        source: selector, inspector or empty.
        layers: how many layers have a tactic; more than are told where a report keeps the rest in a record.
        record: URI of that.
    """

    name: str
    words: str
    tactics: Mapping[str, str]
    source: str = ""
    layers: int = 0
    record: str = ""


@dataclass(frozen=True)
class Difference:
    """Where two builds differ.

    Attributes:
        changed: both tactics of each layer that is in both.
        only: layers that are in one alone, of the first and of the second, with their tactics.
        same: how many layers run the same tactic.
    """

    changed: Mapping[str, tuple[str, str]]
    only: tuple[Mapping[str, str], Mapping[str, str]]
    same: int

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.changed or any(self.only))


def command(arguments: argparse.Namespace) -> int:
    """Show or compare. Of a comparison: 0 where both run the same tactics, 1 where they differ; 64: wrong input."""
    if arguments.what == "show":
        build = read(arguments.build)
        _told(build)
        _table(("layer", "tactic"), sorted(build.tactics.items()))
        return ExitCode.PASSED
    builds = [read(each) for each in (arguments.first, arguments.second)]
    if len({build.source for build in builds if build.source}) > 1:
        raise InvalidInput(
            "one record is the builder's own and the other the engine's inspector's, which name tactics otherwise: "
            "compare two of one kind"
        )
    for mark, build in zip("AB", builds, strict=True):
        _told(build, f"{mark}: ")
    found = difference(*(build.tactics for build in builds))
    rows = [(layer, *each) for layer, each in found.changed.items()]
    rows += [(layer, tactic, "-") for layer, tactic in found.only[0].items()]
    rows += [(layer, "-", tactic) for layer, tactic in found.only[1].items()]
    if rows:
        _table(("layer", "A", "B"), rows)
    print(
        f"{len(found.changed)} layers run another tactic, {len(found.only[0])} are in A alone, "
        f"{len(found.only[1])} in B alone, {found.same} are the same"
    )
    return ExitCode.BREACHED if found else ExitCode.PASSED


def difference(first: Mapping[str, str], second: Mapping[str, str]) -> Difference:
    """Where two builds differ, layer by layer, in the order of their names."""
    both = sorted(first.keys() & second.keys())
    return Difference(
        {layer: (first[layer], second[layer]) for layer in both if first[layer] != second[layer]},
        (
            {layer: first[layer] for layer in sorted(first.keys() - second.keys())},
            {layer: second[layer] for layer in sorted(second.keys() - first.keys())},
        ),
        sum(first[layer] == second[layer] for layer in both),
    )


def read(given: str) -> Build:
    """The build that is named: a record, a report, or a folder with one, and behind `#` which build of a report.

    Raises:
        InvalidInput: there is no such file, it is neither, or it is not said which of several builds is meant.
        Unavailable: the store does not answer.
    """
    place, _, wanted = given.partition("#")
    store = open_store(Storage())
    content = content_at(store, place, "the build", (RECORD, REPORT_JSON))
    if content is None:
        raise InvalidInput(f"there is no {place}, nor a {RECORD} or {REPORT_JSON} in a folder of that name")
    builds = list(builds_in(content, place))
    if not builds:
        raise InvalidInput(
            f"{place} tells no tactics: give a record ({RECORD}), or the report of a candidate whose engine was built"
        )
    named = [build for build in builds if build.name == wanted] if wanted else builds
    if len(named) != 1:
        shown = ", ".join(f"#{build.name} ({build.words})" for build in builds[:MOST_NAMED])
        more = f" and {len(builds) - MOST_NAMED} more" if builds[MOST_NAMED:] else ""
        raise InvalidInput(
            f"{place} tells the tactics of {len(builds)} builds: name one, as in {place}#NAME: {shown}{more}"
        )
    return _whole(named[0], store)


def _whole(build: Build, store: Store) -> Build:
    """The build with all its layers, which a report of many tells only the first of."""
    if build.layers <= len(build.tactics):
        return build
    if not build.record or store.stat(build.record) is None:
        raise InvalidInput(
            f"the report tells {len(build.tactics)} of {build.layers} layers of build #{build.name}, and its record "
            f"{build.record or ''} is not there: give the record itself"
        )
    (found,) = builds_in(store.read(build.record), build.record)
    return replace(build, tactics=found.tactics)


def builds_in(content: bytes, place: str) -> Iterator[Build]:
    """Every build whose tactics a file tells.

    Raises:
        InvalidInput: it is no JSON, or neither a record nor a report.
    """
    try:
        found = json.loads(content)
    except ValueError as error:
        raise InvalidInput(f"{place} is no JSON: give a record ({RECORD}) or a report ({REPORT_JSON})") from error
    if isinstance(found, dict) and _is_tactics(found.get("tactics")):
        yield Build("", str(found.get("words") or "one build"), found["tactics"], str(found.get("source") or ""))
    elif isinstance(found, dict) and isinstance(found.get("candidates"), list):
        yield from _of_candidates(found["candidates"])
        yield from _of_repairs(found.get("repair"))
    elif _is_tactics(found) and found:
        yield Build("", "one build", found)
    else:
        raise InvalidInput(f"{place} is neither a record of tactics nor a report ({REPORT_JSON})")


def _of_candidates(candidates: Sequence[Any]) -> Iterator[Build]:
    for each in objects(candidates):
        told: dict[str, str] = {}
        for layer in objects(each.get("engineLayers")):
            if layer.get("tactic"):
                told[unlike(str(layer.get("name")), told)] = str(layer["tactic"])
        if told:
            yield Build(str(each.get("name")), "a candidate's engine", told, "inspector")


def _of_repairs(repairs: Any) -> Iterator[Build]:
    for repair in objects(repairs):
        for remedy in objects(repair.get("remedies")):
            seen = remedy.get("tactics")
            for each in objects(seen.get("rebuilds") if isinstance(seen, dict) else None):
                if _is_tactics(each.get("tactics")) and each["tactics"]:
                    words = f"{each.get('how')}, {str(each.get('verdict')).lower()}"
                    source, record = str(each.get("source") or ""), str(each.get("record") or "")
                    yield Build(
                        str(each.get("trial")), words, each["tactics"], source, int(each.get("layers") or 0), record
                    )


def _is_tactics(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _told(build: Build, mark: str = "") -> None:
    print(f"{mark}{build.words}: {len(build.tactics)} layers{f', told by the {build.source}' if build.source else ''}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
