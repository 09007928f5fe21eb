"""Rows of the route table for Python sessions."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from teleclaude.wire import executions, python
from teleclaude_rest import handlers
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.route import PREFIX, Media, Route


async def run_cell(exchange: Exchange) -> web.Response:
    command = await exchange.command(python.RunCell)
    reply = cast(executions.ExecutionView, await exchange.call(command))
    return handlers.view(exchange, reply, status=exchange.route.status, Location=f"{PREFIX}/executions/{reply.id}")


PYTHON_ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/sessions/{id}/executions",
        run_cell,
        "Run a cell in a Python session",
        (Media(handlers.JSON, executions.ExecutionView),),
        command=python.RunCell,
        status=201,
    ),
    Route(
        "GET",
        "/sessions/{id}/variables",
        handlers.call,
        "A Python session's variables",
        (Media(handlers.JSON, python.VariablesView),),
        command=python.ListVariables,
    ),
    Route(
        "PATCH",
        "/sessions/{id}/variables",
        handlers.call,
        "Set variables",
        (Media(handlers.JSON, python.UpdatedView),),
        command=python.UpdateVariables,
    ),
    Route(
        "DELETE",
        "/sessions/{id}/variables",
        handlers.call,
        "Remove the user's variables",
        (Media(handlers.JSON, python.ClearedView),),
        command=python.ClearVariables,
    ),
    Route(
        "POST",
        "/sessions/{id}/snapshots",
        handlers.call,
        "Write the variables down",
        (Media(handlers.JSON, python.SnapshotView),),
        command=python.TakeSnapshot,
        status=201,
    ),
    Route(
        "GET",
        "/sessions/{id}/snapshots",
        handlers.call,
        "A session's snapshots",
        (Media(handlers.JSON, python.SnapshotList),),
        command=python.ListSnapshots,
    ),
    Route(
        "POST",
        "/sessions/{id}/snapshots/{name}/restore",
        handlers.call,
        "Make the variables what they were",
        (Media(handlers.JSON, python.RestoredView),),
        command=python.RestoreSnapshot,
    ),
)
