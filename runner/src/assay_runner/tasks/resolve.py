"""Looking at the models of a sweep: which there are, and what their cells depend on in the store.

Nothing is computed, and no object is read for what it holds: versions (S3's ETags) tell whether one has changed; of
files of the image, whose times can be set back, the content does. Only a model's own file is fetched once, for it alone
names its external data; which those are is kept in the cache under its version.
What is missing or no model is told like everything else, by a digest: its own audit says what is wrong with it, and no
other model waits for that.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from assay_api.audit import AuditTemplate
from assay_api.cells import own_uris, placed
from assay_api.model import Model
from assay_api.plan import Task
from assay_api.resolved import PAGE_BYTES, ModelFound, Resolved
from assay_api.result import TaskResult
from assay_api.sweep import ModelPrefix, SweepModel
from assay_runner.digests import open_sha256
from assay_runner.errors import Internal, InvalidInput
from assay_runner.models.files import external_tensors, fetch_model
from assay_runner.models.outline import read_outline
from assay_runner.stores import Stat, beside, join
from assay_runner.stores.regular import open_regular
from assay_runner.stores.sealed import Damaged, put_record, read_record
from assay_runner.tasks.context import Context

SUFFIX: Final = ".onnx"
LONGEST_NAME: Final = 512
MISSING: Final = "missing"


class ExternalRecord(Model):
    """The external data of one version of a model's file."""

    locations: tuple[str, ...]
    """Where they lie, as the model names them."""


def run_resolve(task: Task, context: Context) -> TaskResult:
    """Tell as many models as one answer takes.

    Raises:
        InvalidInput: a prefix has no model, or one with a name that cannot be told.
        Unavailable: the store does not answer.
    """
    order = task.resolve
    if order is None:
        raise Internal(f"task {task.key} does not say which models to look at")
    found = _below(order.prefix, context) if order.prefix else sorted(order.models, key=lambda model: model.name)
    wanted = [model for model in found if model.name > order.after]
    look = _Look(task, context)
    context.progress.stage("look at models", total=len(wanted), unit="models")
    told: list[ModelFound] = []
    size = 0
    for model in wanted:
        entry = look.at(model)
        size += len(entry.model_dump_json(by_alias=True, exclude_defaults=True).encode()) + 1
        if told and size > PAGE_BYTES:
            break
        told.append(entry)
        context.progress.advance()
    if look.refused and len(look.refused) == len(told):
        # It is no model's own trouble: the credentials, or the bucket.
        raise look.refused[0]
    more = len(told) < len(wanted) or order.more
    message = f"{len(told)} models looked at{', and there are more' if more else ''}"
    return TaskResult(task=task.digest, resolved=Resolved(models=tuple(told), more=more), message=message)


class _Look:
    """Looks at one model after another; what several depend on is listed once.

    Args:
        task: whose template says what there is beside a model.
        context: of the task.

    Attributes:
        refused: why the store would not look a model up, one for each.
    """

    def __init__(self, task: Task, context: Context) -> None:
        self._template: AuditTemplate = task.spec
        self._cache, self._store = task.cache, context.store
        self._folder = context.workdir(task)
        self._listed: dict[str, str] = {}
        self.refused: list[InvalidInput] = []

    def at(self, model: SweepModel) -> ModelFound:
        """What its cells depend on."""
        shared = [self._template.dataset.uri, *([self._template.golden.uri] if self._template.golden.uri else [])]
        versions = [self._model(model.uri), *(self._files(placed(uri, model.name)) for uri in shared)]
        own = (own_uris(candidate) for candidate in self._template.candidates)
        digests = (_digest(self._own(placed(uri, model.name)) for uri in uris) for uris in own if uris)
        return ModelFound(
            name=model.name, uri=model.uri, sha256=model.sha256, inputs=_digest(versions), own=tuple(digests)
        )

    def _own(self, uri: str) -> str:
        """Version of a candidate's own file or files."""
        return self._model(uri) if uri.endswith(SUFFIX) else self._files(uri)

    def _files(self, uri: str) -> str:
        """Versions of a file, or of all files below a prefix, by their names there."""
        if uri not in self._listed:
            self._listed[uri] = _digest(
                f"{each.uri[len(uri) :]}\0{each.size}\0{self._version(each)}" for each in self._list(uri)
            )
        return self._listed[uri]

    def _list(self, uri: str) -> list[Stat]:
        """What lies there; a name that only begins alike is no part of it."""
        try:
            one = None if uri.endswith("/") else self._store.stat(uri)
            return [one] if one else list(self._store.list(f"{uri.rstrip('/')}/"))
        except InvalidInput:
            return []

    def _model(self, uri: str) -> str:
        """Versions of a model's file and of its external data."""
        if uri not in self._listed:
            found = self._found(uri)
            parts = [f"{found.size}\0{self._version(found)}" if found else MISSING]
            for location in self._external(uri, found) if found else ():
                data = self._store.stat(beside(uri, location))
                parts.append(f"{location}\0{data.size}\0{self._version(data)}" if data else f"{location}\0{MISSING}")
            self._listed[uri] = _digest(parts)
        return self._listed[uri]

    def _version(self, found: Stat) -> str:
        """What tells the content of an object from any other."""
        path = self._store.local_path(found.uri)
        if path is None:
            return found.version
        # What cannot be read its own audit tells of.
        with suppress(InvalidInput, OSError), open_regular(path, found.uri) as file:
            return open_sha256(file)
        return found.version

    def _found(self, uri: str) -> Stat | None:
        try:
            return self._store.stat(uri)
        except InvalidInput as error:
            self.refused.append(error)
            return None

    def _external(self, uri: str, found: Stat) -> tuple[str, ...]:
        """Where a model's external data lie: as the cache has it, or by reading the model."""
        name = hashlib.sha256(f"{uri}\0{found.size}\0{self._version(found)}".encode()).hexdigest()[:32]
        record = join(self._cache, "external", f"{name}.json")
        try:
            kept = read_record(self._store, record, ExternalRecord, "list of external data")
        except Damaged:
            kept = None
        if kept is None:
            kept = ExternalRecord(locations=self._read(uri))
            put_record(self._store, record, kept)
        return kept.locations

    def _read(self, uri: str) -> tuple[str, ...]:
        from google.protobuf.message import DecodeError

        from assay_api.audit import ModelRef

        folder = self._folder / "model"
        try:
            proto = read_outline(fetch_model(self._store, ModelRef(uri=uri), folder))
            locations = {location for location, _ in external_tensors(proto)}
        except (DecodeError, InvalidInput):
            # Its own audit says what is wrong with it.
            return ()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return tuple(sorted(location for location in locations if _inside(location)))


def _inside(location: str) -> bool:
    """Whether it may be asked for: a plain name below the model's folder, as `fetch_external` holds it to be."""
    return bool(location) and not location.startswith("/") and ".." not in location.split("/") and "\0" not in location


def _below(prefix: ModelPrefix, context: Context) -> list[SweepModel]:
    uri = prefix.uri.rstrip("/") + "/"
    paths = (each.uri[len(uri) :] for each in context.store.list(uri))
    matching = [path for path in paths if fnmatch.fnmatchcase(path, prefix.match)]
    if not matching:
        raise InvalidInput(f"no object below {uri} matches {prefix.match}: correct modelPrefix, or store a model there")
    for path in matching:
        if not path.isprintable() or len(path) > LONGEST_NAME:
            raise InvalidInput(f"a model below {uri} is called {path[:80]!r}, which cannot be told: rename it")
    models = {path.removesuffix(SUFFIX): path for path in matching}
    if len(models) < len(matching):
        twice = next(name for name in models if {name, name + SUFFIX} <= set(matching))
        raise InvalidInput(
            f"{twice} and {twice}{SUFFIX} below {uri} would both be called {twice}: narrow modelPrefix.match"
        )
    return [SweepModel.model_construct(name=name, uri=uri + path, sha256=None) for name, path in sorted(models.items())]


def _digest(parts: Iterable[str]) -> str:
    """16 hexadecimal digits of some texts, whose number and order count."""
    digest = hashlib.sha256()
    for part in itertools.chain(parts):
        text = part.encode(errors="surrogatepass")
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()[:16]
