"""The two roots of everything on the wire: ``Command`` comes in, ``View`` goes out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from teleclaude.model import Role

R = TypeVar("R")


class Command(BaseModel, Generic[R]):
    """One typed request. Strict: no unknown fields, no coercion, no lone surrogates.

    ``operation`` is its name on every surface, ``role`` the least role that may send it, ``mutates`` whether it changes
    anything (then it is audited and may carry an idempotency key), ``secret`` whether its reply must not be stored.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    operation: ClassVar[str]
    role: ClassVar[Role]
    mutates: ClassVar[bool] = True
    secret: ClassVar[bool] = False


class View(BaseModel):
    """One reply object."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not text; send valid Unicode") from None
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be passed on; remove it")
    return text


Text = Annotated[str, AfterValidator(_encodable)]
"""Any valid Unicode."""

Line = Annotated[str, AfterValidator(_encodable), AfterValidator(_no_nul)]
"""Valid Unicode without NUL: what a process can be given."""

Reference = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_encodable)]
"""An id or a name, or ``computer/name``."""

WaitMs = Annotated[int, Field(ge=0, le=60_000)]
"""How long an answer may wait for something to happen."""
