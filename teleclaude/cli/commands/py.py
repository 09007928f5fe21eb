"""``py``: Python in a session, from a prompt, an argument or standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from teleclaude.cli.command import Command, Context
from teleclaude.cli.commands.run import PassedOn, WatchedExecution
from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK, REFUSED, TIMED_OUT, CliError, RefusedError, UsageError
from teleclaude.cli.output import Output
from teleclaude.cli.questions import Questions
from teleclaude.cli.values import beside, execution_path, seconds, session_path

END_SECONDS = 15.0
MAX_CODE_BYTES = 8 << 20

_HELP = """
Run Python in a session whose variables stay. With a NAME the session is that one, made when there is none, and stays;
without, it is a new one that goes at the end. -c runs one piece of code, as does code on standard input; otherwise
there is a prompt, which exit() leaves. Ctrl-C interrupts what runs, a second one ends it. The exit code is 0, that of
sys.exit, 1 for an exception and 124 when the time was up.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.add_argument("name", metavar="NAME", nargs="?", help="the session (default: one for this call)")
    parser.add_argument("-c", dest="code", metavar="CODE", help="run this and end")
    parser.add_argument("--timeout", metavar="S", type=seconds, help="end each piece of code after so many seconds")
    parser.add_argument("--cwd", metavar="DIR", help="where a new session starts (default: the current directory)")
    parser.add_argument("--raw", action="store_true", help="the bytes as they are, on a terminal too")


def _py(context: Context) -> int:
    code = context.args.code
    is_prompt = code is None and sys.stdin is not None and sys.stdin.isatty()
    if is_prompt and context.args.json:
        raise UsageError("--json goes with -c or with code on standard input")
    if code is None and not is_prompt:
        code = _read_code()
    session, is_ours = _session(context)
    try:
        cells = _Cells(context, session)
        if code is None:
            return _prompt(cells)
        # Where the code came from standard input, or nobody sees the question, there are no answers.
        return exit_code(cells.run(code, ask=context.args.code is not None and not context.args.json))
    finally:
        if is_ours:
            context.client.call("DELETE", session_path(_reference(context, session)), query={"purge": "true"})


def _session(context: Context) -> tuple[dict[str, Any], bool]:
    """The session, and whether it is to end with us."""
    name = context.args.name
    if name is not None:
        try:
            session = context.client.call("GET", session_path(name))
        except RefusedError as refusal:
            if refusal.code != "not_found":
                raise
        else:
            if session.get("kind") != "python":
                raise CliError(f"session {name} is a terminal; use attach or send")
            return session, False
    return context.client.call("POST", "/sessions", body=_new_body(context)), name is None


def _new_body(context: Context) -> dict[str, object]:
    computer, _, name = (context.args.name or "").rpartition("/")
    cwd = context.args.cwd
    if context.client.is_local and not computer:
        cwd = str(Path(cwd or Path.cwd()).absolute())
    given = {"kind": "python", "name": name, "computer": computer, "cwd": cwd}
    return {key: value for key, value in given.items() if value}


def _reference(context: Context, session: dict[str, Any]) -> str:
    return beside(context.args.name or "", session["id"])


class _Cells:
    """Runs one cell after the other and shows what comes of it."""

    def __init__(self, context: Context, session: dict[str, Any]) -> None:
        self._context = context
        self._session = session
        self._reference = _reference(context, session)
        self._errors = Output(sys.stderr, sys.stderr)

    def run(self, code: str, *, ask: bool) -> dict[str, Any]:
        """One cell; answers the execution, which has ended."""
        context = self._context
        if not ask:
            ended = self._follow(code)
        else:
            with Questions(context.client, context.out, self._reference) as questions:
                ended = self._follow(code, questions.answer)
        self._show(ended)
        return ended

    def _follow(self, code: str, between: Callable[[], None] | None = None) -> dict[str, Any]:
        context = self._context
        body: dict[str, object] = {"code": code, "allow_stdin": between is not None, "queue": True}
        if context.args.timeout is not None:
            body["timeout_ms"] = max(1, round(context.args.timeout * 1000))
        with PassedOn() as signals:
            started = context.client.call("POST", session_path(self._reference, "executions"), body=body)
            path = execution_path(beside(self._reference, str(started.get("id"))))
            watched = WatchedExecution(context, path, signals, between)
            if context.args.json:
                watched.wait_quietly()
            else:
                watched.stream()
        query = {"wait_ms": int(END_SECONDS * 1000)}
        return context.client.call("GET", path, query=query, patience=END_SECONDS)

    def _show(self, ended: dict[str, Any]) -> None:
        out = self._context.out
        if self._context.args.json:
            out.json(ended)
            return
        result, error = ended.get("result"), ended.get("error")
        if isinstance(result, dict):
            out.line(plain(str(result.get("repr"))))
            pictures = [mime for mime in result.get("display") or () if mime.startswith("image/")]
            if pictures:
                out.note(f"it is {' and '.join(pictures)}, too: see --json")
        elif (said := exit_argument(ended)) is not None:
            if said and _status(said) is None:
                self._errors.line(plain(said))
        elif isinstance(error, dict) and ended.get("reason") == "exception":
            for line in error.get("traceback") or ():
                self._errors.line(plain(str(line)))
        elif ended.get("status") != "completed":
            words = error.get("message") if isinstance(error, dict) else ended.get("status")
            out.note(str(words))
        if ended.get("namespace_lost"):
            out.note("the interpreter was lost, and all variables with it")


def exit_code(execution: dict[str, Any]) -> int:
    """As ``python -c`` would end."""
    if execution.get("status") == "completed":
        return OK
    if execution.get("status") == "timed_out":
        return TIMED_OUT
    said = exit_argument(execution)
    if said is None:
        return REFUSED
    status = _status(said) if said else 0
    return REFUSED if status is None else status & 0xFF


def exit_argument(execution: dict[str, Any]) -> str | None:
    """What ``sys.exit`` was given, as text, empty for nothing; None when the code ended in another way."""
    error = execution.get("error")
    if not isinstance(error, dict) or execution.get("reason") != "exception" or error.get("type") != "SystemExit":
        return None
    message = str(error.get("message"))
    return "" if message == "None" else message


def _status(said: str) -> int | None:
    try:
        return int(said)
    except ValueError:
        return None


def _prompt(cells: _Cells) -> int:
    """Read and run until the end of input or a ``SystemExit``."""
    import readline  # noqa: PLC0415 - only a person at a prompt needs it

    readline.set_auto_history(True)
    lines: list[str] = []
    while True:
        try:
            line = input("... " if lines else ">>> ")
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            lines.clear()
            continue
        except EOFError:
            sys.stdout.write("\n")
            return OK
        lines.append(line)
        code = "\n".join(lines)
        if not code.strip():
            lines.clear()
        elif is_complete(code):
            lines.clear()
            ended = cells.run(code, ask=True)
            if exit_argument(ended) is not None:
                return exit_code(ended)


def is_complete(code: str) -> bool:
    """Whether there is nothing to wait for: it is whole, or cannot become Python any more."""
    import ast  # noqa: PLC0415 - as above
    import codeop  # noqa: PLC0415

    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return compiler(code, "<input>", "single") is not None
    except (SyntaxError, ValueError, OverflowError):
        return True


def _read_code() -> str:
    if sys.stdin is None:
        raise UsageError("there is no code: give -c CODE")
    data = sys.stdin.buffer.read(MAX_CODE_BYTES + 1)
    if len(data) > MAX_CODE_BYTES:
        raise CliError(f"the code is longer than {MAX_CODE_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CliError("the code is not UTF-8") from error


PY = Command("py", "commands", "run Python in a session that keeps its variables", _configure, _py)
