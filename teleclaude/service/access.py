"""Who may do what, and which computer a reference means. Pure decisions."""

from __future__ import annotations

from typing import Any

from teleclaude.errors import ForbiddenError, NotFoundError, UnavailableError
from teleclaude.model import Principal, is_name
from teleclaude.wire.base import Command

_ABOUT_SESSIONS = ("session.", "output.", "execution.")
"""Operations on a session or on an execution, which may be a cell of a session."""


def authorise(principal: Principal, command: Command[Any]) -> None:
    """Raises ``ForbiddenError`` unless the principal's role reaches the command's and its scope covers it.

    Which sessions a scope covers is decided where a reference is looked up; here, that it is about a session at all.
    """
    if principal.role < command.role:
        raise ForbiddenError(
            f"{command.operation} needs the role {command.role.label}, and {principal.name} is {principal.role.label}",
            operation=command.operation,
        )
    require_verb(principal, command.operation)
    if principal.sessions is not None and not _about_a_session(command):
        raise ForbiddenError(
            f"{principal.name} is for some sessions only, and {command.operation} goes beyond a session",
            operation=command.operation,
        )


def require_verb(principal: Principal, operation: str) -> None:
    """Raises ``ForbiddenError`` when the principal is narrowed down to other operations."""
    if principal.verbs is not None and operation not in principal.verbs:
        raise ForbiddenError(f"{principal.name} may do {', '.join(sorted(principal.verbs))} only", operation=operation)


def covers(principal: Principal, session_id: str) -> bool:
    """Whether the principal may know of this session."""
    return principal.sessions is None or session_id in principal.sessions


def _about_a_session(command: Command[Any]) -> bool:
    if command.operation == "session.list":
        return True
    reference = getattr(command, "session" if command.operation == "execution.list" else "id", None)
    if not isinstance(reference, str) or "/" in reference or not command.operation.startswith(_ABOUT_SESSIONS):
        return False
    return is_name(reference) or reference[0] in "SE"


def local_reference(reference: str, computer: str, *, operation: str) -> str:
    """The id or name behind ``reference`` when it means this computer.

    Raises ``UnavailableError`` for another computer, since no link to other computers is up.
    """
    owner, slash, rest = reference.partition("/")
    if not slash:
        return reference
    if not is_name(owner):
        raise NotFoundError(f"there is no computer {owner[:64]!r}, and no session on it", operation=operation)
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
