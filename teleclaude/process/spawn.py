"""Starting one program in a session of its own, with pipes of ours. All of it blocks: about 0.3 ms for a start."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from teleclaude.errors import InvalidError, TeleclaudeError, UnavailableError
from teleclaude.model import ProcessIdentity
from teleclaude.process.cgroup import Cgroup
from teleclaude.process.launch import Launch
from teleclaude.process.outcome import LeaderExit
from teleclaude.process.proctable import read_stat
from teleclaude.process.signals import signal_name

SYSTEM_ERRORS = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.ENOSYS}
)
"""Failures that say something about the machine, not about the program."""

_ADVICE = {
    errno.ENOEXEC: "; begin it with #! and its interpreter, or name its interpreter in front of it",
    errno.ENOENT: "; the interpreter on its first line, if it has one, is missing",
}
"""What to do about what was an executable file a moment ago."""

_REAP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started program. The descriptors are ours, non-blocking, and must be closed by the holder.

    The child stays a zombie until ``reap``, so that its number, which is also its group's, stays its own.
    """

    identity: ProcessIdentity
    stdout: int
    stderr: int
    stdin: int | None
    _popen: subprocess.Popen[bytes]

    def peek(self) -> LeaderExit | None:
        """How it ended, leaving the zombie in place; None while it lives."""
        found = os.waitid(os.P_PID, self.identity.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        if found.si_code == os.CLD_EXITED:
            return LeaderExit(code=found.si_status)
        return LeaderExit(signal=signal_name(found.si_status))

    def reap(self) -> bool:
        """Take it out of the process table; False when it has not ended."""
        return self._popen.poll() is not None

    def close(self) -> None:
        """Close the descriptors, for a holder that never came to use them."""
        for descriptor in (self.stdout, self.stderr, self.stdin):
            if descriptor is not None:
                os.close(descriptor)

    def destroy(self) -> None:
        """Kill the group and reap the child, so that nothing runs of a start that came to nothing."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.identity.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(_REAP_SECONDS)


def spawn(launch: Launch, cgroup: Cgroup | None = None) -> Spawned:
    """Start it: session == group == pid. Only the three standard descriptors are passed on.

    In a control group ``argv[0]`` is the program's path, and what the kernel cannot execute is left to the shell.

    Raises ``UnavailableError`` when the system cannot start programs now and ``InvalidError`` when it cannot start this
    one.
    """
    try:
        return _spawn(launch, cgroup)
    except OSError as error:
        raise _explained(error, launch) from error


def _spawn(launch: Launch, cgroup: Cgroup | None) -> Spawned:
    with ExitStack() as ours, ExitStack() as childs:
        stdout, out = _pipe(ours, childs)
        stderr, err = _pipe(ours, childs)
        stdin, feed = _input(launch, ours, childs)
        executable, argv = _entering(launch, cgroup)
        # The child is reaped by ``Spawned``, after its group is gone.
        popen = subprocess.Popen(
            [os.fsencode(argument) for argument in argv],
            executable=executable,
            cwd=launch.cwd,
            env=launch.env,
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        stat = read_stat(popen.pid)
        identity = ProcessIdentity(popen.pid, stat.start_time if stat else 0)
        ours.pop_all()
        return Spawned(identity, stdout, stderr, feed, popen)


def _entering(launch: Launch, cgroup: Cgroup | None) -> tuple[str, tuple[str, ...]]:
    """Program and arguments; with a control group, by way of a shell that enters it.

    Moving the child from outside takes milliseconds, in which it has already started others.
    """
    if cgroup is None:
        return launch.executable, launch.argv
    enter = 'echo 0 2>/dev/null >"$0"; exec "$@"'
    return "/bin/sh", ("sh", "-c", enter, str(cgroup.entrance), launch.executable, *launch.argv[1:])


def _pipe(ours: ExitStack, childs: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    ours.callback(os.close, read)
    childs.callback(os.close, write)
    os.set_blocking(read, False)
    return read, write


def _input(launch: Launch, ours: ExitStack, childs: ExitStack) -> tuple[int, int | None]:
    if launch.stdin is False:
        null = os.open(os.devnull, os.O_RDONLY)
        childs.callback(os.close, null)
        return null, None
    read, write = os.pipe()
    childs.callback(os.close, read)
    ours.callback(os.close, write)
    os.set_blocking(write, False)
    return read, write


def _explained(error: OSError, launch: Launch) -> TeleclaudeError:
    text = f"{launch.argv[0][:100]!r} cannot be started: {error.strerror or error}"
    if error.errno in SYSTEM_ERRORS:
        return UnavailableError(f"{text}; try again later", operation="execution.start")
    return InvalidError(text + _ADVICE.get(error.errno or 0, ""), operation="execution.start")
