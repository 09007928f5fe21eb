"""One run of the daemon: enter every part in order, wait for the word to stop, leave in reverse."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from teleclaude import __version__
from teleclaude.api import AdapterContext, Check, TaskPolicy
from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.config import Config, ConfigError, load_config
from teleclaude.daemon.notify import Notifier
from teleclaude.events import AdapterFailed
from teleclaude.log import configure_logging
from teleclaude.paths import Paths, find_config
from teleclaude.plugins import Adapters
from teleclaude.plugins.handlers import EventHandlers, load_handlers
from teleclaude.process import claim
from teleclaude.service import Core, Parts, Settings, build_core
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import TmuxServer

log = structlog.get_logger(__name__)

OWNER = "daemon"
STOP_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Startup:
    config: Config
    config_path: Path | None
    paths: Paths
    notifier: Notifier


async def run(startup: Startup) -> int:
    """Run until SIGTERM or SIGINT (0) or until a vital task fails (70)."""
    stop = asyncio.Event()
    settings = Settings(startup.config)
    clock = SystemClock()
    await asyncio.to_thread(claim)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(TaskRegistry(clock))
        _handle_signals(stop, startup, settings)
        core = await _enter_core(stack, startup, settings, tasks, clock)
        context = _context_maker(startup, settings, tasks, core)
        failed = _failure_noter(tasks, core)
        adapters = await stack.enter_async_context(Adapters(context, on_failure=failed))
        handlers = await stack.enter_async_context(EventHandlers(load_handlers(), bus=core.bus, tasks=tasks))
        core.health.adapters = _checks(adapters, handlers)
        gc.freeze()
        gc.enable()
        await _say_ready(startup, core)
        _spawn_watchdog(startup.notifier, tasks, clock)
        status = await _until_stopped(stop, tasks)
        startup.notifier.send("STOPPING=1")
        log.info("stopping", status=status)
        _spawn_last_resort(tasks, status)
        await core.close_intake()
    log.info("stopped", status=status)
    return status


def _checks(adapters: Adapters, handlers: EventHandlers) -> Callable[[], Awaitable[Mapping[str, Check]]]:
    async def checks() -> Mapping[str, Check]:
        return {**await adapters.checks(), **handlers.checks()}

    return checks


async def _enter_core(
    stack: AsyncExitStack, startup: Startup, settings: Settings, tasks: TaskRegistry, clock: SystemClock
) -> Core:
    config, paths = startup.config, startup.paths
    database = await stack.enter_async_context(Database(paths.database, clock=clock))
    watcher = await stack.enter_async_context(make_watcher(tasks))
    streams = await stack.enter_async_context(
        StreamStore(paths.streams, watcher=watcher, segment_bytes=config.sessions.segment_bytes)
    )
    server = await stack.enter_async_context(
        TmuxServer(
            binary=config.tmux.binary,
            socket_name=config.tmux.socket_name,
            transport=config.tmux.transport,
            directory=paths.runtime,
            history_limit=config.tmux.history_limit,
            command_timeout=config.tmux.command_timeout_ms / 1000,
            tasks=tasks,
            clock=clock,
        )
    )
    core = build_core(
        Parts(
            settings=settings,
            paths=paths,
            database=database,
            bus=Bus(EventLog(database)),
            streams=streams,
            server=server,
            tasks=tasks,
            clock=clock,
        )
    )
    return await stack.enter_async_context(core)


def _context_maker(
    startup: Startup, settings: Settings, tasks: TaskRegistry, core: Core
) -> Callable[[str], AdapterContext | None]:
    def context_for(name: str) -> AdapterContext | None:
        section = getattr(settings.current, name, None)
        if section is None or not section.enabled:
            return None
        return AdapterContext(
            hub=core.hub,
            tasks=tasks,
            clock=SystemClock(),
            computer=core.computer,
            settings=section,
            state_dir=startup.paths.state,
            runtime_dir=startup.paths.runtime,
            reloaded=lambda: getattr(settings.current, name),
        )

    return context_for


def _failure_noter(tasks: TaskRegistry, core: Core) -> Callable[[str, str], None]:
    def failed(name: str, detail: str) -> None:
        tasks.spawn(core.note(AdapterFailed(adapter=name, detail=detail)), name=f"note {name}", owner=OWNER)

    return failed


def _handle_signals(stop: asyncio.Event, startup: Startup, settings: Settings) -> None:
    loop = asyncio.get_running_loop()

    def asked_to_stop() -> None:
        if stop.is_set():
            log.warning("stopping_at_once")
            os._exit(0)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    loop.add_signal_handler(signal.SIGHUP, _reload, startup, settings)


def _reload(startup: Startup, settings: Settings) -> None:
    """Replace the settings as a whole, or keep the old ones and say so."""
    startup.notifier.send("RELOADING=1")
    try:
        config = load_config(startup.config_path, os.environ)
    except ConfigError as error:
        settings.reload_error = str(error)
        log.warning("reload_refused", problems=str(error))
    else:
        settings.replace(config)
        configure_logging(config.log.level, config.log.format)
        log.info("reloaded", config=str(startup.config_path or find_config(os.environ)))
    startup.notifier.send("READY=1")


async def _say_ready(startup: Startup, core: Core) -> None:
    readiness = await core.hub.readiness()
    faults = [f"{name}: {check.detail}" for name, check in readiness.checks.items() if not check.ok]
    suffix = f" (not ok: {'; '.join(faults)})" if faults else ""
    sys.stderr.write(
        f"teleclaude ready: version {__version__}, computer {core.computer}, socket {startup.paths.socket}{suffix}\n"
    )
    sys.stderr.flush()
    startup.notifier.send("READY=1")


def _spawn_watchdog(notifier: Notifier, tasks: TaskRegistry, clock: SystemClock) -> None:
    interval = notifier.watchdog_interval
    if interval is None:
        return

    async def beat() -> None:
        while True:
            notifier.send("WATCHDOG=1")
            await clock.sleep(interval)

    tasks.spawn(beat, name="watchdog", owner=OWNER, policy=TaskPolicy.RESTART)


async def _until_stopped(stop: asyncio.Event, tasks: TaskRegistry) -> int:
    failed = asyncio.Event()

    async def watch() -> None:
        await tasks.wait_fatal()
        failed.set()
        stop.set()

    tasks.spawn(watch(), name="fatal watch", owner=OWNER)
    await stop.wait()
    return 70 if failed.is_set() else 0


def _spawn_last_resort(tasks: TaskRegistry, status: int) -> None:
    """Whatever hangs, the process ends: terminals live in tmux and lose nothing."""

    def give_up() -> None:
        log.error("stop_timeout", timeout_s=STOP_SECONDS, active=str(dict(tasks.counts.active)))
        os._exit(status)

    asyncio.get_running_loop().call_later(STOP_SECONDS, give_up)
