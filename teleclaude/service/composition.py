"""The service put together: which object is given which."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from teleclaude.api import Check
from teleclaude.paths import Paths
from teleclaude.process.breaker import SpawnBreaker
from teleclaude.service.adopt import Adoptions
from teleclaude.service.audit import Audit
from teleclaude.service.core import Core, Parts
from teleclaude.service.drop import Drop
from teleclaude.service.executions.part import ExecutionPart
from teleclaude.service.files import Files
from teleclaude.service.foreign import ForeignServers
from teleclaude.service.handoff import HandoffPart
from teleclaude.service.health import Health, Probe
from teleclaude.service.hub import Service
from teleclaude.service.input import Inputs
from teleclaude.service.limits import Limits
from teleclaude.service.lookup import Lookup
from teleclaude.service.metrics import Metrics, Reading
from teleclaude.service.once import Journal
from teleclaude.service.output import Outputs
from teleclaude.service.places import Places
from teleclaude.service.python.part import PythonPart
from teleclaude.service.reconcile import Reconciler
from teleclaude.service.recorders import Recorders
from teleclaude.service.records import Records
from teleclaude.service.remote import Remote
from teleclaude.service.screens import Screens
from teleclaude.service.search import Searches
from teleclaude.service.sessions import Sessions
from teleclaude.service.table import SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.tokens import Tokens
from teleclaude.service.upkeep import Upkeep
from teleclaude.service.views import Views
from teleclaude.service.waits import Waits
from teleclaude.tasks import run_bounded
from teleclaude.tmux import Panes

BREAKER_SECONDS = 3.0
"""After repeated failure no session is started for so long."""


def build_core(parts: Parts) -> Core:
    """Wire the service's objects together. Nothing runs yet."""
    settings, streams, clock, tasks = parts.settings, parts.streams, parts.clock, parts.tasks
    computer = settings.current.computer.name
    panes = Panes(parts.server)
    table = SessionTable(settings.current.sessions.max)
    records = Records(parts.database, parts.bus, clock)
    recorders = Recorders(panes=panes, records=records, tasks=tasks)
    screens = Screens(panes, streams, recorders)
    views = Views(streams, settings, clock)
    views.asks = lambda session: (live := table.find(session.id)) is not None and live.asks
    lookup = Lookup(table, records, streams, computer)
    executions = ExecutionPart(
        computer=computer,
        sessions=lookup,
        database=parts.database,
        bus=parts.bus,
        streams=streams,
        settings=settings,
        tasks=tasks,
        clock=clock,
    )
    python = PythonPart(
        computer=computer,
        table=table,
        lookup=lookup,
        records=records,
        streams=streams,
        executions=executions,
        views=views,
        settings=settings,
        tasks=tasks,
        clock=clock,
    )
    outputs = Outputs(lookup, streams, executions.lookup, clock)
    files = Files(lookup, Drop(parts.paths.state / "files"))
    waits = Waits(lookup, outputs, views, screens, clock)
    journal = Journal(parts.database, clock)
    audit = Audit(parts.database, clock)
    breaker = SpawnBreaker(clock, operation="session.create", cool_down=BREAKER_SECONDS)
    tokens = Tokens(
        database=parts.database,
        clock=clock,
        lookup=lookup,
        owner_file=parts.paths.token,
        operations=lambda: hub.operations,
    )
    terminals = Terminals(
        table=table,
        records=records,
        panes=panes,
        streams=streams,
        recorders=recorders,
        screens=screens,
        settings=settings,
        tasks=tasks,
        clock=clock,
        scratch=parts.paths.state / "tmp",
    )
    reconciler = Reconciler(
        computer=computer,
        table=table,
        records=records,
        panes=panes,
        streams=streams,
        recorders=recorders,
        terminals=terminals,
        clock=clock,
    )
    foreign = ForeignServers(directory=parts.server.directory, settings=settings, tasks=tasks, clock=clock)
    adoptions = Adoptions(
        computer=computer,
        table=table,
        records=records,
        streams=streams,
        servers=foreign,
        terminals=terminals,
        reconciler=reconciler,
        views=views,
        clock=clock,
    )
    sessions = Sessions(
        computer=computer,
        table=table,
        lookup=lookup,
        records=records,
        streams=streams,
        terminals=terminals,
        inputs=Inputs(panes=panes, records=records, database=parts.database, settings=settings, clock=clock),
        outputs=outputs,
        screens=screens,
        waits=waits,
        views=views,
        panes=panes,
        settings=settings,
        clock=clock,
        breaker=breaker,
        forget_files=files.forget,
        forget_cells=python.forget,
    )
    upkeep = Upkeep(
        table=table,
        executions=executions.table,
        records=records,
        streams=streams,
        terminals=terminals,
        python=python.sessions,
        views=views,
        journal=journal,
        audit=audit,
        settings=settings,
        clock=clock,
        purge=sessions.purge,
    )
    remote = Remote(computer, tasks)
    handoffs = HandoffPart(
        computer=computer,
        table=table,
        lookup=lookup,
        records=records,
        streams=streams,
        terminals=terminals,
        screens=screens,
        panes=panes,
        remote=remote,
        wait=waits.wait,
        settings=settings,
        tasks=tasks,
        clock=clock,
    )
    places = Places(computer=computer, settings=settings, clock=clock, sessions=lambda: len(table), peers=remote.peers)
    health = Health({**_probes(parts, breaker), "executions": executions.check, "python": python.check})
    hub = Service(
        {
            **python.handlers(sessions.handlers()),
            **adoptions.handlers(),
            **Searches(lookup, clock).handlers(),
            **tokens.handlers(),
            **executions.handlers(),
            **audit.handlers(),
            **places.handlers(),
            **handoffs.handlers(),
            **files.handlers(),
        },
        outputs=outputs,
        remote=remote,
        relay=handoffs.relay,
        bus=parts.bus,
        journal=journal,
        health=health,
        metrics=Metrics([*_readings(parts, table), *executions.readings(), *python.readings()]),
        tokens=tokens,
        audit=audit,
        limits=Limits(clock),
        files=files,
        tasks=tasks,
        clock=clock,
    )
    return Core(
        parts=parts,
        computer=computer,
        hub=hub,
        health=health,
        records=records,
        table=table,
        terminals=terminals,
        reconciler=reconciler,
        adoptions=adoptions,
        foreign=foreign,
        upkeep=upkeep,
        tokens=tokens,
        executions=executions,
        python=python,
        handoffs=handoffs,
    )


def _probes(parts: Parts, breaker: SpawnBreaker) -> Mapping[str, Probe]:
    async def tmux() -> Check:
        await Panes(parts.server).ping()
        return Check(ok=True, detail="ok")

    async def store() -> Check:
        await parts.database.probe()
        recovered = parts.database.recovered_from
        return Check(ok=True, detail=f"a damaged database was set aside as {recovered}" if recovered else "ok")

    async def streams() -> Check:
        await asyncio.to_thread(_writable, parts.paths)
        return Check(ok=True, detail="ok")

    async def spawn() -> Check:
        if breaker.is_open:
            return Check(ok=False, detail="the last sessions could not be started; the log says why")
        await run_bounded(["true"], operation="ready.spawn", timeout=1.0)
        return Check(ok=True, detail="ok")

    async def config() -> Check:
        error = parts.settings.reload_error
        return Check(ok=True, detail=f"reload refused, old settings in force: {error}" if error else "ok")

    return {"tmux": tmux, "store": store, "streams": streams, "spawn": spawn, "config": config}


def _writable(paths: Paths) -> None:
    probe = paths.streams / ".probe"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"ok")
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _readings(parts: Parts, table: SessionTable) -> list[Reading]:
    counts = parts.tasks
    return [
        ("teleclaude_sessions", "Live sessions", lambda: len(table)),
        ("teleclaude_tasks_active", "Running tasks", lambda: sum(counts.counts.active.values())),
        ("teleclaude_tasks_started", "Tasks started since the start", lambda: counts.counts.started),
        ("teleclaude_tasks_failed", "Tasks that failed since the start", lambda: counts.counts.failed),
        ("teleclaude_tasks_cancelled", "Tasks cancelled since the start", lambda: counts.counts.cancelled),
        ("teleclaude_tmux_available", "Whether tmux answered last time", lambda: int(parts.server.available)),
        ("teleclaude_events_seq", "Number of the latest event", lambda: parts.bus.latest),
    ]
