"""Looks at files, directories and settings. They change nothing."""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from teleclaude.assist.findings import Finding, failure, ok, unknown, warning
from teleclaude.config import Config, ConfigError, load_config
from teleclaude.model import Role
from teleclaude.paths import Paths, find_config

TMUX_SECONDS = 5.0
_SECRET_FILES = ("token", "teleclaude.db")


def look_at_config(path: Path | None, environ: Mapping[str, str]) -> tuple[Config | None, list[Finding]]:
    """The settings, None when they cannot be used."""
    place = path or find_config(environ)
    try:
        config = load_config(path, environ)
    except ConfigError as error:
        return None, [failure("config", problem) for problem in error.problems]
    return config, [ok("config", f"{place}" if place.exists() else f"{place} does not exist: the defaults hold")]


def look_at_tmux(config: Config) -> Finding:
    binary = shutil.which(config.tmux.binary)
    if binary is None:
        return failure("tmux", f"{config.tmux.binary} is not found; install tmux, or set tmux.binary")
    try:
        answer = subprocess.run(
            [binary, "-V"], capture_output=True, text=True, timeout=TMUX_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        return failure("tmux", f"{binary} does not run: {error}")
    return ok("tmux", f"{answer.stdout.strip()} ({binary}), socket {config.tmux.socket_name}")


def look_at_directories(paths: Paths) -> Iterator[Finding]:
    for name, path in (("state directory", paths.state), ("runtime directory", paths.runtime)):
        yield private(name, path, directory=True)
    for name in _SECRET_FILES:
        path = paths.state / name
        if path.exists():
            yield private(name, path, directory=False)
    if paths.socket.exists():
        yield private("socket", paths.socket, directory=False)


def private(about: str, path: Path, *, directory: bool) -> Finding:
    """Whether only this user can use it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        if directory:
            return ok(about, f"{path} does not exist yet; the daemon makes it")
        return failure(about, f"{path} does not exist")
    except OSError as error:
        return unknown(about, f"{path}: {error.strerror}")
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        return failure(about, f"{path} belongs to uid {found.st_uid}, not to you")
    if mode & 0o077:
        wanted = "700" if directory else "600"
        return failure(about, f"{path} is open to others (mode {mode:04o}); run: chmod {wanted} {path}")
    return ok(about, f"{path}, yours alone (mode {mode:04o})")


def look_at_exposure(config: Config) -> Iterator[Finding]:
    """Who could come in, by the settings."""
    yield _listener(config)
    if config.redis.enabled:
        yield _redis(config)
        if config.redis.key_file is not None:
            yield private("redis.key_file", config.redis.key_file, directory=False)
    if config.telegram.enabled:
        yield from _telegram(config)


def _listener(config: Config) -> Finding:
    listen = config.rest.listen
    if not config.rest.enabled:
        return ok("listeners", "none: rest is off, and so is the command line")
    if listen is None:
        return ok("listeners", "the unix socket only, for your own user")
    return ok("listeners", f"the unix socket, and {listen} on this computer only, with a token")


def _redis(config: Config) -> Finding:
    url = urlsplit(config.redis.url.get_secret_value() if config.redis.url else "")
    if url.scheme == "redis" and not _loopback(url.hostname or "localhost"):
        return warning("redis.url", f"{url.hostname} without encryption; use rediss://, or a tunnel")
    return ok("redis.url", f"{url.scheme}://{url.hostname or url.path}")


def _telegram(config: Config) -> Iterator[Finding]:
    if config.telegram.token_file is not None:
        yield private("telegram.token_file", config.telegram.token_file, directory=False)
    users = config.telegram.users
    if not users:
        yield failure("telegram.users", "nobody is allowed; write {ID: owner}, or run: teleclaude init telegram")
    elif Role.OWNER not in users.values():
        yield warning("telegram.users", f"{_people(users)}, but nobody is owner")
    else:
        yield ok("telegram.users", _people(users))


def _people(users: Mapping[int, Role]) -> str:
    return ", ".join(f"{user} ({role.name.lower()})" for user, role in sorted(users.items()))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
