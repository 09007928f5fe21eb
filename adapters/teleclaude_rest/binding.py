"""A request's path, query and body as a typed command. Pure, and strict: nothing is coerced, nothing is ignored."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from teleclaude.errors import InvalidError
from teleclaude.wire import jsonio
from teleclaude.wire.problems import invalid

M = TypeVar("M", bound=BaseModel)

MAX_QUERY_FIELDS = 32

_DECIMAL = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


@lru_cache
def wire_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of the model's fields as clients write them."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def parse_query(text: str, *, operation: str) -> dict[str, str]:
    """A query string as a map. Raises ``InvalidError`` for a repeated name, a name without ``=`` and bad UTF-8."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise InvalidError(
            f"the query string is not name=value pairs in UTF-8 joined by & (at most {MAX_QUERY_FIELDS})",
            operation=operation,
        ) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidError(f"query parameter {_shown(name)} appears twice", operation=operation)
        found[name] = value
    return found


def refuse_unknown(given: Iterable[str], known: Iterable[str], *, what: str, operation: str) -> None:
    """Raises ``InvalidError`` naming the first of ``given`` that is not ``known``."""
    known = tuple(known)
    for name in given:
        if name not in known:
            offered = f"this request takes {', '.join(known)}" if known else "this request takes none"
            raise InvalidError(f"{what} {_shown(name)} is not known; {offered}", operation=operation)


def from_query(model: type[BaseModel], query: Mapping[str, str], *, operation: str) -> dict[str, Any]:
    """Query values as JSON values of the types that ``model`` wants.

    Numbers are plain decimal digits, flags ``true`` or ``false``; anything else raises ``InvalidError``.
    """
    kinds = _kinds(model)
    return {name: _converted(name, value, kinds[name], operation) for name, value in query.items()}


def build(model: type[M], fields: Mapping[str, Any], *, operation: str) -> M:
    """The model from wire names and JSON values; raises ``InvalidError`` with all findings."""
    refuse_unknown(fields, wire_names(model), what="field", operation=operation)
    try:
        # Validating JSON text rather than objects makes strict mode accept what JSON can say (an enum as a string).
        return model.model_validate_json(jsonio.dumps(fields))
    except UnicodeEncodeError:
        raise InvalidError("a lone surrogate is not text; send valid Unicode", operation=operation) from None
    except ValidationError as error:
        raise invalid(error, operation=operation) from None


def whole_number(name: str, text: str, *, operation: str) -> int:
    """A count or offset in plain decimal digits, optionally negative; raises ``InvalidError``."""
    # -0 would read as "the last 0 bytes" to one reader and "from 0" to another.
    if _DECIMAL.fullmatch(text) is None or (text.startswith("-") and int(text) == 0):
        raise InvalidError(f"{name} is not a plain decimal number: {_shown(text)}", operation=operation)
    return int(text)


def _converted(name: str, text: str, kind: type, operation: str) -> Any:
    if kind is int:
        return whole_number(name, text, operation=operation)
    if kind is bool:
        if text not in _BOOLEANS:
            raise InvalidError(f"{name} is true or false, not {_shown(text)}", operation=operation)
        return _BOOLEANS[text]
    return text


@lru_cache
def _kinds(model: type[BaseModel]) -> dict[str, type]:
    return {field.alias or name: _kind(field.annotation) for name, field in model.model_fields.items()}


def _kind(annotation: Any) -> type:
    leaves = set(_leaves(annotation))
    return next((kind for kind in (bool, int) if kind in leaves), str)


def _leaves(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:60] + "…")
