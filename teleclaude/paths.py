"""Where the daemon keeps its files. Standard library only: the command line needs it before anything heavy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """``state`` is kept for good (database, streams, token), ``runtime`` lives as long as the machine is up."""

    state: Path
    runtime: Path

    @property
    def database(self) -> Path:
        return self.state / "teleclaude.db"

    @property
    def streams(self) -> Path:
        return self.state / "streams"

    @property
    def token(self) -> Path:
        return self.state / "token"

    @property
    def socket(self) -> Path:
        return self.runtime / "teleclaude.sock"

    @property
    def lock(self) -> Path:
        return self.runtime / "daemon.lock"


def find_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """State and runtime directories from the environment; nothing is created here.

    ``TELECLAUDE_STATE_DIR`` and ``TELECLAUDE_RUNTIME_DIR`` win over the XDG base directories (XDG Base Directory
    Specification 0.8).
    """
    home = Path(environ.get("HOME") or Path.home())
    state = _directory(environ, "TELECLAUDE_STATE_DIR", "XDG_STATE_HOME") or home / ".local/state/teleclaude"
    runtime = _directory(environ, "TELECLAUDE_RUNTIME_DIR", "XDG_RUNTIME_DIR") or state / "run"
    return Paths(state=state, runtime=runtime)


def find_config(environ: Mapping[str, str] = os.environ) -> Path:
    """The config file's place when ``--config`` does not name one; it need not exist."""
    named = environ.get("TELECLAUDE_CONFIG")
    if named:
        return Path(named).absolute()
    base = environ.get("XDG_CONFIG_HOME")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(base) if base else home / ".config") / "teleclaude/config.yml"


def _directory(environ: Mapping[str, str], own: str, xdg: str) -> Path | None:
    if environ.get(own):
        return Path(environ[own]).absolute()
    base = environ.get(xdg)
    # The XDG specification says that a relative path is to be ignored.
    return Path(base) / "teleclaude" if base and Path(base).is_absolute() else None
