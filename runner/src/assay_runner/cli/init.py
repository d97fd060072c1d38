"""`assay init`: the first audit of a model, drafted from the model and the data, tried, and written with its guesses.

What it writes validates, and was fed to the model once: whoever runs it next has a report, not a list of mistakes.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from assay_api.audit import ModelRef, Storage
from assay_api.model import problems
from assay_api.names import ExitCode
from assay_runner.cli.documents import read_audit
from assay_runner.cli.failures import say
from assay_runner.cli.places import absolute
from assay_runner.cli.workspace import scratch_folder
from assay_runner.errors import InvalidInput
from assay_runner.stores import open_store
from assay_runner.stores.files import disk_error

_SCHEMES: Final = ("s3://", "file://")
_LONGEST: Final = 40
"""Characters of a name: Jobs are called after it."""


def command(arguments: argparse.Namespace) -> int:
    """Write the audit and say how to run it; 64 where the model or the data cannot be used."""
    file = Path(arguments.output)
    if file.is_dir():
        raise InvalidInput(f"{file} is a folder: name a file in it with --output")
    if os.path.lexists(file) and not arguments.force:
        raise InvalidInput(f"{file} is there already: name another file with --output, or replace it with --force")
    from assay_runner.drafting.draft import draft
    from assay_runner.drafting.facts import facts_of
    from assay_runner.drafting.tried import data_at, made_up
    from assay_runner.models.feeding import Feeding
    from assay_runner.models.loading import load_model

    base = absolute(file, "the audit").parent
    uri, name = _uri(arguments.model, base), _name(arguments.model)
    store = open_store(Storage(), base, say)
    with scratch_folder() as scratch:
        model = load_model(store, ModelRef(uri=uri), scratch, Feeding(feeds=True))
        facts = facts_of(model.path)
        if arguments.data:
            data = data_at(store, _uri(arguments.data, base, folder=True), model, facts, scratch)
        else:
            folder = base / f"{name}-synthetic"
            data = made_up(store, f"file://./{folder.name}/", folder, model, facts, scratch)
    run = shlex.join(["assay", "run", "-f", arguments.output])
    _write(file, draft(name, uri, data, facts, model.outputs, arguments.backend, run))
    read_audit(str(file))
    print(f"{file}: {data.note}; {'made-up data never pass; ' if data.synthetic else ''}next: {run}")
    return ExitCode.PASSED


def _uri(given: str, base: Path, folder: bool = False) -> str:
    """A path as a URI: relative to the audit's folder where it lies below, else absolute.

    Raises:
        InvalidInput: no audit takes such a URI.
    """
    uri = given if given.startswith(_SCHEMES) else _of_path(given, base, folder)
    try:
        ModelRef(uri=uri)
    except ValidationError as error:
        raise InvalidInput(f"{given}: {problems(error)[0].removeprefix('uri: ')}") from error
    return uri


def _of_path(given: str, base: Path, folder: bool) -> str:
    path = absolute(given, "the file")
    below = path.is_relative_to(base)
    end = "/" if folder and path.is_dir() else ""
    return f"file://./{path.relative_to(base)}{end}" if below else f"file://{path}{end}"


def _name(model: str) -> str:
    stem = Path(model.rstrip("/")).stem.lower()
    found = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:_LONGEST].strip("-")
    return found or "model"


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: what is read back is what was written.
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_text(text, "utf-8")
        fresh.replace(file)
    except OSError as error:
        raise disk_error(error, file) from error
