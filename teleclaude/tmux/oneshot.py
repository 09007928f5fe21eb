"""Commands through a tmux process each: slower, but with nothing that lives between two calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import (
    DeadlineError,
    IndeterminateError,
    SubprocessStuckError,
    SubprocessTimeoutError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.tasks import Completed, run_bounded
from teleclaude.tmux.failures import broken_off, refused, unanswered, unsent
from teleclaude.tmux.line import Flag, Line, command, constant, control_argv, text
from teleclaude.tmux.protocol import Reply
from teleclaude.tmux.transport import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS

log = structlog.get_logger(__name__)

OWNER = "tmux-oneshot"
MAX_AT_ONCE = 8
_GRACE_SECONDS = 0.2
_PROBE_SECONDS = 2.0
_PROBE: Line = (command("display-message", Flag("p"), constant("#{pid}")),)


class SubprocessTransport:
    """See ``Transport``. ``argv`` is the tmux client without a command.

    After a deadline has passed nothing is started, but for one probe now and then, until tmux has answered it.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], timeout: float, tasks: Tasks, clock: Clock
    ) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._timeout = timeout
        self._tasks = tasks
        self._clock = clock
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._down = False

    @property
    def available(self) -> bool:
        return not self._down

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        deadline = asyncio.get_running_loop().time() + (self._timeout if timeout is None else timeout)
        results: list[list[Reply]] = []
        failure: TeleclaudeError | None = None
        prepared = [_Call(line) for line in lines]
        for call in prepared:
            try:
                results.append(await self._in_turn(call, deadline))
            except (UnavailableError, IndeterminateError, DeadlineError):
                raise
            except TeleclaudeError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return results

    async def aclose(self) -> None:
        """Idempotent."""
        await self._tasks.cancel_owner(OWNER, timeout=2.0)

    async def _in_turn(self, call: _Call, deadline: float) -> list[Reply]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise unsent(call.line, "too many tmux processes run") from None
        try:
            if self._down:
                raise unsent(call.line, "tmux does not answer")
            return await self._run(call, max(deadline - loop.time(), 0.01))
        except (SubprocessTimeoutError, SubprocessStuckError) as error:
            self._trip()
            raise unanswered(call.line, error.detail) from error
        finally:
            self._slots.release()

    async def _run(self, call: _Call, timeout: float) -> list[Reply]:
        done = await run_bounded(
            [*self._argv, *call.argv],
            operation=call.operation,
            timeout=timeout,
            env=self._env,
            cwd="/",
            grace=_GRACE_SECONDS,
        )
        return call.replies(done)

    def _trip(self) -> None:
        if self._down:
            return
        self._down = True
        log.warning("tmux_not_answering")
        self._tasks.spawn(self._recover(), name="probe", owner=OWNER)

    async def _recover(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            await self._clock.sleep(backoff)
            try:
                await self._run(_Call(_PROBE), min(self._timeout, _PROBE_SECONDS))
            except (SubprocessTimeoutError, SubprocessStuckError):
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            except TeleclaudeError:
                break  # an answer, even if it is that no server runs
            else:
                break
        self._down = False
        log.info("tmux_answers_again")


class _Call:
    """One line as one process. A line of its own, unguessable, stands between the outputs of two commands."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.operation = f"tmux.{line[0].name}"
        self._mark = secrets.token_hex(16)
        separator = command("display-message", Flag("p"), text(self._mark))
        marked = [line[0]]
        for item in line[1:]:
            marked += [separator, item]
        self.argv = control_argv(tuple(marked))

    def replies(self, done: Completed) -> list[Reply]:
        bodies = self._bodies(done.stdout.decode("utf-8", "replace"))
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip()
            if broken_off(words):
                raise unanswered(self.line, words)
            raise refused(self.line[len(bodies) - 1].name, words)
        bodies += [()] * (sum(item.replies for item in self.line) - len(bodies))
        return [Reply(number, ours=True, ok=True, lines=body) for number, body in enumerate(bodies)]

    def _bodies(self, output: str) -> list[tuple[str, ...]]:
        bodies: list[list[str]] = [[]]
        for printed in output.split("\n")[:-1]:
            if printed == self._mark:
                bodies.append([])
            else:
                bodies[-1].append(printed)
        return [tuple(body) for body in bodies]
