"""Commands of the daemon from what a person wrote."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from teleclaude.wire.base import Command
from teleclaude.wire.problems import invalid

C = TypeVar("C", bound=Command[Any])


def checked(kind: type[C], fields: dict[str, Any]) -> C:
    """Raises ``InvalidError`` with a sentence for the person."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, operation=kind.operation) from None
