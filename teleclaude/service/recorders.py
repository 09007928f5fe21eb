"""The recorders of live terminals: watched by pidfd, replaced when they die, and every hole named."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import DeadlineError, NotFoundError, TeleclaudeError
from teleclaude.events import OutputGap
from teleclaude.service.records import Records
from teleclaude.service.table import Live
from teleclaude.streams import RecorderProcess, wake_recorder
from teleclaude.tasks import send_signal, watch_process
from teleclaude.tmux import PaneInfo, Panes

log = structlog.get_logger(__name__)

OWNER = "recorders"
STARTED_SECONDS = 5.0
FINISH_SECONDS = 3.0
SETTLE_SECONDS = 5.0
UNSTARTED_SECONDS = 0.5
"""How long a recorder that was about to start is still waited for once its pane is gone."""

REPLACED_SECONDS = 0.5
"""From one new recorder to the next at least: somebody may be taking the pane's output away again and again."""

STREAM = "pty"


class Recorders:
    """Keeps one recorder per live terminal alive."""

    def __init__(self, *, panes: Panes, records: Records, tasks: Tasks) -> None:
        self._panes = panes
        self._records = records
        self._tasks = tasks

    def alive(self, live: Live) -> bool:
        """Whether everything the pane prints is being recorded, for certain."""
        return live.stream.settled and live.stream.recorder_alive() is True

    def ended(self, live: Live) -> bool:
        """Whether nothing records the pane any more, or only into files that somebody has removed.

        tmux itself notices that only with the next output, if at all.
        """
        return live.recorder is None or live.recorder.ended or not live.stream.recorder_claimed()

    async def watch(self, live: Live) -> None:
        """Follow the newest recorder of a session that has just started or was taken over."""
        await self._settle(live, UNSTARTED_SECONDS)
        process = await live.stream.recorder_started(STARTED_SECONDS)
        if process is None:
            log.warning("recorder_not_started", session_id=live.id)
            self.lost(live)
            return
        live.unwatch_recorder()
        live.recorder = watch_process(process.pid, process.start_time)
        live.recorder.on_exit(partial(self.lost, live))

    async def resume(self, live: Live, info: PaneInfo) -> None:
        """Take over the recording of a pane that was running while nobody watched."""
        if info.dead:
            await self._settle(live)
        elif info.piped and live.stream.recorder_alive() is not False:
            await self.watch(live)
        else:
            await self._replace(live)

    def lost(self, live: Live) -> None:
        """The recorder is gone: start another one, unless the session is ending anyway. Callable at any time."""
        if live.rearming or live.process_ended or live.ended.is_set() or live.is_released:
            return
        live.rearming = True
        self._tasks.spawn(self._replace_once(live), name=f"re-arm {live.id}", owner=OWNER)

    async def _replace_once(self, live: Live) -> None:
        try:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(live.replaced_at + REPLACED_SECONDS - loop.time())
            live.replaced_at = loop.time()
            await self._replace(live)
        except TeleclaudeError as error:
            # The sweep sees the missing pipe and tries again.
            log.warning("recorder_not_replaced", session_id=live.id, error=str(error))
        finally:
            live.rearming = False

    async def _replace(self, live: Live) -> None:
        pane = live.session.pane
        if pane is None or live.process_ended or live.is_released:
            return
        before = set(live.stream.gaps())
        try:
            # Asked first, so that no generation is begun for a pane that has gone with its recorder.
            panes = live.panes(self._panes)
            await panes.pane(pane.pane_id)
            await live.stream.rearm(partial(panes.start_recorder, pane.pane_id), reason="recorder_died")
        except NotFoundError:
            return  # the pane went meanwhile; its end is told elsewhere
        await self.watch(live)
        gaps = [gap for gap in live.stream.gaps() if gap not in before]
        log.warning("recorder_replaced", session_id=live.id, gaps=len(gaps))
        if gaps:
            await self._records.note(*(OutputGap.of(STREAM, gap) for gap in gaps), session_id=live.id)

    def wake(self, live: Live) -> None:
        """A recorder that somebody stopped makes tmux keep all output in its memory: let it go on."""
        watch = live.recorder
        if watch is not None and wake_recorder(RecorderProcess(watch.pid, watch.start_time)):
            log.warning("recorder_was_stopped", session_id=live.id, pid=watch.pid)

    async def discard_unstarted(self, live: Live) -> None:
        """A recorder was prepared and will certainly not start: leave nothing that anybody would wait for."""
        await self._settle(live, 0.0)

    async def finish(self, live: Live) -> None:
        """The pane is gone: let the recorder take what it still has to read, so that the stream's end is final."""
        self.wake(live)
        live.unwatch_recorder()
        await self._settle(live, UNSTARTED_SECONDS)
        if not await live.stream.recorder_ended(FINISH_SECONDS):
            log.warning("recorder_did_not_end", session_id=live.id)
            self._dismiss(live)

    def _dismiss(self, live: Live) -> None:
        """A dead pane that the user keeps would keep its recorder too, which has nothing more to do."""
        process = live.stream.recorder()
        if live.session.adopted and process is not None:
            send_signal(process.pid, process.start_time, signal.SIGTERM)

    async def _settle(self, live: Live, timeout: float = SETTLE_SECONDS) -> None:
        try:
            await live.stream.settle(timeout)
        except DeadlineError as error:
            log.warning("stream_not_settled", session_id=live.id, error=str(error))
