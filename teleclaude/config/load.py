"""From the file and the environment to a checked ``Config``, or to every problem at once."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from teleclaude.config.document import MAX_BYTES, Document, DocumentError, parse_document, surprise
from teleclaude.config.environ import UnreadableError, field_type, known_keys, overrides, read_value
from teleclaude.config.problems import ConfigError, KeyPath, Problem
from teleclaude.config.sections import Config
from teleclaude.paths import find_config, find_paths

SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest name a unix socket can have (``sun_path`` of unix(7), less the closing NUL)."""


def load_config(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings from ``path``, overridden by ``TELECLAUDE_SECTION__KEY`` variables.

    ``path`` None means the usual place, where a missing file gives the defaults; a file that was named must exist.
    Blocks on a small file. Raises ``ConfigError``.
    """
    named = path is not None or bool(environ.get("TELECLAUDE_CONFIG"))
    path = path if path is not None else find_config(environ)
    data = _read(path, required=named)
    document = _parse(path, data.content) if data is not None else Document(values={})
    loader = _Loader(path, document)
    for variable, key in overrides(environ).items():
        loader.override(variable, key, environ[variable])
    config = loader.build()
    _check_secrets(path, data, config, loader)
    _check_socket(environ)
    return config


@dataclass(frozen=True, slots=True)
class _File:
    """What was read, and the mode of the file it was read from."""

    content: bytes
    mode: int


class _Loader:
    """Lays the environment over the file and remembers where every value came from."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path = path
        self._document = document
        self._variables: dict[KeyPath, str] = {}
        self._problems: list[Problem] = []

    def override(self, variable: str, key: KeyPath, text: str) -> None:
        self._variables[key] = variable
        kind = field_type(Config, key)
        if kind is None:
            self._add_unknown(key)
            return
        try:
            value = read_value(kind, text)
        except UnreadableError as error:
            self._add(key, str(error))
            return
        target: Any = self._document.values
        for part in key[:-1]:
            if not isinstance(target.get(part), dict):
                target[part] = {}
            target = target[part]
        target[key[-1]] = value

    def build(self) -> Config:
        """Check everything. Raises ``ConfigError`` with all that is wrong."""
        try:
            config = Config.model_validate(self._document.values)
            if not self._problems:
                return config
        except ValidationError as error:
            for finding in error.errors(include_url=False, include_context=False):
                self._found(finding["loc"], finding["type"], finding["msg"], finding["input"])
        raise ConfigError(self._problems)

    def problem(self, key: KeyPath, what: str) -> Problem:
        """``what`` at the place that ``key``, or the nearest thing around it, came from."""
        for length in range(len(key), -1, -1):
            part = key[:length]
            if part in self._variables:
                return Problem(self._variables[part], key, what)
            if part in self._document.lines:
                line = self._document.lines[part]
                return Problem(f"{self._path}:{line}", key, what, line)
            for path, variable in self._variables.items():
                if part and path[:length] == part:
                    return Problem(variable, key, what)
        return Problem(str(self._path), key, what)

    def _add(self, key: KeyPath, what: str) -> None:
        self._problems.append(self.problem(key, what))

    def _add_unknown(self, key: KeyPath) -> None:
        """``key`` or a part above it is no key: ``TELECLAUDE_SESION__MAX``."""
        unknown = key
        while len(unknown) > 1 and field_type(Config, unknown[:-1]) is None:
            unknown = unknown[:-1]
        near = difflib.get_close_matches(str(unknown[-1]), known_keys(Config, unknown[:-1]), n=1)
        what = "unknown key" + (f"; did you mean {near[0]}?" if near else "")
        self._problems.append(replace(self.problem(key, what), path=unknown))

    def _found(self, loc: KeyPath, kind: str, message: str, value: Any) -> None:
        key = tuple(part for part in loc if part != "[key]")
        if any(problem.path == key for problem in self._problems):
            return
        message = message.removeprefix("Value error, ")
        if kind == "extra_forbidden":
            self._add_unknown(key)
            return
        if kind == "missing":
            message = "this key is needed"
        elif kind == "model_type":
            message = "must be a mapping of keys; leave it out for the defaults"
        text = self._document.plain.get(key)
        if text is not None and key not in self._variables and kind == "string_type":
            message = f"{message}; {surprise(text, value)}"
        self._add(key, message)


def _parse(path: Path, content: bytes) -> Document:
    try:
        return parse_document(content)
    except DocumentError as error:
        problems = [
            Problem(f"{path}:{line}" if line else str(path), key, what, line) for line, key, what in error.findings
        ]
        raise ConfigError(problems) from None


def _read(path: Path, *, required: bool) -> _File | None:
    """Open once and judge what was opened, so that nobody can swap it in between."""
    try:
        link = path.lstat()
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if required:
            raise _whole_file(path, "does not exist") from None
        return None
    except OSError as error:
        raise _whole_file(path, f"cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        trouble = trust_problem(status, link, os.geteuid())
        if trouble:
            raise _whole_file(path, trouble)
        return _File(os.read(descriptor, MAX_BYTES + 1), status.st_mode)
    finally:
        os.close(descriptor)


def trust_problem(status: os.stat_result, link: os.stat_result, uid: int) -> str | None:
    """Why settings in such a file cannot be trusted by user ``uid``; ``link`` is what its path itself is."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in {uid, 0}:
        return f"is a symbolic link that belongs to uid {link.st_uid}; only your own or root's is followed"
    if status.st_uid not in {uid, 0}:
        return f"belongs to uid {status.st_uid}; it must be yours or root's"
    if status.st_mode & 0o022:
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o}); run: chmod go-w"
    return None


def _check_secrets(path: Path, data: _File | None, config: Config, loader: _Loader) -> None:
    url = config.redis.url.get_secret_value() if config.redis.url is not None else ""
    problem = loader.problem(("redis", "url"), "holds a password, so the file must be private; run: chmod 600")
    has_password = "@" in url and ":" in url.partition("://")[2].rpartition("@")[0]
    if has_password and data is not None and data.mode & 0o077 and problem.line:
        raise ConfigError([problem])


def _check_socket(environ: Mapping[str, str]) -> None:
    socket = find_paths(environ).socket
    length = len(os.fsencode(socket))
    if length > SOCKET_PATH_BYTES:
        what = f"{socket} has {length} bytes, a socket's path at most {SOCKET_PATH_BYTES}; name a shorter directory"
        raise ConfigError([Problem("TELECLAUDE_RUNTIME_DIR", (), what)])


def _whole_file(path: Path, what: str) -> ConfigError:
    return ConfigError([Problem(str(path), (), what)])
