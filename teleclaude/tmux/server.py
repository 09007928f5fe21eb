"""The tmux server as a resource: it is there, it is the one we mean, and its end is noticed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import structlog

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, SubprocessTimeoutError, TeleclaudeError, UnavailableError
from teleclaude.tasks import ProcessWatch, process_start_time, run_bounded, send_signal, watch_process
from teleclaude.tmux import launch
from teleclaude.tmux.control import ControlTransport
from teleclaude.tmux.line import ANCHOR_NAME, Flag, Line, Option, TmuxCommand, command, new_name, path, text
from teleclaude.tmux.oneshot import SubprocessTransport
from teleclaude.tmux.protocol import Notification, Reply
from teleclaude.tmux.starter import ServerStarter
from teleclaude.tmux.transport import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, Gone, ServerIdentity, Transport, tell

log = structlog.get_logger(__name__)

OWNER = "tmux"
OLDEST = (3, 2)
_HINT = "install it (apt install tmux, dnf install tmux, brew install tmux) or set tmux.binary"
_HINTS = frozenset({"sessions-changed", "session-renamed", "unlinked-window-close", "window-close", "layout-change"})
_ANCHOR_ARGV = ("/bin/sh", "-c", "printf 'This session belongs to the teleclaude daemon.'")


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
        self._settings = launch.settings_path(directory, socket_name)
        self._argv = launch.server_argv(binary, socket_name, self._settings)
        self._starter = ServerStarter(
            self._argv, environ=self._environ, socket=launch.socket_path(socket_name, environ), name=socket_name
        )
        self._identity: ServerIdentity | None = None
        self._watch: ProcessWatch | None = None
        self._transport: Transport | None = None
        self._oneshot: SubprocessTransport | None = None
        self._on_gone: list[Gone] = []
        self._on_up: list[Gone] = []
        self._on_change: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        await self._find_program()
        await self._write_settings()
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

    def on_up(self, callback: Gone) -> None:
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
        if identity is None or self._starter.socket.exists() or process_start_time(identity.pid) != identity.start:
            return False
        await self._starter.revive(identity.pid)
        return True

    def recall_dead_children(self) -> None:
        """See ``Server``."""
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

    async def _write_settings(self) -> None:
        try:
            await asyncio.to_thread(launch.write_settings, self._settings, self._history_limit)
        except OSError as error:
            raise UnavailableError(f"tmux's settings cannot be written: {error}", operation="tmux.start") from error

    async def _supervise(self) -> None:
        """Keep a server in use. An end is told before the next begins: no old id may reach a new server."""
        while True:
            if self._identity is None:
                await self._bring_up_patiently()
                assert self._identity is not None
                await tell(self._on_up, self._identity)
            assert self._watch is not None
            await self._watch.wait()
            identity = self._identity
            log.error("tmux_server_gone", pid=identity.pid)
            await self._let_go()
            await tell(self._on_gone, identity)

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
        pid = await self._starter.ensure()
        start = process_start_time(pid)
        if start is None:
            raise UnavailableError("the tmux server ended at once", operation="tmux.start")
        identity = ServerIdentity(pid, start)
        assert self._oneshot is not None
        await self._oneshot.submit([(command("source-file", text(str(self._settings))),)])
        self._transport = await self._connect(identity)
        self._watch = watch_process(pid, start)
        self._identity = identity
        log.info(
            "tmux_server_in_use", pid=pid, socket=str(self._starter.socket), transport=type(self._transport).__name__
        )

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
            await self._make_anchor(self._oneshot)
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
            await self._make_anchor(self._oneshot)
            return self._oneshot
        return transport

    async def _make_anchor(self, transport: Transport) -> None:
        """Without any session tmux has no current target, and some of its commands fail for want of one."""
        name, program = Option("s", new_name(ANCHOR_NAME)), map(text, _ANCHOR_ARGV)
        with suppress(ConflictError):
            await transport.submit([(command("new-session", Flag("d"), name, Option("c", path("/")), *program),)])

    def _control_argv(self) -> list[str]:
        anchor = ["new-session", "-A", "-s", ANCHOR_NAME, "-c", "/", "-f", "no-output,ignore-size"]
        return [*self._argv, "-N", "-C", *anchor, "--", *_ANCHOR_ARGV]

    def _notified(self, notification: Notification) -> None:
        if notification.name in _HINTS:
            for callback in self._on_change:
                callback()
