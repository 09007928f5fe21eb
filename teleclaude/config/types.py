"""The kinds of values that settings are made of. Strict: text is no number, and nothing is guessed."""

from __future__ import annotations

import os
import pwd
import re
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from teleclaude.model import Role, is_name

T = TypeVar("T")

YEAR_MS = 366 * 24 * 3600 * 1000
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Section(BaseModel):
    """Base of all sections: unknown keys and wrong types are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def host_name() -> str:
    """This machine's host name as a computer name: first label, lower case, other characters as ``-``."""
    label = socket.gethostname().split(".", 1)[0].lower()
    name = re.sub(r"[^a-z0-9_-]+", "-", label).lstrip("_-")[:63]
    return name or "computer"


def user_shell() -> str:
    """The login shell of the daemon's user; ``/bin/sh`` where that cannot be run or is meant to refuse."""
    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        return "/bin/sh"
    usable = Path(shell).name not in {"nologin", "false", ""} and os.access(shell, os.X_OK)
    return shell if usable else "/bin/sh"


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"{text!r} is no name; use a-z, 0-9, _ and -, at most 63, first a letter or digit")
    return text


def _clean(text: str) -> str:
    if "\0" in text or "\n" in text or "\r" in text:
        raise ValueError("must be one line without NUL")
    return text


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise ValueError("a path cannot hold NUL")
    if value == "~" or value.startswith("~/"):
        value = str(Path.home()) + value[1:]
    if not value.startswith("/"):
        raise ValueError("must be an absolute path, or begin with ~/")
    return Path(value)


def _role(value: object) -> object:
    if isinstance(value, str):
        for role in Role:
            if value == role.label:
                return role
    if isinstance(value, Role):
        return value
    raise ValueError("must be one of: " + ", ".join(role.label for role in Role))


def _env_name(text: str) -> str:
    if not _ENV_NAME.fullmatch(text):
        raise ValueError(f"{text!r} cannot name an environment variable")
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be address:port, such as 127.0.0.1:7433 or [::1]:7433")
    if host == "localhost":
        return text
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f"{host!r} is no IP address; use 127.0.0.1, [::1] or localhost") from None
    if (address.version == 6) != bracketed:
        raise ValueError("an IPv6 address stands in brackets: [::1]:7433")
    if not address.is_loopback:
        raise ValueError(
            f"{host} is reachable from outside; listen on 127.0.0.1 and put a TLS proxy or an SSH tunnel in front"
        )
    return text


def _no_wildcard(text: str) -> str:
    if "*" in text:
        raise ValueError("a wildcard would let everybody in; write each value out")
    return text


Listed = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, Field(max_length=4096), AfterValidator(_clean)]
Word = Annotated[Line, Field(min_length=1)]
AbsolutePath = Annotated[Path, BeforeValidator(_path)]
RoleName = Annotated[Role, BeforeValidator(_role)]
EnvName = Annotated[str, AfterValidator(_env_name)]
Listen = Annotated[str, AfterValidator(_listen)]
Exact = Annotated[Word, AfterValidator(_no_wildcard)]
Argv = Annotated[tuple[Line, ...], BeforeValidator(_as_tuple), Field(min_length=1)]

Milliseconds = Annotated[int, Field(ge=1, le=YEAR_MS)]
Duration = Annotated[int, Field(ge=0, le=YEAR_MS)]
"""Milliseconds, where 0 means at once."""
Bytes = Annotated[int, Field(ge=1, le=2**60)]
