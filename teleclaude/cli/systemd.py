"""The service as systemd has it: unit files in a folder, and the manager that reads them."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teleclaude.cli.failure import CliError
from teleclaude.cli.units import Install, kept_environment, render

CALL_SECONDS = 90.0
"""A start waits for the daemon's word that it is ready."""

_SYSTEM_UNITS = Path("/etc/systemd/system")
_LINGERING = Path("/var/lib/systemd/linger")


@dataclass(frozen=True, slots=True)
class Service:
    """One user's service: in that user's own manager, or with ``user`` as an instance of the system's templates.

    ``manager`` exists where that manager runs.
    """

    install: Install
    folder: Path
    manager: Path
    user: str | None = None

    @property
    def daemon(self) -> str:
        return f"teleclaude@{self.user}.service" if self.user else "teleclaude.service"

    @property
    def terminals(self) -> str:
        return f"teleclaude-tmux@{self.user}.service" if self.user else "teleclaude-tmux.service"

    @property
    def systemctl(self) -> list[str]:
        return ["systemctl"] if self.install.system else ["systemctl", "--user"]

    @property
    def is_managed(self) -> bool:
        """Whether its service manager runs here."""
        return self.manager.exists()

    @property
    def lingers(self) -> bool:
        """Whether it goes on without a login; a user's own services do once loginctl(1), enable-linger, said so."""
        return bool(self.user) or (_LINGERING / pwd.getpwuid(os.getuid()).pw_name).exists()

    def write(self) -> list[Path]:
        """Write the units; answers where. Raises ``CliError``."""
        written = []
        for name, text in render(self.install).items():
            path = self.folder / name
            temporary = path.with_name(f".{name}.tmp")
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(path)
            except OSError as error:
                raise CliError(f"cannot write {path}: {error.strerror}{self._advice(error)}") from error
            written.append(path)
        return written

    def remove(self) -> list[Path]:
        """Remove the units, but templates only once no other user's instance is enabled; answers which went."""
        if self.install.system and self._other_instances():
            return []
        removed = [path for name in render(self.install) if (path := self.folder / name).exists()]
        for path in removed:
            try:
                path.unlink()
            except OSError as error:
                raise CliError(f"cannot remove {path}: {error.strerror}{self._advice(error)}") from error
        return removed

    def state_of(self, name: str) -> str:
        """``current``, ``missing``, or ``different`` from what ``write`` would write."""
        try:
            found = (self.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "missing"
        return "current" if found == render(self.install)[name] else "different"

    def call(self, *words: str) -> None:
        """Raises ``CliError`` with what systemctl said when it fails."""
        done = self._systemctl(*words)
        if done.returncode != 0:
            raise CliError(f"{' '.join([*self.systemctl, *words])}: {done.stderr.strip() or 'it failed'}")

    def ask(self, *words: str) -> str:
        """One word from systemctl, such as ``active``; ``unknown`` where no manager runs."""
        return (self._systemctl(*words).stdout.strip() if self.is_managed else "") or "unknown"

    def _systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.systemctl, *words]
        try:
            return subprocess.run(argv, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        except FileNotFoundError:
            raise CliError("systemctl is missing; this computer does not run systemd") from None
        except subprocess.TimeoutExpired:
            raise CliError(f"{' '.join(argv)} took more than {CALL_SECONDS:.0f} s") from None

    def _other_instances(self) -> bool:
        enabled = (self.folder / "multi-user.target.wants").glob("teleclaude@*.service")
        return any(path.name != self.daemon for path in enabled)

    def _advice(self, error: OSError) -> str:
        return "; run it as root" if isinstance(error, PermissionError) and self.install.system else ""


def find_service(*, system: bool, user: str | None, environ: Mapping[str, str]) -> Service:
    """The service of the user who asks, or of ``user`` in the system's manager."""
    if system:
        return Service(Install(sys.executable, system=True), _SYSTEM_UNITS, Path("/run/systemd/system"), user)
    home = Path(environ.get("HOME") or Path.home())
    base = environ.get("XDG_CONFIG_HOME")
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Service(
        Install(sys.executable, environ=kept_environment(environ)),
        (Path(base) if base else home / ".config") / "systemd/user",
        Path(runtime) / "systemd/private",
    )
