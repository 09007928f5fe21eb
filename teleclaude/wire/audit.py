"""Command and views of the audit log."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from teleclaude.model import Role
from teleclaude.wire.base import Command, View


class AuditEntryView(View):
    """``result`` is ``ok`` or an error's code; ``digest`` the SHA-256 of the input, in hexadecimal."""

    seq: int
    at: str
    principal: str
    operation: str
    subject: str | None
    result: str
    digest: str


class AuditView(View):
    entries: list[AuditEntryView]


class ReadAudit(Command[AuditView]):
    """Entries above ``after``, oldest first: everything that changed something, and everything refused to somebody."""

    operation = "audit.read"
    role = Role.OWNER
    mutates = False

    after: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
