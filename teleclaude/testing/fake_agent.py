"""A coding agent that is none: the habits of real ones in a terminal, without a model behind it.

``python -m teleclaude.testing.fake_agent [--record FILE] [--resume ID | --session-id ID] [SCRIPT]``

It takes the alternate screen and raw mode, asks for bracketed paste, redraws a spinner while it works, takes an Enter
that comes too soon after a burst of text for a line break, asks for permission with a menu, and takes up a conversation
by its id. Every submitted prompt is one line of JSON in FILE: ``{"conversation_id", "number", "prompt"}``.

SCRIPT is a JSON file, ``{"trap_ms"?: 120, "rules"?: [{"when", "work_ms"?, "say"?, "ask"?, "exit"?}]}``: the first rule
whose ``when`` occurs in the prompt says how long the turn works, what it answers, what it asks permission for before,
and with which code it exits after. Escape interrupts a turn; Ctrl-C twice, ``/exit`` or Ctrl-D end it.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from teleclaude.testing.agent_script import Conversation, Rule, Script, load_script
from teleclaude.testing.typed_keys import Input, KeyDecoder, Pressed, Typed

_ENTER_SCREEN = "\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b]2;✳ fake agent\x07"
_LEAVE_SCREEN = "\x1b[?25h\x1b[?2004l\x1b[?1049l"
_SPINNER = "✶✸✹✺✹✷"
_SPINNER_SECONDS = 0.08
_ESCAPE_SECONDS = 0.05
_AGAIN_SECONDS = 2.0
_BURST_CHARACTERS = 2
_TRANSCRIPT_LINES = 1000
_CHOICES = ("Yes", "No, and say what to do differently")


class Agent:
    """The state between two inputs. ``take`` and ``tick`` change it at the time ``now``, ``lines`` shows it.

    ``exit_code`` is None until it wants to end.
    """

    def __init__(self, script: Script, conversation: Conversation) -> None:
        self.exit_code: int | None = None
        self._script = script
        self._conversation = conversation
        self._transcript = deque[str](maxlen=_TRANSCRIPT_LINES)
        for prompt in conversation.prompts:
            self._show_prompt(prompt)
        self._draft = ""
        self._burst = 0
        self._burst_at = 0.0
        self._turn: Rule | None = None
        self._asking = False
        self._choice = 0
        self._done_at = 0.0
        self._frame = 0
        self._last_interrupt: float | None = None

    @property
    def working(self) -> bool:
        return self._turn is not None and not self._asking

    def tick(self, now: float) -> None:
        self._frame += 1
        if self._turn is not None and self.working and now >= self._done_at:
            self._finish(self._turn)

    def take(self, given: Input, now: float) -> None:
        if isinstance(given, Pressed) and given.name == "ctrl-c":
            self._interrupt(now)
            return
        self._last_interrupt = None
        if self._asking:
            self._take_in_menu(given, now)
        elif isinstance(given, Typed):
            self._type(given.text, now)
        else:
            self._press(given.name, now)

    def lines(self, columns: int, rows: int) -> list[str]:
        head = ["✻ fake agent", f"  conversation {self._conversation.id}", ""]
        foot = [*self._status(), "─" * columns, *self._prompt(), "─" * columns, self._hint()]
        room = max(rows - len(head) - len(foot), 0)
        middle = list(self._transcript)[max(len(self._transcript) - room, 0) :]
        return [line[:columns] for line in [*head, *middle, *foot]][-rows:]

    def _type(self, text: str, now: float) -> None:
        if self._too_soon(now):
            self._burst += len(text)
        else:
            self._burst = len(text)
        self._burst_at = now
        self._draft += text

    def _too_soon(self, now: float) -> bool:
        return now - self._burst_at < self._script.trap_ms / 1000

    def _press(self, name: str, now: float) -> None:
        match name:
            case "enter" if self._burst >= _BURST_CHARACTERS and self._too_soon(now):
                self._draft += "\n"
            case "enter" if self._draft.strip() and self._turn is None:
                self._submit(now)
            case "newline":
                self._draft += "\n"
            case "backspace":
                self._draft = self._draft[:-1]
            case "ctrl-u":
                self._draft = ""
            case "ctrl-d" if not self._draft:
                self.exit_code = 0
            case "escape" if self._turn is not None:
                self._turn = None
                self._transcript.append("  ⎿ Interrupted")

    def _submit(self, now: float) -> None:
        prompt, self._draft, self._burst = self._draft, "", 0
        if prompt.strip() == "/exit":
            self.exit_code = 0
            return
        self._conversation.add(prompt)
        self._show_prompt(prompt)
        self._turn = self._script.rule_for(prompt)
        self._asking, self._choice = self._turn.ask is not None, 0
        self._done_at = now + self._turn.work_ms / 1000

    def _show_prompt(self, prompt: str) -> None:
        self._transcript += [f"> {line}" for line in prompt.split("\n")]

    def _take_in_menu(self, given: Input, now: float) -> None:
        match given:
            case Pressed("up" | "down"):
                self._choice = 1 - self._choice
            case Pressed("enter"):
                self._answer(self._choice, now)
            case Typed("1" | "2" as digit):
                self._answer(int(digit) - 1, now)
            case Pressed("escape"):
                self._answer(1, now)

    def _answer(self, choice: int, now: float) -> None:
        assert self._turn is not None
        self._asking = False
        self._done_at = now + self._turn.work_ms / 1000
        if choice:
            self._turn = None
            self._transcript.append("  ⎿ Denied")

    def _finish(self, turn: Rule) -> None:
        self._turn = None
        said = f"You said: {self._conversation.prompts[-1]}" if turn.say is None else turn.say
        self._transcript += f"● {said}".replace("\n", "\n  ").split("\n")
        self.exit_code = turn.exit

    def _interrupt(self, now: float) -> None:
        if self._last_interrupt is not None and now - self._last_interrupt < _AGAIN_SECONDS:
            self.exit_code = 130
        self._last_interrupt, self._draft, self._turn, self._asking = now, "", None, False

    def _status(self) -> list[str]:
        if self.working:
            return [f"{_SPINNER[self._frame % len(_SPINNER)]} Working… (esc to interrupt)"]
        return [""]

    def _prompt(self) -> list[str]:
        if self._turn is not None and self._asking:
            rows = [f"{'❯' if at == self._choice else ' '} {at + 1}. {text}" for at, text in enumerate(_CHOICES)]
            return [self._turn.ask or "", *rows]
        first, *more = self._draft.split("\n")
        return [f"> {first}", *(f"  {line}" for line in more)]

    def _hint(self) -> str:
        return "Press Ctrl-C again to exit" if self._last_interrupt is not None else "? for help"


class Terminal:
    """Runs an agent on the terminal ``fd``."""

    def __init__(self, fd: int, agent: Agent) -> None:
        self._fd = fd
        self._agent = agent
        self._decoder = KeyDecoder()
        self._shown: list[str] = []

    def run(self) -> int:
        """Until the agent ends, a signal ends it, or the terminal goes away; answers the exit code."""
        with _signals() as signals, _raw(self._fd):
            while self._agent.exit_code is None:
                self._draw()
                ready, _, _ = select.select([self._fd, signals], [], [], self._patience())
                now = time.monotonic()
                if signals in ready and any(number != signal.SIGWINCH for number in os.read(signals, 64)):
                    return 143
                if self._fd in ready:
                    data = _read(self._fd)
                    if not data:
                        return 129
                    given = self._decoder.feed(data)
                else:
                    given = self._decoder.give_up_waiting()
                for item in given:
                    self._agent.take(item, now)
                self._agent.tick(now)
        return self._agent.exit_code

    def _patience(self) -> float | None:
        if self._decoder.undecided:
            return _ESCAPE_SECONDS
        return _SPINNER_SECONDS if self._agent.working else None

    def _draw(self) -> None:
        """The whole frame anew, as real ones do, but nothing while nothing changes."""
        columns, rows = os.get_terminal_size(self._fd)
        lines = self._agent.lines(columns, rows)
        if lines != self._shown:
            _write(self._fd, "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
            self._shown = lines


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    _write(fd, _ENTER_SCREEN)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            _write(fd, _LEAVE_SCREEN)
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor on which the numbers of caught signals arrive, one byte each."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    yield reader


def _read(fd: int) -> bytes:
    """What was typed; nothing once the terminal is gone."""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def _write(fd: int, text: str) -> None:
    rest = text.encode()
    while rest:
        rest = rest[os.write(fd, rest) :]


def main(argv: Sequence[str]) -> int:
    """Answers the exit code: what the script says, 1 for a conversation that is not known, 128 + n for a signal."""
    parser = argparse.ArgumentParser(prog="fake_agent", allow_abbrev=False)
    parser.add_argument("script", nargs="?", type=Path)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--resume", metavar="ID")
    parser.add_argument("--session-id", metavar="ID")
    args = parser.parse_args(argv)
    conversation = Conversation(args.record, args.resume, args.session_id)
    if args.resume and not conversation.prompts:
        sys.stderr.write(f"No conversation found with id {args.resume}\n")
        return 1
    agent = Agent(load_script(args.script) if args.script else Script(), conversation)
    code = Terminal(sys.stdin.fileno(), agent).run()
    sys.stdout.write(f"Resume this conversation with: --resume {conversation.id}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
