"""``TELECLAUDE_SECTION__KEY`` variables → values of the types that the keys have. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from teleclaude.config.problems import KeyPath

PREFIX = "TELECLAUDE_"


class UnreadableError(ValueError):
    """A variable's text does not have its key's form."""


def overrides(environ: Mapping[str, str]) -> dict[str, KeyPath]:
    """The variables that stand for keys, and the key each stands for; others of our prefix have no ``__``."""
    found: dict[str, KeyPath] = {}
    for variable in sorted(environ):
        parts = variable.removeprefix(PREFIX).split("__")
        if variable.startswith(PREFIX) and len(parts) > 1:
            found[variable] = tuple(part.lower() for part in parts)
    return found


def read_value(annotation: Any, text: str) -> Any:
    """``text`` as a value for a key of type ``annotation``: JSON for lists and maps, plain for everything else.

    For a key that may be unset, nothing or ``null`` unsets it. Raises ``UnreadableError``.
    """
    kinds = list(_kinds(annotation))
    if type(None) in kinds and text in {"", "null"}:
        return None
    if any(get_origin(kind) in {tuple, dict} or _is_model(kind) for kind in kinds):
        return _json(text)
    if bool in kinds:
        if text in {"true", "false"}:
            return text == "true"
        raise UnreadableError("must be true or false")
    if int in kinds:
        if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
            return int(text)
        raise UnreadableError("must be a decimal number")
    return text


def field_type(model: type[BaseModel], path: KeyPath) -> Any:
    """The type of the key at ``path``; None when there is no such key."""
    current: Any = model
    for part in path:
        current = _step(current, part)
        if current is None:
            return None
    return current


def known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that may stand in the mapping at ``path``; none where any name is allowed."""
    for kind in _kinds(field_type(model, path)):
        if _is_model(kind):
            return list(kind.model_fields)
    return []


def _step(current: Any, part: str | int) -> Any:
    for kind in _kinds(current):
        if _is_model(kind):
            info = kind.model_fields.get(str(part))
            return info.annotation if info is not None else None
        arguments = get_args(kind)
        if get_origin(kind) is dict:
            return arguments[1]
        if get_origin(kind) is tuple and isinstance(part, int):
            return arguments[0]
    return None


def _kinds(annotation: Any) -> list[Any]:
    """The alternatives of a type, without ``Annotated`` around them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [kind for choice in get_args(annotation) for kind in _kinds(choice)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, (SecretStr, Path))


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except UnreadableError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError('must be JSON, such as ["a", "b"] or {"key": "value"}') from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UnreadableError("has a key twice")
    return values


def _no_constant(name: str) -> Any:
    raise UnreadableError(f"{name} is no number")
