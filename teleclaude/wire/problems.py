"""Errors as ``application/problem+json`` (RFC 9457) and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from teleclaude.errors import ERRORS_BY_CODE, GapError, InternalError, InvalidError, LimitError, TeleclaudeError

_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES = frozenset({"str", "int", "float", "bool", "bytes", "none", "list", "dict"})


def problem(error: TeleclaudeError) -> dict[str, object]:
    """The wire object ``{type, title, status, detail, code, operation}`` plus the error's own members."""
    return {
        "type": f"urn:teleclaude:error:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "operation": error.operation,
        **error.fields,
    }


def error_from(body: Mapping[str, object]) -> TeleclaudeError:
    """The error a problem object stands for; an unknown code becomes ``InternalError``."""
    detail = str(body.get("detail", ""))
    operation = str(body.get("operation", ""))
    cls = ERRORS_BY_CODE.get(str(body.get("code", "")), InternalError)
    if cls is GapError:
        return GapError(detail, start=_integer(body.get("start"), 0), operation=operation)
    if cls is LimitError:
        return LimitError(detail, operation=operation, retry_after_ms=_integer(body.get("retry_after_ms"), 1000))
    return cls(detail, operation=operation)


def invalid(error: ValidationError, *, operation: str) -> InvalidError:
    """All of pydantic's findings in one sentence, without echoing the values (they may be secret)."""
    findings: list[str] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        finding = f"{_path(item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
        if finding not in findings:
            findings.append(finding)
    return InvalidError("; ".join(findings[:8]), operation=operation)


def _path(location: tuple[int | str, ...]) -> str:
    """The place in what was sent; the branches that the validator tried in between are no part of it."""
    parts = [
        str(part) for part in location if isinstance(part, int) or (_MEMBER.fullmatch(part) and part not in _TYPES)
    ]
    return ".".join(parts) or "body"


def _integer(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
