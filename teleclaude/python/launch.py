"""Starting a worker process. Everything here blocks: call it in a thread."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from teleclaude.errors import InvalidError, UnavailableError
from teleclaude.model import ProcessIdentity
from teleclaude.process import MARK_VARIABLE, CgroupRoot, ProcessGroup
from teleclaude.process.cgroup import Cgroup
from teleclaude.python.source import BOOTSTRAP
from teleclaude.tasks import process_start_time

log = structlog.get_logger(__name__)

_OPERATION = "session.create"

_NOT_PASSED_ON = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Between the service manager and the daemon: sd_notify(3), sd_listen_fds(3)."""

_REAP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Launched:
    """A started interpreter, in a session and a process group of its own. The holder closes socket and descriptors.

    ``background`` is the reading end of what its descriptors 1 and 2 are at first. While ``lifeline`` is open, a worker
    that is stopped stays so; see ``_wake_orphans``.
    """

    identity: ProcessIdentity
    group: ProcessGroup
    socket: socket.socket
    background: int
    lifeline: int
    popen: subprocess.Popen[bytes]

    def reap(self) -> tuple[int | None, int | None]:
        """Exit code and signal number, whichever it was; both None when it cannot be told. Blocks for 5 s at most."""
        try:
            status = self.popen.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return None, None
        return (status, None) if status >= 0 else (None, -status)


def launch(interpreter: str, worker_id: str, env: Mapping[str, str], cgroups: CgroupRoot | None = None) -> Launched:
    """Start ``interpreter`` with the worker's bootstrap; it waits for its source on the socket, in a control group of
    its own where ``cgroups`` makes one.

    Raises ``InvalidError`` for a program that cannot be started, ``UnavailableError`` when none can be now.
    """
    environment = {name: value for name, value in {**os.environ, **env}.items() if name not in _NOT_PASSED_ON}
    environment[MARK_VARIABLE] = worker_id
    if not Path(interpreter).is_absolute():
        raise InvalidError(f"python.interpreter {interpreter!r} is not an absolute path", operation=_OPERATION)
    with ExitStack() as ours, ExitStack() as childs:
        our_end, its_end = socket.socketpair()
        ours.callback(our_end.close)
        childs.callback(its_end.close)
        background, output = os.pipe()
        ours.callback(os.close, background)
        childs.callback(os.close, output)
        held, lifeline = os.pipe()
        ours.callback(os.close, lifeline)
        childs.callback(os.close, held)
        try:
            popen = subprocess.Popen(
                [interpreter, "-c", BOOTSTRAP, str(its_end.fileno()), str(held)],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(its_end.fileno(), held),
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise InvalidError(
                f"{interpreter} cannot be started ({error.strerror}); set python.interpreter", operation=_OPERATION
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"no worker can be started now: {error.strerror}; try again later", operation=_OPERATION
            ) from error
        our_end.setblocking(False)
        os.set_blocking(background, False)
        identity = ProcessIdentity(popen.pid, process_start_time(popen.pid) or 0)
        _wake_orphans(held, identity.pid)
        ours.pop_all()
    group = ProcessGroup(identity, worker_id, _confine(identity.pid, cgroups.create(worker_id)) if cgroups else None)
    return Launched(identity, group, our_end, background, lifeline, popen)


def _confine(pid: int, cgroup: Cgroup | None) -> Cgroup | None:
    """The group with the worker in it. It has started nothing yet: that takes its source, which nobody has sent."""
    if cgroup is None:
        return None
    try:
        cgroup.entrance.write_text(str(pid))
    except OSError as error:
        log.warning("worker_not_confined", pid=pid, error=str(error))
        cgroup.remove()
        return None
    return cgroup


def _wake_orphans(held: int, group: int) -> None:
    """Have the kernel send SIGCONT to the worker's group when the lifeline's writing end, ours, is closed.

    A worker ends itself when the daemon is gone, but one that is paused would stay for ever: fcntl(2), F_SETSIG.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(held, fcntl.F_SETOWN, -group)
    fcntl.fcntl(held, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(held, fcntl.F_SETFL, fcntl.fcntl(held, fcntl.F_GETFL) | os.O_ASYNC)
