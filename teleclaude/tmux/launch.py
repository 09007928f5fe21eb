"""What it takes to bring a tmux server to life, and to see whether one lives: settings, environment, socket."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from teleclaude.errors import InvalidError, UnavailableError

MAX_SOCKET_PATH_BYTES = 107
OPEN_FILES = 65_536
"""A server that runs out of descriptors spins for ever; it needs about two per recorded pane."""

_OUR_PREFIX = "TELECLAUDE_"
_NOT_FOR_PANES = frozenset(
    {
        *("TMUX", "TMUX_PANE", "TERM", "TERMCAP", "COLUMNS", "LINES", "_", "OLDPWD", "PWD", "SHLVL", "STY", "WINDOW"),
        *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "MAINPID"),
        *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID", "CREDENTIALS_DIRECTORY"),
        *("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY"),
        *("MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "FDSTORE"),
    }
)
_TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/usr/share/misc/terminfo")

# A person who attaches gets a window of their size, a resize through the daemon wins until the next one attaches:
# resize-window pins a window's size, the hook takes the pin off.
_SETTINGS = """\
set -sq exit-empty off
set -sq exit-unattached off
set -sq set-clipboard off
set -sq focus-events off
set -sq escape-time 20
set -sq default-terminal "{terminal}"
set -gq remain-on-exit on
set -gq remain-on-exit-format ""
set -gq destroy-unattached off
set -gq status off
set -gq history-limit {history_limit}
set -gq update-environment ""
set -gq window-size latest
set -gq aggressive-resize off
set -gq automatic-rename off
set -gq allow-rename off
set -gq allow-passthrough off
set -gq set-titles off
set -gq bell-action none
set -gq visual-bell off
set -gq monitor-activity off
set -gq monitor-bell off
set-hook -g client-attached "set -wuq window-size"
"""

_WITH_LIMITS = 'umask 022; ulimit -S -n "$1" 2>/dev/null || :; shift; exec "$@"'


def settings_text(history_limit: int) -> str:
    """The server's whole configuration; a user's own tmux.conf is never read."""
    return _SETTINGS.format(history_limit=history_limit, terminal=_terminal(os.environ))


def settings_path(directory: Path, socket_name: str) -> Path:
    return directory / f"tmux-{socket_name}.conf"


def write_settings(path: Path, history_limit: int) -> None:
    """Write the configuration file, and its folder where that is missing. Blocks."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(settings_text(history_limit))
    temporary.replace(path)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server, and so of every pane: the user's, without what speaks of the daemon."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _NOT_FOR_PANES and not name.startswith(_OUR_PREFIX)
    }


def socket_path(socket_name: str, environ: Mapping[str, str]) -> Path:
    """Where ``tmux -L socket_name`` has its socket (tmux(1), -L). Raises ``InvalidError`` when that is too long."""
    base = os.path.realpath(environ.get("TMUX_TMPDIR") or "/tmp")
    path = Path(base) / f"tmux-{os.getuid()}" / socket_name
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise InvalidError(
            f"the tmux socket's path has {length} bytes, at most {MAX_SOCKET_PATH_BYTES}: "
            "choose a shorter tmux.socket_name or TMUX_TMPDIR",
            operation="tmux.start",
        )
    return path


def server_argv(binary: str, socket_name: str, settings: Path) -> list[str]:
    """The tmux program with the options that choose our server and its configuration."""
    return [binary, "-u", "-L", socket_name, "-f", str(settings)]


def start_argv(tmux: list[str]) -> list[str]:
    """How the server is started: with a usual umask and enough descriptors, whatever the daemon itself has."""
    return _with_limits([*tmux, "start-server"])


def foreground_argv(tmux: list[str]) -> list[str]:
    """The server as the process itself (tmux(1), -D), for a service manager to keep."""
    return _with_limits([*tmux, "-D"])


def scope_argv(argv: list[str], unit: str, environ: Mapping[str, str]) -> list[str] | None:
    """``argv`` in a systemd scope of its own, so that stopping the daemon's unit does not take the server along.

    None where no user manager can be reached.
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    program = shutil.which("systemd-run", path=environ.get("PATH"))
    if not program or not runtime or not (Path(runtime) / "systemd/private").exists():
        return None
    return [program, "--user", "--scope", "--collect", "--quiet", f"--unit={unit}", "--", *argv]


def server_pid(path: Path) -> int | None:
    """The process that listens on the socket at ``path``, asked from the kernel; None when nobody does.

    Raises ``UnavailableError`` when the socket may not be used. Blocks for up to a second.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise UnavailableError(f"the tmux socket {path} cannot be used: {error}", operation="tmux.start") from error
        return _peer_pid(connection)


def orphaned_server(path: Path) -> int | None:
    """A live server of ours whose socket at ``path`` was deleted; the kernel still knows the name. Blocks."""
    inodes = _listening_inodes(path)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, inodes):
            return int(process.name)
    return None


def restore_socket(pid: int) -> None:
    """Ask a tmux server to make its socket anew (tmux(1), SIGUSR1)."""
    os.kill(pid, signal.SIGUSR1)


def _peer_pid(connection: socket.socket) -> int:
    if sys.platform == "darwin":
        local, peer_pid = 0, 2  # SOL_LOCAL and LOCAL_PEERPID of sys/un.h, which Python does not name
        return struct.unpack("i", connection.getsockopt(local, peer_pid, 4))[0]
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    return pid


def _listening_inodes(path: Path) -> frozenset[str]:
    """Inodes of sockets bound to ``path`` that accept connections (proc_net(5), unix)."""
    try:
        table = Path("/proc/net/unix").read_text(errors="surrogateescape")
    except OSError:
        return frozenset()
    rows = [line.split(None, 7) for line in table.splitlines()[1:]]
    return frozenset(
        row[6] for row in rows if len(row) == 8 and row[7] == str(path) and int(row[3], 16) & _SO_ACCEPTCON
    )


_SO_ACCEPTCON = 0x10000


def _holds(process: Path, inodes: frozenset[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(str(link.readlink()) in wanted for link in (process / "fd").iterdir())
    except OSError:
        return False  # another user's process, or one that has just ended


def _with_limits(argv: list[str]) -> list[str]:
    return ["/bin/sh", "-c", _WITH_LIMITS, "sh", str(_open_files()), *argv]


def _open_files() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    return wanted if soft == resource.RLIM_INFINITY else max(soft, wanted)


def _terminal(environ: Mapping[str, str]) -> str:
    """The best terminal description that programs in the panes will find."""
    home = environ.get("HOME")
    places = [*([f"{home}/.terminfo"] if home else []), *_TERMINFO]
    for name in ("tmux-256color", "screen-256color"):
        if any(Path(place, first, name).exists() for place in places for first in (name[0], f"{ord(name[0]):x}")):
            return name
    return "screen"
