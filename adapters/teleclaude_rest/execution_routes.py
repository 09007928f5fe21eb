"""Rows of the route table for executions."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from teleclaude.wire import executions, output, plans
from teleclaude_rest import execution_record, handlers, sse, stream, texts
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.route import PREFIX, Media, Route

PLAN = (Media(handlers.JSON, plans.PlanView),)
EXECUTION = (Media(handlers.JSON, executions.ExecutionView),)


async def start(exchange: Exchange) -> web.Response:
    command = await exchange.command(executions.StartExecution)
    reply = cast(executions.ExecutionView, await exchange.call(command))
    there = command.computer not in (None, exchange.surface.context.computer)
    reference = f"{command.computer}%2F{reply.id}" if there else reply.id
    return handlers.view(exchange, reply, status=exchange.route.status, Location=f"{PREFIX}/executions/{reference}")


async def start_plan(exchange: Exchange) -> web.Response:
    command = await exchange.command(plans.StartPlan)
    reply = cast(plans.PlanView, await exchange.call(command))
    return handlers.view(exchange, reply, status=exchange.route.status, Location=f"{PREFIX}/plans/{reply.id}")


def _control(name: str, summary: str, command: type[executions.Control]) -> Route:
    return Route("POST", f"/executions/{{id}}/{name}", handlers.call, summary, EXECUTION, command=command)


EXECUTION_ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/executions",
        start,
        "Run a command",
        EXECUTION,
        command=executions.StartExecution,
        status=201,
    ),
    Route(
        "GET",
        "/executions",
        handlers.call,
        "Executions, newest first",
        (Media(handlers.JSON, executions.ExecutionList),),
        command=executions.ListExecutions,
        query=("status", "session", "tag", "limit"),
    ),
    Route(
        "GET",
        "/executions/{id}",
        handlers.call,
        "One execution; waits for its end when asked to",
        EXECUTION,
        command=executions.GetExecution,
        query=("wait_ms",),
    ),
    Route(
        "DELETE",
        "/executions/{id}",
        handlers.call,
        "Drop an ended execution with its files",
        EXECUTION,
        command=executions.DeleteExecution,
    ),
    Route(
        "GET",
        "/executions/{id}/output",
        handlers.output,
        "Output from an offset",
        (Media(handlers.BYTES), Media("text/plain")),
        command=output.ReadOutput,
        query=("stream", "from", "limit", "wait_ms", "format"),
        details=f"{texts.STREAMS}\n\n{texts.OUTPUT}",
        headers=handlers.OFFSETS,
    ),
    Route(
        "GET",
        "/executions/{id}/stream",
        stream.follow,
        "Output as it comes",
        (Media(sse.MEDIA),),
        command=output.FollowOutput,
        query=("stream", "from", "format", "mode"),
        details=f"{texts.STREAMS}\n\n{texts.STREAM}",
        resumes=True,
    ),
    Route(
        "GET",
        "/executions/{id}/record",
        execution_record.download,
        "Request, outcome and both outputs of an ended one, as a file",
        (Media(execution_record.TAR), Media(handlers.JSON, executions.RecordView)),
        command=executions.ReadRecord,
        options=execution_record.RecordOptions,
    ),
    _control("cancel", "End it: TERM, CONT, KILL after the grace", executions.CancelExecution),
    _control("pause", "Stop its processes", executions.PauseExecution),
    _control("resume", "Let them go on", executions.ResumeExecution),
    _control("interrupt", "SIGINT, as Ctrl-C would", executions.InterruptExecution),
    _control("signal", "Signal its process group", executions.SignalExecution),
    _control("input", "Write to its standard input", executions.InputExecution),
    _control("close-stdin", "End its standard input", executions.CloseStdinExecution),
    Route(
        "POST",
        "/plans",
        start_plan,
        "Run several commands in an order",
        PLAN,
        command=plans.StartPlan,
        status=201,
    ),
    Route(
        "GET",
        "/plans",
        handlers.call,
        "Plans, newest first",
        (Media(handlers.JSON, plans.PlanList),),
        command=plans.ListPlans,
    ),
    Route(
        "GET",
        "/plans/{id}",
        handlers.call,
        "One plan and its steps; waits for its end when asked to",
        PLAN,
        command=plans.GetPlan,
        query=("wait_ms",),
    ),
    Route(
        "POST",
        "/plans/{id}/cancel",
        handlers.call,
        "Start no further step and end those that run",
        PLAN,
        command=plans.CancelPlan,
    ),
)
