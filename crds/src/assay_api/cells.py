"""The cells of a sweep: one per model, candidate, GPU product and image, each with a key that its content decides.

A cell's key is a digest of everything that its answer depends on: the versions of the model with its external data, of
the dataset, of stored golden outputs, of a calibration or an engine; the candidate, the checks, the remedies; the GPU
product, its driver, the image. Equal keys have equal answers, so what has not changed is not audited again. Names and
places are not in it: a model that moves, or is called something else, is the same model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, NamedTuple

from assay_api.audit import AuditSpec, AuditTemplate, CompareWith
from assay_api.candidate import Candidate
from assay_api.model import parse, to_wire
from assay_api.resolved import ModelFound
from assay_api.sweep import MODEL_PLACE
from assay_api.sweep_status import SweepTarget

MEANT: Final[tuple[str, ...]] = ("dataset", "golden", "checks", "remedies")
"""Fields of a template that its answers depend on, beside the candidate."""
OWN: Final = ("model", "calibration", "engine")
"""Fields of a candidate that name files of its own."""
MOST_DRIVERS: Final = 4
"""Drivers of one product of which every combination is told."""


class Place(NamedTuple):
    """What a cell is about, as people name it; `product` is empty where any GPU will do, or none."""

    model: str
    candidate: str
    product: str
    image: str

    @property
    def key(self) -> str:
        """The candidate as an audit's status names it."""
        return f"{self.candidate}@{self.product}" if self.product else self.candidate


class Cell(NamedTuple):
    """A place, and the key of what is there: 16 hexadecimal digits.

    `also` has the keys of answers that hold for it as well: where nodes differ in their drivers, those of audits made
    while there were fewer of these drivers.
    """

    place: Place
    key: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ask:
    """An audit to be made: of one model on one product with one image, for the candidates whose cells have no answer.

    Attributes:
        model: the model.
        product: GPU product, or nothing.
        image: runner image.
        cells: its cells, in the order of the template's candidates.
    """

    model: ModelFound
    product: str
    image: str
    cells: tuple[Cell, ...]


def products_of(template: AuditTemplate, targets: Iterable[SweepTarget], candidate: Candidate) -> list[tuple[str, str]]:
    """GPU products that a candidate is audited on, with the driver of each; one without a name where any will do."""
    if candidate.backend != "tensorrt":
        return [("", "")]
    return [(target.gpu_product, target.driver or "") for target in targets] or [("", "")]


def expand(
    template: AuditTemplate,
    models: Sequence[ModelFound],
    targets: Sequence[SweepTarget],
    images: Sequence[str],
    upgraded: str = "",
) -> tuple[Cell, ...]:
    """Every cell of a sweep: by model, then image, then candidate, then product.

    Args:
        template: the audit of each model.
        models: what was found of the models.
        targets: GPU products; none: any GPU.
        images: runner images, one at least.
        upgraded: the image of an upgrade that is to take over; existing plans are of the other one.
    """
    meanings = [meaning(template, candidate) for candidate in template.candidates]
    owns = [_owns(candidate) for candidate in template.candidates]
    sites = [
        (image, at, product, parts_of(driver))
        for image, at, product, driver in _sites(template, targets, images, upgraded)
    ]
    return tuple(
        _cell(
            Place(model.name, template.candidates[at].name, product, image),
            (meanings[at], f"{model.inputs}{model.sha256 or ''}", _own(model, owns, at)), drivers,
        )
        for model in models
        for image, at, product, drivers in sites
    )  # fmt: skip


def parts_of(driver: str) -> tuple[str, ...]:
    """Some drivers, joined by commas, and after them all fewer ones of them.

    An audit ran on one of the drivers that there were, and nothing says on which: what it answered holds for as long as
    all of them are there. Of more than `MOST_DRIVERS` only those with one are told.
    """
    each = driver.split(",")
    sizes = range(1, len(each) if len(each) <= MOST_DRIVERS else 2)
    return (driver, *(",".join(some) for size in sizes for some in combinations(each, size)))


def places(
    template: AuditTemplate,
    models: Iterable[str],
    targets: Sequence[SweepTarget],
    images: Sequence[str],
    upgraded: str = "",
) -> Iterator[Place]:
    """What the cells of `expand` are about, where nobody knows more of the models than their names.

    Args:
        template: the audit of each model.
        models: names of the models.
        targets: GPU products; none: any GPU.
        images: runner images, one at least.
        upgraded: the image of an upgrade that is to take over.
    """
    sites = list(_sites(template, targets, images, upgraded))
    for model in models:
        for image, at, product, _ in sites:
            yield Place(model, template.candidates[at].name, product, image)


def _sites(
    template: AuditTemplate, targets: Sequence[SweepTarget], images: Sequence[str], upgraded: str
) -> Iterator[tuple[str, int, str, str]]:
    """Where each model is audited: image, place of the candidate in the template, product and its driver."""
    products = [products_of(template, targets, candidate) for candidate in template.candidates]
    for image in images:
        for at, candidate in enumerate(template.candidates):
            if not (candidate.engine and image == upgraded):
                for product, driver in products[at]:
                    yield image, at, product, driver


def cell_key(meaning: str, inputs: str, own: str, product: str, driver: str, image: str) -> str:
    """The key of a cell, from what it depends on; see `meaning` and `ModelFound`."""
    parts = "\0".join((meaning, inputs, own, product, driver, image))
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:16]


def meaning(template: AuditTemplate, candidate: Candidate) -> str:
    """Digest of what a template and a candidate of it mean, wherever files lie and whatever the candidate is called."""
    wire = to_wire(template)
    said = {field: wire[field] for field in MEANT if field in wire}
    if candidate.backend == "tensorrt":
        # A part of a GPU is a resource of its own name.
        said["gpus"] = {k: v for k, v in template.target.resources.items() if "nvidia.com/" in k or k.endswith("/gpu")}
    meant = {"template": said, "candidate": {k: v for k, v in to_wire(candidate).items() if k != "name"}}
    text = json.dumps(_without_places(meant), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def asks(cells: Iterable[Cell], models: Sequence[ModelFound], template: AuditTemplate) -> Iterator[Ask]:
    """The audits that answer some cells, in their order: one per model, product and image.

    Cells with one key are answered by one of them.
    """
    by_name = {model.name: model for model in models}
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    asked: set[str] = set()
    for cell in cells:
        if cell.key not in asked:
            asked.add(cell.key)
            groups.setdefault((cell.place.model, cell.place.product, cell.place.image), []).append(cell)
    for (model, product, image), found in groups.items():
        yield Ask(by_name[model], product, image, tuple(found))


def audit_spec(template: AuditTemplate, ask: Ask, compare_with: CompareWith | None = None) -> AuditSpec:
    """The spec of the audit that answers an ask; `compare_with` is the old engine's report, of an upgrade.

    Raises:
        pydantic.ValidationError: a URI is none with the model's name in it.
    """
    named = {cell.place.candidate for cell in ask.cells}
    wire = _with_name(to_wire(template), ask.model.name)
    wire["candidates"] = [candidate for candidate in wire["candidates"] if candidate["name"] in named]
    sha256 = {"sha256": ask.model.sha256} if ask.model.sha256 else {}
    products = {"gpuProducts": [ask.product]} if ask.product else {}
    target = {k: v for k, v in wire.get("target", {}).items() if k != "gpuProducts"}
    wire["target"] = {**target, "image": ask.image, **products}
    beside = {"compareWith": to_wire(compare_with)} if compare_with else {}
    return parse(AuditSpec, {**wire, "model": {"uri": ask.model.uri, **sha256}, **beside})


def own_uris(candidate: Candidate) -> list[str]:
    """URIs of what a candidate alone depends on."""
    return [part.uri for field in OWN if (part := getattr(candidate, field))]


def placed(uri: str, model: str) -> str:
    """A template's URI with the model's name in it."""
    return uri.replace(MODEL_PLACE, model)


def _cell(place: Place, of: tuple[str, str, str], drivers: Sequence[str]) -> Cell:
    """A cell; `of` is what its key is made of before the product."""
    key, *also = (cell_key(*of, place.product, driver, place.image) for driver in drivers)
    return Cell(place, key, tuple(also))


def _owns(candidate: Candidate) -> bool:
    return bool(own_uris(candidate))


def _own(model: ModelFound, owns: Sequence[bool], at: int) -> str:
    """The digest of what the candidate at a place of the template alone depends on."""
    place = sum(owns[:at])
    return model.own[place] if owns[at] and place < len(model.own) else ""


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(part) for key, part in value.items() if key != "uri"}
    return [_without_places(part) for part in value] if isinstance(value, list) else value


def _with_name(value: Any, model: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: v if k == "artifacts" else _with_name(v, model, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_name(part, model) for part in value]
    return placed(value, model) if key == "uri" and isinstance(value, str) else value
