"""Audit files: YAML read as strictly as `kubectl` reads it, every problem named with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from assay_api.audit import AccuracyAudit
from assay_api.gpu_screening import GpuScreening
from assay_api.model import parse, problems
from assay_api.names import API_VERSION, KIND, SCREENING_KIND, SWEEP_KIND
from assay_api.sweep import AccuracySweep
from assay_runner.cli.audit_text import text_of
from assay_runner.cli.heads import Resource, head, label_of, meant
from assay_runner.cli.hidden_problems import hidden_problems
from assay_runner.cli.lines import with_lines
from assay_runner.cli.misspelt import suggested
from assay_runner.cli.places import absolute
from assay_runner.cli.strict_yaml import Read, load_all
from assay_runner.errors import InvalidInput

_LONG: Final = re.compile(r"([^\s\x00-\x1f]{80})\S{20,}")
"""A word that no sentence of ours has."""
_LONGEST_SENTENCE: Final = 800
_MOST_TOLD: Final = 8
"""Problems that one sentence tells."""


@dataclass(frozen=True)
class Document:
    """One document of a file.

    Attributes:
        label: its name, or its place in the file where it has none.
        resource: the audit, the sweep or the screening, or None where there are problems.
        problems: one sentence each, led by its line and the field's path, in the order of the text.
        mistakes: those of them that are of the text itself, led by line and column.
    """

    label: str
    resource: Resource | None
    problems: tuple[str, ...]
    mistakes: tuple[str, ...] = ()


def base_folder(filename: str) -> Path:
    """Folder that file://./path in the audit is relative to."""
    return absolute("." if filename == "-" else Path(filename).parent, "the folder of the audit")


def read_documents(filename: str) -> tuple[Document, ...]:
    """Every document of a file, each judged.

    Raises:
        InvalidInput: the file cannot be read, is no YAML, or holds nothing. What is wrong before its YAML ends is told
            with it.
    """
    text = text_of(filename)
    try:
        found, broken = load_all(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(_sentence(filename, (_broken(error, text),))) from error
    documents = tuple(
        _document(read, i) for i, read in enumerate(r for r in found if r.value is not None or r.mistakes)
    )
    if broken is not None:
        raise InvalidInput(_sentence(filename, (_broken(broken, text), *_told(documents)))) from broken
    if not documents:
        raise InvalidInput(f"{filename}: empty; give an {KIND}, see `assay schema` for its fields")
    return documents


def _broken(error: Exception, text: str) -> str:
    """What ended the reading of a file, and where."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{where}{_bounded(error.problem or error.context or 'not YAML')}; correct the YAML there"
    place = getattr(error, "position", None)
    where = f"line {text.count(chr(10), 0, place) + 1}: " if isinstance(place, int) else ""
    return f"{where}not YAML ({_first_line(error)}); correct the file"


def read_resources(filename: str) -> tuple[Resource, ...]:
    """Every audit, sweep and screening of a file.

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
        if document.resource is not None and not isinstance(document.resource, AccuracyAudit):
            kind = f"an {SWEEP_KIND}" if isinstance(document.resource, AccuracySweep) else f"a {SCREENING_KIND}"
            raise InvalidInput(
                f"{filename}: {document.label} is {kind}, which runs in a cluster: kubectl apply it there, or "
                f"give an {KIND}"
            )
    return tuple(d.resource for d in documents if isinstance(d.resource, AccuracyAudit))


def _without_problems(filename: str) -> tuple[Document, ...]:
    documents = read_documents(filename)
    if found := _told(documents):
        raise InvalidInput(_sentence(filename, found))
    return documents


def _told(documents: Sequence[Document]) -> list[str]:
    return [problem for document in documents for problem in document.problems]


def refuse_mistakes(filename: str, documents: Sequence[Document]) -> None:
    """Refuse a file whose text is wrong.

    Raises:
        InvalidInput: a key stands twice, or a value cannot be read.
    """
    if found := [mistake for document in documents for mistake in document.mistakes]:
        raise InvalidInput(f"{_sentence(filename, found)}; correct the YAML there")


def _sentence(filename: str, problems: Sequence[str]) -> str:
    """The problems of a file in one sentence, which names the file once: as many as fit, and one at least."""
    shown = 0
    while shown < min(len(problems), _MOST_TOLD) and len("; ".join(problems[: shown + 1])) <= _LONGEST_SENTENCE:
        shown += 1
    shown = max(shown, 1)
    more = len(problems) - shown
    rest = (f"and {more} more, which `assay validate` lists",) if more else ()
    return f"{filename}: {'; '.join((*problems[:shown], *rest))}"


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


def _document(read: Read, index: int) -> Document:
    place, value = f"document {index + 1}", read.value
    mistakes = tuple(_bounded(each.told()) for each in read.mistakes)
    if not isinstance(value, dict):
        told = mistakes or (f"{place}: not a mapping, but {_kind(value)}; an audit begins with apiVersion",)
        return Document(place, None, told, mistakes)
    if mistakes and meant(value) is None:
        return Document(label_of(value, place), None, mistakes, mistakes)
    resource, problems = _judged(value)
    told = tuple(_bounded(each) for each in with_lines(read, problems))
    return Document(label_of(value, place), None if told else resource, told, mistakes)


def _judged(value: dict[Any, Any]) -> tuple[Resource | None, tuple[str, ...]]:
    """What a document stands for, as far as it is one of ours, and what is wrong with it."""
    found = list(head(value))
    kind = meant(value)
    if kind is None:
        return None, tuple(found)  # It is something else, by other rules.
    names = {"apiVersion": API_VERSION, "kind": kind.__name__}
    # What the cluster wrote about it is no part of what its user wrote.
    given = {key: each for key, each in value.items() if key != "status"} | names
    try:
        resource = parse(kind, given)
    except ValidationError as error:
        named = [problem for problem in problems(error) if not (found and problem.startswith("metadata"))]
        more = [each for each in hidden_problems(kind, given, named) if not (found and each.startswith("metadata"))]
        return None, (*found, *suggested(kind, given, (*named, *more)))
    except (ValueError, TypeError) as error:
        return None, (*found, f"document: {_first_line(error)}; correct the value")
    return resource, (*found, *suggested(kind, given, _beyond_schema(resource)))


def _beyond_schema(resource: Resource) -> Iterator[str]:
    if isinstance(resource, GpuScreening):
        from assay_api.screening_rules import screening_problems

        yield from (f"spec.{problem}" for problem in screening_problems(resource.spec))
        return
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
