"""Commands and views of named tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from teleclaude.model import Role
from teleclaude.wire.base import Command, Line, Reference, View
from teleclaude.wire.sessions import Name

MAX_LIFE_MS = 10 * 366 * 24 * 3_600_000

RoleLabel = Literal["viewer", "operator", "owner"]
Verb = Annotated[Line, Field(min_length=1, max_length=64)]


class TokenView(View):
    """``sessions`` and ``verbs`` null: all of them."""

    id: str
    name: str
    role: RoleLabel
    sessions: list[str] | None
    verbs: list[str] | None
    created_at: str
    expires_at: str | None


class NewTokenView(TokenView):
    """``token`` is shown this once; only its digest is kept."""

    token: str


class TokenList(View):
    tokens: list[TokenView]


class CreateToken(Command[NewTokenView]):
    """``sessions`` (ids or names, resolved now) and ``verbs`` (operations such as ``session.input``) narrow it down."""

    operation = "token.create"
    role = Role.OWNER
    secret = True

    name: Name
    role_: Annotated[RoleLabel, Field(alias="role")] = "operator"
    expires_in_ms: Annotated[int, Field(ge=1, le=MAX_LIFE_MS)] | None = None
    sessions: Annotated[list[Reference], Field(min_length=1, max_length=100)] | None = None
    verbs: Annotated[list[Verb], Field(min_length=1, max_length=100)] | None = None


class ListTokens(Command[TokenList]):
    operation = "token.list"
    role = Role.OWNER
    mutates = False


class RevokeToken(Command[TokenView]):
    """Ends it at once, with every connection that uses it."""

    operation = "token.revoke"
    role = Role.OWNER

    id: Reference
