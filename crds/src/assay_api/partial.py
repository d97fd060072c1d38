"""Rules that a document breaks beside its other mistakes, so that all of them are told in one round.

pydantic asks an object's rules only once all its fields are right, and tells the first that does not hold. Here every
object is taken with the fields that are right; a rule that reads one that is not, or that may be meant by an unknown
field, is passed over, for nobody knows what it would say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, Final, NoReturn, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from assay_api.model import Model, duplicates
from assay_api.sentences import Place, path_of

MEANT: Final = 0.6
"""How alike an unknown field and an absent one are (difflib's ratio) where the one may be meant for the other."""
MOST: Final = 64
"""Unknown fields that are looked at; who has more has not misspelt one."""
LONGEST: Final = 64
"""Characters of an unknown field that are looked at."""


class Unsure(Exception):
    """A value that is asked for is missing or wrong."""


class _Wrong:
    """A value that stands there and is wrong: not None, and nothing else is known of it."""

    def _unsure(self, *_: object) -> NoReturn:
        raise Unsure

    __bool__ = __iter__ = __len__ = __getattr__ = __getitem__ = __contains__ = _unsure
    __lt__ = __le__ = __gt__ = __ge__ = __hash__ = __str__ = __repr__ = _unsure
    __eq__ = __ne__ = _unsure


WRONG: Final = _Wrong()


class Partial:
    """An object of which some fields are right; stands in for its type where a rule reads it."""

    def __init__(
        self, cls: type[Model], values: Mapping[str, Any], given: frozenset[str], unsure: frozenset[str]
    ) -> None:
        """Hold it.

        Args:
            cls: its type.
            values: what is known, by the name of the field in Python.
            given: fields that stand there, right or wrong.
            unsure: fields that do not, unless an unknown one is meant for them.
        """
        self._cls, self._values, self._unsure = cls, values, unsure
        self.model_fields_set = given

    def __getattr__(self, name: str) -> Any:
        """A field, or what the type derives of its fields."""
        if name in self._values and name not in self._unsure:
            return self._values[name]
        derived = getattr(self._cls, name, None)
        if isinstance(derived, property) and derived.fget:
            return derived.fget(self)
        raise Unsure(name)

    def has(self, field: str) -> bool:
        """Whether the object gave the field, right or wrong."""
        if field in self._unsure:
            raise Unsure(field)
        return field in self.model_fields_set


def broken_rules(cls: type[Model], data: Any) -> list[str]:
    """One sentence per rule that does not hold, whatever else is wrong; each led by the path of its object.

    Args:
        cls: what the data are to be.
        data: JSON or YAML values.
    """
    return [f"{path_of(place)}: {message}" for place, message in _broken(cls, data, ())]


def partly(cls: type[Model], data: Any) -> Any:
    """The object, or what there is of it; `Unsure` is raised by what is not there.

    Raises:
        Unsure: it is no object at all.
    """
    if not isinstance(data, dict):
        raise Unsure(cls.__name__)
    return _partial(cls, data)


def objects(cls: type[Model], data: Any) -> Iterator[tuple[str, type[Model], Mapping[Any, Any]]]:
    """Every object of a document: its path, empty for the document itself, its type, and what stands there."""
    yield from ((path_of(place) if place else "", kind, value) for place, kind, value in _objects(cls, data, ()))


def _objects(cls: type[Model], data: Any, place: Place) -> Iterator[tuple[Place, type[Model], Mapping[Any, Any]]]:
    if not isinstance(data, dict):
        return
    yield place, cls, data
    for field in cls.model_fields.values():
        name = field.alias or ""
        if data.get(name) is not None:
            for inner, value, where in _inside(field.annotation, data[name], (*place, name)):
                yield from _objects(inner, value, where)


def _broken(cls: type[Model], data: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if not isinstance(data, dict):
        return
    for field in cls.model_fields.values():
        name = field.alias or ""
        if data.get(name) is not None:
            for inner, value, where in _inside(field.annotation, data[name], (*place, name)):
                yield from _broken(inner, value, where)
    whole = _partial(cls, data)
    for message in _unheld(cls, whole):
        yield place, message


def _unheld(cls: type[Model], whole: Any) -> Iterator[str]:
    """What the rules of an object say of it, in their order."""
    with suppress(Unsure):
        yield from duplicates(cls, whole)
    for rule in cls.RULES:
        try:
            held = rule.holds(whole)
        except Exception:  # Of what is not right a rule may think anything.
            continue
        if not held:
            yield rule.message
    try:
        yield from cls.further_problems(whole)
    except Exception:
        return


def _partial(cls: type[Model], data: Mapping[str, Any]) -> Partial:
    values: dict[str, Any] = {}
    given, unsure = set[str](), set[str]()
    aliases = {field.alias for field in cls.model_fields.values()}
    unknown = [str(key)[:LONGEST] for key in data if key not in aliases][:MOST]
    for name, field in cls.model_fields.items():
        alias = field.alias or name
        if data.get(alias) is not None:
            given.add(name)
            try:
                values[name] = _value(field, data[alias])
            except Unsure:
                values[name] = WRONG
        else:
            if get_close_matches(alias, unknown, cutoff=MEANT):
                unsure.add(name)
            if not field.is_required():
                values[name] = field.get_default(call_default_factory=True)
    return Partial(cls, values, frozenset(given), frozenset(unsure))


def _value(field: FieldInfo, given: Any) -> Any:
    """A field's value by its type, or as much as there is of it."""
    try:
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        return adapter.validate_json(json.dumps(given, default=str), strict=True)
    except (ValidationError, ValueError):
        pass
    found = [(place, _partial(inner, value)) for inner, value, place in _inside(field.annotation, given, ())]
    if isinstance(given, dict) and len(found) == 1 and found[0][0] == ():
        return found[0][1]
    if isinstance(given, list) and found and len(found) == len(given):
        return tuple(value for _, value in found)
    if isinstance(given, dict) and found and len(found) == len(given):
        return {place[-1]: value for place, value in found}
    if (
        get_origin(field.annotation) is tuple
        and isinstance(given, list)
        and all(isinstance(one, dict) for one in given)
    ):
        return tuple(given)  # Of free objects, as checks are, rules read the keys.
    raise Unsure


def _inside(annotation: Any, given: Any, place: Place) -> Iterator[tuple[type[Model], Any, Place]]:
    """Objects that a field's value is, or holds, each with its type and place."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Model) and isinstance(given, dict):
            yield annotation, given, place
        return
    kinds = get_args(annotation)
    if get_origin(annotation) is tuple and isinstance(given, list):
        for index, item in enumerate(given):
            yield from _inside(kinds[0], item, (*place, index))
    elif get_origin(annotation) is dict and isinstance(given, dict):
        for key, item in given.items():
            yield from _inside(kinds[1], item, (*place, str(key)))
    elif get_origin(annotation) not in (tuple, dict):
        for kind in kinds:
            yield from _inside(kind, given, place)
