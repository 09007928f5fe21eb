"""``run``: a command on the daemon's computer, as if it ran here."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from teleclaude.cli.command import Command, Context
from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK, REFUSED, TIMED_OUT, CliError, RefusedError, UsageError
from teleclaude.cli.follow import Follower
from teleclaude.cli.output import Output
from teleclaude.cli.record import Record
from teleclaude.cli.values import execution_path, seconds, variable

NOT_STARTED = 126  # as the shell's for what cannot be executed
MAX_INPUT_BYTES = 1 << 20
TICK_SECONDS = 0.05
QUIET_TICK_SECONDS = 0.3
QUIET_SECONDS = 2.0
END_SECONDS = 15.0

_HELP = """
Run a command and stream both of its streams. Words after -- are the program and its arguments, passed as they are;
--shell takes a line for the shell instead. Ctrl-C interrupts it, a second one ends it. The exit code is the command's:
128+N when signal N ended it, 124 when its time was up, 126 when it could not be started.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.add_argument("--shell", metavar="LINE", help="a command line for the shell, instead of words after --")
    parser.add_argument("--computer", metavar="NAME", help="run it on that computer")
    parser.add_argument("--timeout", metavar="S", type=seconds, help="end it after so many seconds")
    parser.add_argument("--cwd", metavar="DIR", help="where it runs (default: the current directory)")
    parser.add_argument(
        "--env", metavar="K=V", action="append", default=[], type=variable, help="an environment variable (repeatable)"
    )
    parser.add_argument("-i", "--stdin", action="store_true", help="pass on standard input, read to its end first")
    parser.add_argument("--raw", action="store_true", help="the bytes as they are, on a terminal too")


def _run(context: Context) -> int:
    args, client = context.args, context.client
    body = run_body(args, is_local=client.is_local)
    if args.stdin:
        body["stdin"] = _read_input()
    with PassedOn() as signals:
        started = _start(context, body)
        path = execution_path(f"{args.computer}/{started.get('id')}" if args.computer else str(started.get("id")))
        run = WatchedExecution(context, path, signals)
        if args.json:
            run.wait_quietly()
        else:
            _stream(run)
    ended = client.call("GET", path, query={"wait_ms": int(END_SECONDS * 1000)}, patience=END_SECONDS)
    if args.json:
        context.out.json(ended)
    elif ended.get("status") not in ("completed", "failed") or ended.get("reason") not in (None, "nonzero_exit"):
        context.out.note(describe(ended))
    for remark in () if args.json else cuts(ended):
        context.out.note(remark)
    return exit_code(ended)


def _start(context: Context, body: Mapping[str, object]) -> dict[str, Any]:
    try:
        return context.client.call("POST", "/executions", body=body)
    except RefusedError as error:
        if error.exit_code == REFUSED:  # which a command may well end with, too
            raise CliError(str(error), NOT_STARTED) from error
        raise


def _stream(run: WatchedExecution) -> None:
    try:
        run.stream()
    except (BrokenPipeError, CliError):
        # Here, its next output would have ended it; and nobody watches it any more.
        with suppress(CliError):
            run.cancel()
        raise


def run_body(args: argparse.Namespace, *, is_local: bool) -> dict[str, object]:
    """The request of ``run``."""
    if (args.words is None) == (args.shell is None):
        raise UsageError("give a command: words after --, or --shell LINE")
    if args.words is not None and not args.words:
        raise UsageError("a command is missing after --")
    body: dict[str, object] = {"argv": args.words} if args.words is not None else {"script": args.shell}
    is_here = is_local and not args.computer
    if args.computer:
        body["computer"] = args.computer
    if args.cwd is not None or is_here:
        body["cwd"] = str(Path(args.cwd or Path.cwd()).absolute()) if is_here else args.cwd
    if args.env:
        body["env"] = dict(args.env)
    if args.timeout is not None:
        body["timeout_ms"] = max(1, round(args.timeout * 1000))
    return body


def exit_code(execution: dict[str, Any]) -> int:
    """What a shell would say of it."""
    if execution.get("status") == "completed":
        return OK
    if execution.get("status") == "timed_out":
        return TIMED_OUT
    if execution.get("reason") == "spawn_error":
        return NOT_STARTED
    code, name = execution.get("exit_code"), execution.get("signal")
    if isinstance(code, int) and code != 0:
        return code
    if isinstance(name, str):
        number = getattr(signal, f"SIG{name}", None)
        return REFUSED if number is None else 128 + int(number)
    return REFUSED


def describe(execution: dict[str, Any]) -> str:
    """How it ended, in a line."""
    words = [str(execution.get("status"))]
    if execution.get("reason"):
        words.append(f"({execution['reason']})")
    if execution.get("signal"):
        words.append(f"by SIG{execution['signal']}")
    error = execution.get("error")
    if isinstance(error, dict):
        words.append(plain(str(error.get("message"))))
    return " ".join(words)


def cuts(execution: dict[str, Any]) -> Iterator[str]:
    """What is missing of its output, a line for each stream."""
    for name, totals in execution.get("streams", {}).items():
        if totals.get("truncated"):
            kept, total = totals["end"], totals["total"]
            yield f"{name}: only {kept} of {total} bytes were kept; raise executions.max_output_bytes"


class WatchedExecution:
    """One running execution, watched from here: Ctrl-C interrupts it; a second one, TERM, HUP and QUIT end it."""

    def __init__(
        self, context: Context, path: str, signals: PassedOn, between: Callable[[], None] | None = None
    ) -> None:
        """``between`` is called now and then while the streams are shown."""
        self._context = context
        self._path = path
        self._between = between
        self._progress = _Progress()
        self._remarks = {"stdout": _Remarks(self._progress), "stderr": Output(None, None)}
        self._signals = signals
        self._failures: list[BaseException] = []

    def stream(self) -> None:
        """Both streams to their own descriptors, until it has ended."""
        outs = {"stdout": self._context.out, "stderr": Output(sys.stderr, sys.stderr)}
        readers = [
            threading.Thread(target=self._follow, args=(name, out), name=name, daemon=True)
            for name, out in outs.items()
        ]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers) and not self._failures:
            for reader in readers:
                reader.join(TICK_SECONDS)
            self._pass_on()
            self._progress.tick()
            if self._between is not None:
                self._signals.while_reading(self._between)
        self._progress.clear()
        if self._failures:
            raise self._failures[0]

    def wait_quietly(self) -> None:
        """Until it has ended."""
        query = {"wait_ms": int(QUIET_TICK_SECONDS * 1000)}
        while True:
            found = self._context.client.call("GET", self._path, query=query, patience=QUIET_TICK_SECONDS)
            if found.get("completed_at"):
                return
            self._pass_on()

    def cancel(self) -> None:
        """Ask for its end; does nothing when it has ended. Raises ``CliError``."""
        self._control("cancel")

    def _follow(self, name: str, out: Output) -> None:
        args = self._context.args
        colours = out.is_tty and "NO_COLOR" not in self._context.environ
        try:
            with _Shared(out, self._progress, raw=args.raw or not out.is_tty, colours=colours) as record:
                query = {"stream": name}
                remarks = self._remarks[name]
                Follower(self._context.client, remarks, record, self._path, query=query, farewell=False).run(0)
        except BaseException as error:
            # It ends this thread only; the main one raises it again.
            self._failures.append(error)

    def _pass_on(self) -> None:
        """What this program was asked by signals, the command is asked."""
        while (verb := self._signals.take()) is not None:
            self._control(verb)

    def _control(self, verb: str) -> None:
        try:
            self._context.client.call("POST", f"{self._path}/{verb}")
        except RefusedError as refusal:
            if refusal.code not in ("exited", "conflict"):
                raise
            if refusal.code == "conflict" and verb == "interrupt":
                # It has not begun, so there is nobody to interrupt.
                self._control("cancel")


class _Shared(Record):
    """A record that shares the terminal with the progress line and the other stream."""

    def __init__(self, out: Output, progress: _Progress, *, raw: bool, colours: bool) -> None:
        super().__init__(out, raw=raw, as_json=False, colours=colours)
        self._progress = progress

    def output(self, start: int, end: int, data: bytes) -> None:
        with self._progress.cleared():
            super().output(start, end, data)


class _Remarks(Output):
    """What a follower has to say, not into the progress line. The other one is silent: both would say the same."""

    def __init__(self, progress: _Progress) -> None:
        super().__init__(None, sys.stderr)
        self._progress = progress

    def note(self, text: str) -> None:
        with self._progress.cleared():
            super().note(text)


class _Progress:
    """A line on the terminal that says how long it has been quiet; nothing where stderr is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = self._last = time.monotonic()
        self._shown = ""
        self._is_tty = sys.stderr is not None and sys.stderr.isatty()

    def tick(self) -> None:
        now = time.monotonic()
        with self._lock:
            line = f"running for {now - self._began:.0f} s (Ctrl-C interrupts)"
            if self._is_tty and now - self._last >= QUIET_SECONDS and line != self._shown:
                sys.stderr.write(f"\r\x1b[K{line}")
                sys.stderr.flush()
                self._shown = line

    def clear(self) -> None:
        with self.cleared():
            pass

    @contextmanager
    def cleared(self) -> Iterator[None]:
        with self._lock:
            if self._shown:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                self._shown = ""
            self._last = time.monotonic()
            yield


class PassedOn:
    """Signals for the execution: inside, Ctrl-C is to interrupt it, and a second one to end it, as are TERM, HUP and
    QUIT, which is Ctrl-\\.

    The handlers only count: an exception out of one could strike anywhere.
    """

    def __init__(self) -> None:
        self._verbs: list[str] = []
        self._interrupts = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> PassedOn:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self) -> str | None:
        """The next thing to ask of the command."""
        return self._verbs.pop(0) if self._verbs else None

    def while_reading(self, work: Callable[[], None]) -> None:
        """Do ``work``, which may wait for a person at the keyboard: there, Ctrl-C has to end the waiting at once."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            work()
        except KeyboardInterrupt:
            self._asked(signal.SIGINT, None)
        finally:
            signal.signal(signal.SIGINT, self._asked)

    def _asked(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
        again = number != signal.SIGINT or self._interrupts > 1
        self._verbs.append("cancel" if again else "interrupt")


def _read_input() -> str:
    data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise CliError(f"standard input is longer than {MAX_INPUT_BYTES} bytes; pass it by a file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CliError("standard input is not UTF-8; pass it by a file") from error


RUN = Command("run", "commands", "run a command and stream its output", _configure, _run, takes_words=True)
