"""Audit files: YAML read as strictly as `kubectl` reads it, every problem named with its place."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from assay_api.audit import AccuracyAudit
from assay_api.model import parse, problems
from assay_api.names import API_VERSION, KIND, SWEEP_KIND
from assay_api.sweep import AccuracySweep
from assay_runner import journal
from assay_runner.cli.heads import head, label_of, meant
from assay_runner.cli.hidden_problems import hidden_problems
from assay_runner.cli.places import absolute
from assay_runner.cli.strict_yaml import load_all
from assay_runner.errors import InvalidInput
from assay_runner.stores.files import human
from assay_runner.stores.regular import Irregular, open_regular

STANDARD_INPUT: Final = "standard input"
MOST_BYTES: Final = 1 << 20
"""Bytes of a file; etcd keeps no object that is much larger."""
_LONG: Final = re.compile(r"([^\s\x00-\x1f]{80})\S{20,}")
"""A word that no sentence of ours has."""
_LONGEST_SENTENCE: Final = 800
_MOST_TOLD: Final = 8
"""Problems that one sentence tells."""
_HANDED_ON: Final = ("/dev/fd/", "/dev/std", "/proc/")
"""Where a shell's `<(…)` is found: a pipe that somebody writes to."""


@dataclass(frozen=True)
class Document:
    """One document of a file.

    Attributes:
        label: its name, or its place in the file where it has none.
        resource: the audit or the sweep, or None where there are problems.
        problems: one sentence each, led by the field's path.
    """

    label: str
    resource: AccuracyAudit | AccuracySweep | None
    problems: tuple[str, ...]


def base_folder(filename: str) -> Path:
    """Folder that file://./path in the audit is relative to."""
    return absolute("." if filename == "-" else Path(filename).parent, "the folder of the audit")


def read_documents(filename: str) -> tuple[Document, ...]:
    """Every document of a file, each judged.

    Raises:
        InvalidInput: the file cannot be read, is no YAML, or holds nothing.
    """
    text = _text(filename)
    try:
        values = [v for v in load_all(text) if v is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = _bounded(error.problem or error.context or "not YAML")
        raise InvalidInput(f"{filename}: {where}{what}; correct the YAML there") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"{filename}: not YAML ({_first_line(error)}); correct the file") from error
    if not values:
        raise InvalidInput(f"{filename}: empty; give an {KIND}, see `assay schema` for its fields")
    return tuple(_document(value, index) for index, value in enumerate(values))


def read_resources(filename: str) -> tuple[AccuracyAudit | AccuracySweep, ...]:
    """Every audit and every sweep of a file.

    Raises:
        InvalidInput: a document has problems; one sentence each.
    """
    return tuple(d.resource for d in _without_problems(filename) if d.resource is not None)


def read_audits(filename: str) -> tuple[AccuracyAudit, ...]:
    """Every audit of a file.

    Raises:
        InvalidInput: a document has problems, or is a sweep; one sentence each.
    """
    documents = _without_problems(filename)
    for document in documents:
        if isinstance(document.resource, AccuracySweep):
            raise InvalidInput(
                f"{filename}: {document.label} is an {SWEEP_KIND}, which runs in a cluster: kubectl apply it there, or "
                f"give an {KIND}"
            )
    return tuple(d.resource for d in documents if isinstance(d.resource, AccuracyAudit))


def _without_problems(filename: str) -> tuple[Document, ...]:
    documents = read_documents(filename)
    found = [f"{filename}: {problem}" for document in documents for problem in document.problems]
    if len(found) > _MOST_TOLD:
        more = len(found) - _MOST_TOLD
        found[_MOST_TOLD:] = [f"and {more} more, which `assay validate` lists"]
    if found:
        raise InvalidInput("; ".join(found))
    return documents


def read_audit(filename: str, command: str = "run") -> AccuracyAudit:
    """The only audit of a file, for a command.

    Raises:
        InvalidInput: problems, or more than one document.
    """
    audits = read_audits(filename)
    if len(audits) != 1:
        named = ", ".join(str(a.metadata["name"]) for a in audits)
        raise InvalidInput(
            f"{filename}: holds {len(audits)} audits ({named}), and `assay {command}` takes one: split the file"
        )
    return audits[0]


def _text(filename: str) -> str:
    try:
        content = _content(filename)
    except Irregular:
        if os.path.isdir(filename):
            raise InvalidInput(f"{filename} is a folder: name the audit's YAML file in it") from None
        raise
    except FileNotFoundError:
        raise InvalidInput(f"{filename} does not exist: name the audit's YAML file") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidInput(f"{filename} cannot be read ({reason}): name the audit's YAML file") from error
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"{filename} has more than {human(MOST_BYTES)}: name the audit's YAML file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{filename} is not UTF-8 text (byte {error.start}): store it as UTF-8") from error


def _content(filename: str) -> bytes:
    """A file's bytes, and one more than are allowed at most; of pipes and devices those that a shell hands on."""
    if filename == "-":
        return _standard_input()
    if not os.path.normpath(filename).startswith(_HANDED_ON):
        with open_regular(Path(filename), filename) as file:
            return file.read(MOST_BYTES + 1)
    with Path(filename).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _standard_input() -> bytes:
    """What was read by the process before this one, if it died: a pipe can be read once."""
    kept = journal.kept(STANDARD_INPUT)
    if isinstance(kept, str):
        return kept.encode("latin-1")
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    journal.keep(STANDARD_INPUT, content.decode("latin-1"))
    return content


def _document(value: Any, index: int) -> Document:
    place = f"document {index + 1}"
    if not isinstance(value, dict):
        return Document(place, None, (f"{place}: not a mapping, but {_kind(value)}; an audit begins with apiVersion",))
    label = label_of(value, place)
    found = list(head(value))
    kind = meant(value)
    if kind is None:
        return Document(label, None, tuple(found))  # It is something else, by other rules.
    names = {"apiVersion": API_VERSION, "kind": kind.__name__}
    # What the cluster wrote about it is no part of what its user wrote.
    given = {key: each for key, each in value.items() if key != "status"} | names
    try:
        resource = parse(kind, given)
    except ValidationError as error:
        named = [problem for problem in problems(error) if not (found and problem.startswith("metadata"))]
        more = [each for each in hidden_problems(kind, given, named) if not (found and each.startswith("metadata"))]
        return Document(label, None, tuple(_bounded(each) for each in (*found, *named, *more)))
    except (ValueError, TypeError) as error:
        return Document(label, None, (*found, f"document: {_first_line(error)}; correct the value"))
    beyond = tuple(_bounded(problem) for problem in _beyond_schema(resource))
    return Document(label, None if found else resource, (*found, *beyond))


def _beyond_schema(resource: AccuracyAudit | AccuracySweep) -> Iterator[str]:
    from assay_runner.checks import parse_checks

    sweep = resource.spec if isinstance(resource, AccuracySweep) else None
    try:
        parse_checks(resource.spec.template if isinstance(resource, AccuracySweep) else resource.spec)
    except InvalidInput as error:
        yield str(error).replace("spec.checks", "spec.template.checks") if sweep else str(error)
    if sweep:
        # Time zones take a while to import, and an audit has none.
        from assay_api.sweep_rules import sweep_problems

        yield from (f"spec.{problem}" for problem in sweep_problems(sweep))


def _bounded(sentence: str) -> str:
    """A sentence in which whatever it quotes of the file is quoted in part."""
    short = _LONG.sub(r"\1…", sentence)
    return short if len(short) <= _LONGEST_SENTENCE else f"{short[: _LONGEST_SENTENCE - 200]}… {short[-200:]}"


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else f"a {type(value).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
