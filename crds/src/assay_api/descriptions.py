"""What each field means, as its type says it: the string that stands below the field.

Only schemas and reference pages show descriptions, and finding them means parsing source text. So whoever writes a
schema asks here, and whoever only uses the types does not pay for it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap

from pydantic import BaseModel

__all__ = ["descriptions"]


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a type by the field's name, inherited ones among them; fields without are left out.

    Raises:
        OSError: the source of the type cannot be found.
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _below_fields(base)
    return {name: text for name, text in found.items() if name in model.model_fields}


def _below_fields(model: type[BaseModel]) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            found[field.target.id] = inspect.cleandoc(text.value.value)
    return found
