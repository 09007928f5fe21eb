"""One cell, from the queue to its outcome, with the same controls as a command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from signal import Signals

from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, ExitedError, IndeterminateError
from teleclaude.model import (
    CellSpec,
    ExecutionState,
    LiveState,
    Outcome,
    PausedState,
    QueuedState,
    RunningState,
    StartingState,
    StoppingState,
    StreamTotals,
)
from teleclaude.process import Sink
from teleclaude.process.outcome import StopCause
from teleclaude.process.signals import parse_signal
from teleclaude.python.messages import InputOver, InputRequest, Result, Started
from teleclaude.python.outcome import CellSeen, decide
from teleclaude.python.output import CellOutput
from teleclaude.python.process import WorkerProcess

Changed = Callable[[LiveState], None]
Asked = Callable[[str], None]


class RunningCell:
    """Made by ``PythonSession.submit``. Every control raises ``ExitedError`` once there is an outcome.

    ``asks`` is called with the prompt of each question of ``input()``; ``write_stdin`` answers the oldest.
    """

    def __init__(
        self,
        cell_id: str,
        spec: CellSpec,
        sinks: Mapping[str, Sink],
        *,
        clock: Clock,
        changed: Changed,
        asks: Asked,
    ) -> None:
        self.id = cell_id
        self.spec = spec
        self.sinks = dict(sinks)
        self.stopping: asyncio.Future[StopCause] = asyncio.get_running_loop().create_future()
        self._clock = clock
        self._changed = changed
        self._asks = asks
        self._state: ExecutionState = QueuedState()
        self._outcome: Outcome | None = None
        self._done = asyncio.Event()
        self._worker: WorkerProcess | None = None
        self._outputs: dict[str, CellOutput] = {}
        self._questions: list[int] = []
        self._stdin_closed = False
        self._started_at: datetime | None = None
        self._began = 0.0
        self._control = asyncio.Lock()

    @property
    def state(self) -> ExecutionState:
        return self._state

    @property
    def outcome(self) -> Outcome | None:
        return self._outcome

    @property
    def is_paused(self) -> bool:
        return isinstance(self._state, PausedState)

    @property
    def needs_input(self) -> bool:
        """Whether a question waits for its answer."""
        return bool(self._questions)

    @property
    def totals(self) -> dict[str, StreamTotals]:
        """What was written to each stream so far; final once ``wait`` has answered."""
        return {name: output.totals for name, output in self._outputs.items()}

    async def wait(self) -> Outcome:
        """The outcome, once its output is stored."""
        await self._done.wait()
        assert self._outcome is not None
        return self._outcome

    async def cancel(self) -> None:
        """Begin to end it: an interrupt, and after the grace the worker is killed and a new one started. A queued cell
        never runs. A second cancel changes nothing.
        """
        self._require_live("execution.cancel")
        self.stop(StopCause.CANCEL)

    async def interrupt(self) -> None:
        """KeyboardInterrupt in the cell; children of the session get SIGINT. A queued cell never runs."""
        worker = self._require_live("execution.interrupt")
        if worker is None:
            self.stop(StopCause.CANCEL)
            return
        await self._resume()
        await worker.interrupt(self.id)

    async def pause(self) -> None:
        """Stop every process of the session. Raises ``ConflictError`` when it is queued or being ended,
        ``IndeterminateError`` when some process could not be stopped; then all go on.
        """
        async with self._control:
            worker = self._require_started("execution.pause")
            if self.is_paused:
                return
            if not isinstance(self._state, RunningState):
                raise ConflictError("it begins or is being ended; look at it again", operation="execution.pause")
            if not await worker.pause():
                raise IndeterminateError(
                    "not every process could be stopped in time, so all go on", operation="execution.pause"
                )
            self._move(PausedState(self._state.started_at))

    async def resume(self) -> None:
        """Let a paused cell go on. Does nothing when it runs."""
        self._require_started("execution.resume")
        await self._resume()

    async def signal(self, name: str) -> None:
        """Send a signal to the session's processes. INT, STOP and CONT are the controls of that name.

        Raises ``InvalidError`` for an unknown name.
        """
        sig = parse_signal(name, operation="execution.signal")
        if sig is Signals.SIGSTOP:
            await self.pause()
        elif sig is Signals.SIGCONT:
            await self.resume()
        elif sig is Signals.SIGINT:
            await self.interrupt()
        else:
            self._require_started("execution.signal").signal(sig)

    async def write_stdin(self, data: bytes) -> None:
        """Answer the oldest question with ``data``, less one newline at its end.

        Raises ``ConflictError`` when the cell asks for nothing.
        """
        text = data.decode("utf-8", "replace")
        await self._answer(text.removesuffix("\n"))

    async def close_stdin(self) -> None:
        """Every question, now and later, ends with ``EOFError``. Does nothing the second time."""
        self._require_started("execution.close_stdin")
        self._stdin_closed = True
        while self._questions:
            await self._answer(None)

    def stop(self, cause: StopCause) -> None:
        """Have it ended; the first cause counts."""
        if not self.stopping.done():
            self.stopping.set_result(cause)
        if isinstance(self._state, RunningState | PausedState):
            self._move(StoppingState(self._state.started_at))

    async def hear(self, message: Started | InputRequest | InputOver) -> None:
        """Its code begins, asks a question, or waits for no answer any more."""
        if isinstance(message, Started):
            self._move_on()
            return
        if isinstance(message, InputOver):
            self._questions = [number for number in self._questions if number != message.request]
            return
        self._questions.append(message.request)
        if self._stdin_closed:
            await self._answer(None)
        else:
            self._asks(message.prompt)

    def begin(self, worker: WorkerProcess, outputs: dict[str, CellOutput]) -> None:
        """It runs from now on."""
        self._worker = worker
        self._outputs = outputs
        self._began = self._clock.monotonic()
        self._started_at = self._clock.now()
        self._move(StartingState())

    def finish(self, result: Result | None, *, died: WorkerProcess | None = None, fault: str | None = None) -> Outcome:
        """The only place that sets the outcome. ``died`` is the worker that ended under it, or before it began;
        ``fault`` says why we could not run it.
        """
        started = self._started_at is not None
        if result is not None or self.stopping.done():
            self._move_on()
        cause = self.stopping.result() if self.stopping.done() else None
        self._outcome = self._state = decide(
            CellSeen(
                completed_at=self._clock.now(),
                started_at=self._started_at,
                duration_ms=round((self._clock.monotonic() - self._began) * 1000) if started else None,
                cause=cause,
                result=result,
                died=None if died is None else died.exit,
                capped=died is not None and died.was_capped,
                fault=fault,
            )
        )
        self._worker = None
        self._questions.clear()
        self._done.set()
        return self._outcome

    async def _answer(self, text: str | None) -> None:
        worker = self._require_started("execution.input")
        if not self._questions:
            raise ConflictError("the cell asks for no input now; wait for its question", operation="execution.input")
        number = self._questions.pop(0)
        await worker.conversation.tell({"op": "answer", "request": number, "text": text})

    async def _resume(self) -> None:
        async with self._control:
            if self._worker is not None and isinstance(self._state, PausedState):
                await self._worker.resume()
                self._move(RunningState(self._state.started_at))

    def _require_live(self, operation: str) -> WorkerProcess | None:
        if self._outcome is not None:
            raise ExitedError("the cell has ended", operation=operation)
        return self._worker

    def _require_started(self, operation: str) -> WorkerProcess:
        worker = self._require_live(operation)
        if worker is None:
            raise ConflictError("the cell has not begun; wait for it, or cancel it", operation=operation)
        return worker

    def _move_on(self) -> None:
        """From starting to running; or, when it was told to stop meanwhile, through running to stopping."""
        if self._started_at is None or not isinstance(self._state, StartingState):
            return
        self._move(RunningState(self._started_at))
        if self.stopping.done():
            self._move(StoppingState(self._started_at))

    def _move(self, state: LiveState) -> None:
        self._state = state
        self._changed(state)
