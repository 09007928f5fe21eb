"""What can be done with panes. Every target is an id of tmux; every effect is one submission."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import structlog

from teleclaude.errors import ConflictError, ExitedError, InvalidError, NotFoundError, TeleclaudeError, UnavailableError
from teleclaude.model import PaneIdentity
from teleclaude.tasks import process_start_time
from teleclaude.tmux import info as panes_info
from teleclaude.tmux import process, rows, typist
from teleclaude.tmux.capture import CapturedScreen, captured, capturing
from teleclaude.tmux.creation import MAX_SIDE, CreatePane, creation, recording
from teleclaude.tmux.failures import TmuxError
from teleclaude.tmux.info import DeadStatus, PaneInfo
from teleclaude.tmux.keys import pressing
from teleclaude.tmux.line import (
    ANCHOR_NAME,
    Flag,
    Option,
    command,
    constant,
    new_name,
    number,
    pane,
    session,
    shell_command,
    text,
)
from teleclaude.tmux.text import COOKED_LINE_BYTES, longest_line, typing
from teleclaude.tmux.transport import Server, ServerIdentity

log = structlog.get_logger(__name__)

_STATUS_SECONDS = 1.5
_STATUS_AT_ONCE = 3
_STATUS_POLL_SECONDS = 0.002
_STATUS_POLL_MAX_SECONDS = 0.1
_RECALL_SECONDS = 0.05


class Panes:
    """The panes of one server. Serialising what goes into one pane is the caller's duty."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def server_identity(self) -> ServerIdentity | None:
        return self._server.identity

    async def create(self, request: CreatePane) -> PaneIdentity:
        """Start a session with its recorder, so that not a byte is lost.

        Raises ``ConflictError`` for a name in use, ``InvalidError`` for a directory that is none and
        ``IndeterminateError`` after the deadline: then ``find_by_marker`` tells in time.
        """
        server = self._server.identity
        try:
            replies = await self._server.run(*creation(request))
        except (TmuxError, NotFoundError):
            await self._undo(request.session_id)
            raise
        if server is None or server != self._server.identity:
            raise UnavailableError("the tmux server ended just now; try again", operation="tmux.new-session")
        session_id, pane_id, pid = replies[0].text.split("|")
        return PaneIdentity(
            server_pid=server.pid,
            server_start=server.start,
            session_id=session_id,
            pane_id=pane_id,
            pid=int(pid),
            pid_start=process_start_time(int(pid)) or 0,
        )

    async def ping(self) -> None:
        """A round trip. Raises ``UnavailableError`` and ``IndeterminateError`` when tmux does not answer."""
        await self._server.run(command("display-message", Flag("p"), constant("#{pid}")))

    async def adopt(self, pane_id: str, session_id: str, recorder_command: str) -> PaneIdentity:
        """Record a pane that somebody else started, and keep it when its process ends, as for ``create``.

        Raises ``ConflictError`` when it is recorded already and ``ExitedError`` when it is dead.
        """
        found = await self.pane(pane_id)
        if found.piped or found.marker:
            raise ConflictError(f"the output of pane {pane_id} goes somewhere already", operation="tmux.adopt")
        if found.dead:
            raise ExitedError(f"the process of pane {pane_id} has ended", operation="tmux.adopt")
        await self._server.run(*recording(Option("t", pane(pane_id)), session_id, recorder_command))
        return self.identity(found)

    async def release(self, pane_id: str) -> None:
        """Undo ``adopt``: from here on tmux treats the pane as its user set it up, a dead one included.

        A pane that is gone already is no error.
        """
        target = Option("t", pane(pane_id))
        unset = (Flag("p"), Flag("u"), target)
        try:
            *_, about = await self._server.run(
                command("set-option", *unset, text(panes_info.MARKER)),
                command("set-option", *unset, text("remain-on-exit")),
                command("display-message", Flag("p"), target, constant("#{pane_dead} #{remain-on-exit}")),
            )
            dead, _, kept = about.text.partition(" ")
            if dead != "1":
                await self._server.run(command("pipe-pane", target))
            elif kept == "off":
                await self._server.run(command("kill-pane", target))
        except NotFoundError:
            log.debug("pane_gone_already", pane=pane_id)

    async def list_panes(self) -> list[PaneInfo]:
        """Every pane of the server but our own anchor's, without ``command`` and ``path``: ask ``pane`` for those."""
        (reply,) = await self._server.run(
            command("list-panes", Flag("a"), Option("F", constant(panes_info.LIST_FORMAT)))
        )
        return [info for info in panes_info.parse_all(reply.lines) if info.name != ANCHOR_NAME]

    async def pane(self, pane_id: str) -> PaneInfo:
        """Raises ``NotFoundError``."""
        (reply,) = await self._server.run(
            command("display-message", Flag("p"), Option("t", pane(pane_id)), constant(panes_info.FULL_FORMAT))
        )
        info = panes_info.parse(reply.text)
        if info is None:
            raise NotFoundError(f"there is no pane {pane_id}", operation="tmux.display-message")
        return info

    async def find(self, pane_id: str) -> PaneInfo | None:
        """As ``pane``; None when there is none."""
        try:
            return await self.pane(pane_id)
        except NotFoundError:
            return None

    async def find_by_marker(self, session_id: str) -> PaneInfo | None:
        """The pane that ``create`` made for our ``session_id``, whatever its name is by now."""
        return next((info for info in await self.list_panes() if info.marker == session_id), None)

    def identity(self, info: PaneInfo) -> PaneIdentity:
        """``info``'s pane, unmistakably; ``pid_start`` is 0 when its process has ended.

        Raises ``UnavailableError`` when the server is gone.
        """
        server = self._server.identity
        if server is None:
            raise UnavailableError("the tmux server is gone, and the pane with it", operation="tmux.identity")
        return PaneIdentity(
            server_pid=server.pid,
            server_start=server.start,
            session_id=info.session_id,
            pane_id=info.pane_id,
            pid=info.pid,
            pid_start=0 if info.dead else process_start_time(info.pid) or 0,
        )

    async def send_text(self, pane_id: str, value: str, *, submit: bool, submit_delay_ms: int = 0) -> None:
        """Type ``value`` (several lines: paste it), then press Enter if ``submit``.

        With a delay Enter is a write of its own: some programs take a fast one for a line end of the text.
        Raises ``ExitedError`` for a dead pane, ``NotFoundError``, ``InvalidError``, ``TooLargeError``.
        """
        if longest_line(value) > COOKED_LINE_BYTES:
            await self._refuse_cooked(pane_id)
        await typist.send_text(self._server, pane_id, value, submit=submit, submit_delay_ms=submit_delay_ms)

    async def send_keys(self, pane_id: str, keys: Sequence[str], repeat: int = 1) -> None:
        """Press ``keys`` in order, ``repeat`` times over. Raises as ``send_text`` does."""
        await typist.send(self._server, pane_id, pressing(pane_id, keys, repeat))

    async def send_bytes(self, pane_id: str, data: bytes) -> None:
        """What a terminal sent, byte by byte. Raises as ``send_text`` does."""
        await typist.send(self._server, pane_id, typing(pane_id, data))

    async def resize(self, pane_id: str, cols: int, rows: int) -> None:
        """Hold the pane's window at this size until the next person attaches. Raises ``NotFoundError``."""
        width, height = number(cols, 1, MAX_SIDE), number(rows, 1, MAX_SIDE)
        await self._server.run(
            command("resize-window", Option("t", pane(pane_id)), Option("x", width), Option("y", height))
        )

    async def capture(self, pane_id: str) -> CapturedScreen:
        """The visible screen. Raises ``NotFoundError``."""
        about, content = await self._server.run(*capturing(pane_id))
        return captured(about, content)

    async def history(self, pane_id: str, lines: int) -> tuple[str, ...]:
        """The screen with up to ``lines`` rows of what scrolled out of it, each with its SGR sequences."""
        start = Option("S", number(-lines, -1_000_000, 0))
        (reply,) = await self._server.run(
            command("capture-pane", Flag("e"), Flag("p"), start, Option("t", pane(pane_id)))
        )
        return tuple(rows.self_contained(reply.lines))

    async def rename(self, session_id: str, name: str) -> None:
        """Raises ``ConflictError`` for a name in use and ``NotFoundError``."""
        await self._server.run(command("rename-session", Option("t", session(session_id)), new_name(name)))

    async def kill(self, session_id: str) -> None:
        """End a session with every process in it. One that is gone already is no error."""
        try:
            await self._server.run(command("kill-session", Option("t", session(session_id))))
        except NotFoundError:
            log.debug("session_gone_already", tmux_session=session_id)

    async def kill_pane(self, pane_id: str) -> None:
        """End a pane; its session ends with the last one. One that is gone already is no error."""
        try:
            await self._server.run(command("kill-pane", Option("t", pane(pane_id))))
        except NotFoundError:
            log.debug("pane_gone_already", pane=pane_id)

    async def start_recorder(self, pane_id: str, recorder_command: str) -> None:
        """Send the pane's output to a new recorder from now on; one that still runs gets the end of its input."""
        await self._server.run(
            command("pipe-pane", Flag("O"), Option("t", pane(pane_id)), shell_command(recorder_command))
        )

    async def status_of_dead(self, pane_id: str, seen: PaneInfo | None = None) -> DeadStatus | None:
        """How the pane's process ended, once it is known to have; None when the pane is gone.

        tmux may need a moment to learn of it: mostly less than a second question takes. What it does not know after a
        while is None in the answer. ``seen`` is what it said just now, when it was asked already.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        at_once = _STATUS_AT_ONCE
        wait = _STATUS_POLL_SECONDS
        info = seen or await self.find(pane_id)
        # A status that is known before the pane is dead means that output is still to be read from the terminal.
        while info is not None and not (info.dead and info.status.known) and loop.time() - began <= _STATUS_SECONDS:
            if at_once:
                at_once -= 1
            else:
                await asyncio.sleep(wait)
                wait = min(wait * 2, _STATUS_POLL_MAX_SECONDS)
            # While a tmux built with utempter waits for that program, the signal of a pane's end is lost to it. It is
            # not reminded early: it then looks at all its children, and may drop what one that just ended wrote last.
            if loop.time() - began >= _RECALL_SECONDS and process_start_time(info.pid) is None:
                self._server.recall_dead_children()
            info = await self.find(pane_id)
        return None if info is None else info.status

    async def signal_foreground(self, target: PaneIdentity, sig: signal.Signals) -> None:
        """See ``process.signal_foreground``."""
        await process.signal_foreground(target, sig)

    async def _refuse_cooked(self, pane_id: str) -> None:
        info = await self.pane(pane_id)
        if await asyncio.to_thread(process.is_cooked, info.tty):
            raise InvalidError(
                f"the program reads whole lines, and the kernel keeps only {COOKED_LINE_BYTES} bytes of one: "
                "send shorter lines or a file",
                operation="input",
            )

    async def _undo(self, session_id: str) -> None:
        """A session whose start failed half-way must not live on unrecorded."""
        try:
            info = await self.find_by_marker(session_id)
            if info is not None:
                await self.kill(info.session_id)
        except TeleclaudeError as error:
            log.warning("failed_start_not_removed", session_id=session_id, error=str(error))
