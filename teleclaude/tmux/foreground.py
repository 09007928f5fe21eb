"""The tmux server as a service of its own: ``python -m teleclaude.tmux.foreground check | run | wait``.

The daemon's own settings decide socket, program and configuration, so that the daemon finds this server and no other.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from teleclaude.config import ConfigError, load_config
from teleclaude.errors import TeleclaudeError
from teleclaude.paths import find_paths
from teleclaude.tmux import launch

EX_USAGE = 64
EX_OSERR = 71
EX_CONFIG = 78
_SOCKET_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Foreground:
    """Where the server is to listen and how it is run. ``argv`` is the tmux client without a command."""

    argv: list[str]
    socket: Path
    settings: Path
    history_limit: int
    environ: Mapping[str, str]

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Foreground:
        """From the settings that a daemon in the environment ``environ`` has. Raises ``ConfigError``."""
        tmux = load_config(environ=environ).tmux
        settings = launch.settings_path(find_paths(environ).runtime, tmux.socket_name)
        return cls(
            argv=launch.server_argv(tmux.binary, tmux.socket_name, settings),
            socket=launch.socket_path(tmux.socket_name, environ),
            settings=settings,
            history_limit=tmux.history_limit,
            environ=launch.clean_environment(environ),
        )

    def check(self) -> int:
        """0 when the socket is free; 1 when a server lives there, whose sessions a second one would hide."""
        live = launch.server_pid(self.socket) or launch.orphaned_server(self.socket)
        if live is None:
            return 0
        sys.stderr.write(f"teleclaude: tmux server {live} already listens on {self.socket}; it is used as it is\n")
        return 1

    def run(self) -> int:
        """Become the server. Raises ``OSError`` when that cannot be."""
        launch.write_settings(self.settings, self.history_limit)
        argv = launch.foreground_argv(self.argv)
        os.chdir("/")
        os.execvpe(argv[0], argv, self.environ)

    def wait(self) -> int:
        """0 once the server takes connections; 1 when it does not within a few seconds."""
        deadline = time.monotonic() + _SOCKET_SECONDS
        pause = Event()
        while launch.server_pid(self.socket) is None:
            if time.monotonic() >= deadline:
                sys.stderr.write(f"teleclaude: no tmux server listens on {self.socket}\n")
                return 1
            pause.wait(_POLL_SECONDS)
        return 0


_STEPS: Mapping[str, Callable[[Foreground], int]] = {
    "check": Foreground.check,
    "run": Foreground.run,
    "wait": Foreground.wait,
}


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Answers the exit code (sysexits.h)."""
    step = _STEPS.get(argv[0]) if len(argv) == 1 else None
    if step is None:
        sys.stderr.write(f"usage: python -m teleclaude.tmux.foreground {' | '.join(_STEPS)}\n")
        return EX_USAGE
    try:
        return step(Foreground.find(environ))
    except ConfigError as error:
        sys.stderr.write(f"teleclaude: {error}\n")
        return EX_CONFIG
    except (OSError, TeleclaudeError) as error:
        sys.stderr.write(f"teleclaude: the tmux server cannot be run: {error}\n")
        return EX_OSERR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
