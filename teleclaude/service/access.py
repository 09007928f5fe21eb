"""Who may do what, and which computer a reference means. Pure decisions."""

from __future__ import annotations

from typing import Any

from teleclaude.errors import ForbiddenError, InvalidError, UnavailableError
from teleclaude.model import Principal, is_name
from teleclaude.wire.base import Command


def authorise(principal: Principal, command: Command[Any]) -> None:
    """Raises ``ForbiddenError`` unless the principal's role reaches the command's."""
    if principal.role < command.role:
        raise ForbiddenError(
            f"{command.operation} needs the role {command.role.label}, and {principal.name} is {principal.role.label}",
            operation=command.operation,
        )


def local_reference(reference: str, computer: str, *, operation: str) -> str:
    """The id or name behind ``reference`` when it means this computer.

    Raises ``UnavailableError`` for another computer, since no link to other computers is up.
    """
    owner, slash, rest = reference.partition("/")
    if not slash:
        return reference
    if not is_name(owner):
        raise InvalidError(f"{owner[:64]!r} is not the name of a computer", operation=operation)
    require_local(owner, computer, operation=operation)
    return rest


def require_local(target: str | None, computer: str, *, operation: str) -> None:
    """Raises ``UnavailableError`` when ``target`` names another computer."""
    if target is not None and target != computer:
        raise UnavailableError(
            f"computer {target} cannot be reached: this daemon ({computer}) has no link to other computers; "
            "enable the redis section of the config on both",
            operation=operation,
        )
