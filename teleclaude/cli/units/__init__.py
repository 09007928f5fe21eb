"""The service units as text, made from the templates beside this module. Reads them, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from teleclaude.cli.failure import CliError

KEPT_VARIABLES = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SHELL", "TMUX_TMPDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"),
    *("TELECLAUDE_CONFIG", "TELECLAUDE_STATE_DIR", "TELECLAUDE_RUNTIME_DIR"),
)
"""What a user's service keeps of the shell that installed it: where programs and files are found, and in which language
they speak. A service manager has its own, shorter ones."""

_TEMPLATES = ("teleclaude", "teleclaude-tmux")


@dataclass(frozen=True, slots=True)
class Install:
    """``python`` runs the services, ``environ`` is set for them; ``system`` makes templates, an instance per user."""

    python: str
    system: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


def render(install: Install) -> dict[str, str]:
    """The text of each unit by its file name. Raises ``CliError`` for what no unit file can hold."""
    instance = "@%i" if install.system else ""
    settings = ["User=%i"] if install.system else []
    settings += [f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(install.environ.items())]
    values = {
        "INSTANCE": instance,
        "PYTHON": _program(install.python),
        "SETTINGS": "\n".join(settings),
        "WANTED_BY": "multi-user.target" if install.system else "default.target",
    }
    suffix = "@" if install.system else ""
    return {f"{name}{suffix}.service": _filled(_template(name), values) for name in _TEMPLATES}


def kept_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environ`` that a user's service keeps."""
    return {name: environ[name] for name in KEPT_VARIABLES if environ.get(name)}


def _template(name: str) -> str:
    return Path(__file__).with_name(f"{name}.service").read_text(encoding="utf-8")


def _filled(template: str, values: Mapping[str, str]) -> str:
    lines = template.splitlines(keepends=True)
    if not values["SETTINGS"]:
        lines = [line for line in lines if line.strip() != "@SETTINGS@"]
    return re.sub("@([A-Z_]+)@", lambda found: values[found[1]], "".join(lines))


def _program(path: str) -> str:
    if found := re.search(r"""[$"'\\]""", path):
        raise CliError(f"a unit cannot run {path}: systemd does not take {found[0]} in a program's path")
    return _quoted(path)


def _quoted(text: str) -> str:
    """As one word of a unit file (systemd.syntax(7), systemd.unit(5) on specifiers)."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise CliError(f"a unit cannot hold the control character in {text!r}")
    text = text.replace("%", "%%")
    if re.fullmatch(r"[\w./:=,@%+~-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
