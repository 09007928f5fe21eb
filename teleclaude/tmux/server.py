"""The tmux server as a resource: it is there, it is the one we mean, and its end is noticed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import structlog

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import SubprocessTimeoutError, TeleclaudeError, UnavailableError
from teleclaude.tasks import ProcessWatch, process_start_time, run_bounded, send_signal, watch_process
from teleclaude.tmux import launch
from teleclaude.tmux.control import ControlTransport
from teleclaude.tmux.line import ANCHOR_NAME, Line, TmuxCommand, command, text
from teleclaude.tmux.oneshot import SubprocessTransport
from teleclaude.tmux.protocol import Notification, Reply
from teleclaude.tmux.transport import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, ServerIdentity, Transport

log = structlog.get_logger(__name__)

OWNER = "tmux"
OLDEST = (3, 2)
_HINT = "install it (apt install tmux, dnf install tmux, brew install tmux) or set tmux.binary"
_SCOPE_SECONDS = 3.0
_START_SECONDS = 5.0
_SOCKET_SECONDS = 1.0
_POLL_SECONDS = 0.02
_HINTS = frozenset({"sessions-changed", "session-renamed", "unlinked-window-close", "window-close", "layout-change"})
_ANCHOR_WORDS = "printf 'This session belongs to the teleclaude daemon. See the others with: tmux ls'"

Gone = Callable[[ServerIdentity], Awaitable[None]]
Up = Callable[[ServerIdentity], Awaitable[None]]


class TmuxServer:
    """An async context manager. Entering finds or starts the server; leaving lets go of it and never ends it.

    ``directory`` takes the configuration file; ``command_timeout`` is in seconds. Entering raises ``UnavailableError``
    when there is no usable tmux program. A server that does not answer is no reason: then ``available`` is False, and
    once it answers ``on_up`` is told.
    """

    def __init__(
        self,
        *,
        directory: Path,
        tasks: Tasks,
        clock: Clock,
        binary: str = "tmux",
        socket_name: str = "teleclaude",
        transport: Literal["control", "subprocess"] = "control",
        history_limit: int = 2000,
        command_timeout: float = 5.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.directory = directory
        self.socket_name = socket_name
        self.command_timeout = command_timeout
        self.clock = clock
        self._tasks = tasks
        self._binary = binary
        self._wanted = transport
        self._history_limit = history_limit
        self._environ = launch.clean_environment(environ)
        self._socket = launch.socket_path(socket_name, environ)
        self._argv: list[str] = []
        self._settings_path = Path()
        self._identity: ServerIdentity | None = None
        self._watch: ProcessWatch | None = None
        self._transport: Transport | None = None
        self._oneshot: SubprocessTransport | None = None
        self._on_gone: list[Gone] = []
        self._on_up: list[Up] = []
        self._on_change: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        await self._find_program()
        self._settings_path = await self._write_settings()
        self._argv = [self._binary, "-u", "-L", self.socket_name, "-f", str(self._settings_path)]
        self._oneshot = SubprocessTransport(
            [*self._argv, "-N"],
            env=self._environ,
            timeout=self.command_timeout,
            tasks=self._tasks,
            clock=self.clock,
        )
        try:
            await self._bring_up()
        except TeleclaudeError as error:
            log.warning("tmux_not_ready", error=str(error))
        except BaseException:
            await self.aclose()
            raise
        self._tasks.spawn(self._supervise, name="supervise", owner=OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Idempotent."""
        await self._tasks.cancel_owner(OWNER, timeout=2.0)
        await self._let_go()
        if self._oneshot is not None:
            await self._oneshot.aclose()

    @property
    def identity(self) -> ServerIdentity | None:
        """The server in use; None while there is none."""
        return self._identity

    @property
    def available(self) -> bool:
        """Whether tmux answered last time."""
        return self._identity is not None and self._transport is not None and self._transport.available

    @property
    def attach_argv(self) -> list[str]:
        """What a person types, with a target appended, to look at a session in their own terminal."""
        return [self._binary, "-L", self.socket_name, "attach-session", "-t"]

    def on_gone(self, callback: Gone) -> None:
        """Await ``callback`` with the old identity whenever the server has ended, before a new one is started."""
        self._on_gone.append(callback)

    def on_up(self, callback: Up) -> None:
        """Await ``callback`` whenever a server came into use after entering."""
        self._on_up.append(callback)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when tmux said that sessions changed; a hint, and never all there is to know."""
        self._on_change.append(callback)

    async def run(self, *commands: TmuxCommand, timeout: float | None = None) -> list[Reply]:
        """One line of commands; see ``Transport.submit`` for what it raises. One reply per command."""
        (replies,) = await self.submit([commands], timeout)
        return replies

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        """See ``Transport.submit``."""
        if self._transport is None or self._identity is None:
            raise UnavailableError(
                "no tmux server is in use; nothing was sent, try again later", operation=f"tmux.{lines[0][0].name}"
            )
        return await self._transport.submit(lines, timeout)

    async def restore_socket(self) -> bool:
        """Make the server's socket anew when somebody deleted it; True when that was needed."""
        identity = self._identity
        if identity is None or self._socket.exists() or process_start_time(identity.pid) != identity.start:
            return False
        log.warning("tmux_socket_deleted", socket=str(self._socket), server_pid=identity.pid)
        await self._revive(identity.pid)
        return True

    def recall_dead_children(self) -> None:
        """Make tmux look for ended processes: now and then it misses the signal and leaves a zombie for ever."""
        if self._identity is not None:
            send_signal(self._identity.pid, self._identity.start, signal.SIGCHLD)

    async def kill(self) -> None:
        """End the server with every session on it, for good: after this the object can only be closed."""
        await self._tasks.cancel_owner(OWNER, timeout=2.0)
        identity, watch = self._identity, self._watch
        if identity is None or watch is None:
            return
        with suppress(TeleclaudeError):
            await self.run(command("kill-server"))
        if not await watch.wait(self.command_timeout):
            send_signal(identity.pid, identity.start, signal.SIGKILL)
            await watch.wait(self.command_timeout)

    async def _find_program(self) -> None:
        program = shutil.which(self._binary, path=self._environ.get("PATH"))
        if program is None:
            raise UnavailableError(f"the program {self._binary} is missing: {_HINT}", operation="tmux.start")
        try:
            done = await run_bounded(
                [program, "-V"], operation="tmux.version", timeout=self.command_timeout, env=self._environ
            )
        except SubprocessTimeoutError as error:
            raise UnavailableError(f"{program} -V does not answer: {_HINT}", operation="tmux.start") from error
        words = done.stdout.decode(errors="replace").strip()
        number = re.fullmatch(r"tmux (\d+)\.(\d+)\w*", words)
        if done.returncode != 0 or (number and (int(number[1]), int(number[2])) < OLDEST):
            raise UnavailableError(
                f"{program} says {words or 'nothing'}, but {OLDEST[0]}.{OLDEST[1]} or newer is needed: {_HINT}",
                operation="tmux.start",
            )

    async def _write_settings(self) -> Path:
        try:
            return await asyncio.to_thread(launch.write_settings, self.directory, self.socket_name, self._history_limit)
        except OSError as error:
            raise UnavailableError(f"tmux's settings cannot be written: {error}", operation="tmux.start") from error

    async def _supervise(self) -> None:
        """Keep a server in use. An end is told before the next begins: no old id may reach a new server."""
        while True:
            if self._identity is None:
                await self._bring_up_patiently()
                assert self._identity is not None
                await _tell(self._on_up, self._identity)
            assert self._watch is not None
            await self._watch.wait()
            identity = self._identity
            log.error("tmux_server_gone", pid=identity.pid)
            await self._let_go()
            await _tell(self._on_gone, identity)

    async def _bring_up_patiently(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while self._identity is None:
            try:
                await self._bring_up()
            except TeleclaudeError as error:
                log.debug("tmux_not_ready", error=str(error), retry_s=backoff)
                await self.clock.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)

    async def _bring_up(self) -> None:
        """Find or start the server, watch it, connect. Raises ``TeleclaudeError``; then nothing is in use."""
        pid = await self._ensure()
        start = process_start_time(pid)
        if start is None:
            raise UnavailableError("the tmux server ended at once", operation="tmux.start")
        identity = ServerIdentity(pid, start)
        assert self._oneshot is not None
        await self._oneshot.submit([(command("source-file", text(str(self._settings_path))),)])
        self._transport = await self._connect(identity)
        self._watch = watch_process(pid, start)
        self._identity = identity
        log.info("tmux_server_in_use", pid=pid, socket=str(self._socket), transport=type(self._transport).__name__)

    async def _let_go(self) -> None:
        self._identity = None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def _connect(self, identity: ServerIdentity) -> Transport:
        assert self._oneshot is not None
        if self._wanted == "subprocess":
            return self._oneshot
        transport = ControlTransport(
            self._control_argv(),
            env=self._environ,
            timeout=self.command_timeout,
            accept=identity.pid.__eq__,
            on_notification=self._notified,
            tasks=self._tasks,
            clock=self.clock,
        )
        try:
            await transport.start()
        except UnavailableError as error:
            await transport.aclose()
            # The server has just answered a process of its own, so only control mode is at fault.
            log.warning("control_mode_unavailable", error=str(error), server_pid=identity.pid)
            return self._oneshot
        return transport

    def _control_argv(self) -> list[str]:
        anchor = ["new-session", "-A", "-s", ANCHOR_NAME, "-c", "/", "-f", "no-output,ignore-size"]
        return [*self._argv, "-N", "-C", *anchor, "--", "/bin/sh", "-c", _ANCHOR_WORDS]

    def _notified(self, notification: Notification) -> None:
        if notification.name in _HINTS:
            for callback in self._on_change:
                callback()

    async def _ensure(self) -> int:
        """The pid of the live server, after starting one if there is none."""
        pid = await asyncio.to_thread(launch.server_pid, self._socket)
        if pid is not None:
            return pid
        orphan = await asyncio.to_thread(launch.orphaned_server, self._socket)
        if orphan is not None:
            log.warning("tmux_socket_deleted", socket=str(self._socket), server_pid=orphan)
            await self._revive(orphan)
            return orphan
        return await self._start()

    async def _revive(self, pid: int) -> None:
        launch.restore_socket(pid)
        if await self._listening(_SOCKET_SECONDS) != pid:
            raise UnavailableError(
                f"tmux server {pid} lives, but its socket {self._socket} was deleted and does not come back; "
                f"end it with kill {pid} if its sessions may go",
                operation="tmux.start",
            )

    async def _start(self) -> int:
        argv = launch.start_argv(self._argv)
        if not await self._start_in_scope(argv):
            done = await run_bounded(argv, operation="tmux.start", timeout=_START_SECONDS, env=self._environ, cwd="/")
            if done.returncode != 0:
                words = done.stderr.decode(errors="replace").strip()
                raise UnavailableError(f"tmux cannot be started: {words}", operation="tmux.start")
        pid = await self._listening(_START_SECONDS)
        if pid is None:
            raise UnavailableError("tmux was started, but does not listen", operation="tmux.start")
        log.info("tmux_server_started", pid=pid)
        return pid

    async def _start_in_scope(self, argv: list[str]) -> bool:
        """Start it apart from our own unit where there is a user manager; False where there is none."""
        unit = f"teleclaude-tmux-{self.socket_name}-{os.getpid()}"
        scoped = launch.scope_argv(argv, unit, self._environ)
        if scoped is None:
            return False
        try:
            done = await run_bounded(scoped, operation="tmux.start", timeout=_SCOPE_SECONDS, env=self._environ, cwd="/")
        except TeleclaudeError as error:
            log.info("tmux_scope_unavailable", error=str(error))
            return False
        return done.returncode == 0

    async def _listening(self, timeout: float) -> int | None:
        """The server's pid once its socket takes connections; None after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            pid = await asyncio.to_thread(launch.server_pid, self._socket)
            if pid is not None or loop.time() >= deadline:
                return pid
            await asyncio.sleep(_POLL_SECONDS)


async def _tell(callbacks: Sequence[Callable[[ServerIdentity], Awaitable[None]]], identity: ServerIdentity) -> None:
    for callback in callbacks:
        try:
            await callback(identity)
        except Exception:
            # One listener's failure must not keep the server from being used.
            log.exception("tmux_listener_failed", listener=repr(callback))
