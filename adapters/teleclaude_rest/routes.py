"""The route table: every path, the command behind it and where each of its fields comes from."""

from __future__ import annotations

from teleclaude.wire import audit, places, sessions, tokens
from teleclaude_rest import docs, events, handlers, rpc, sse, stream, texts, tty
from teleclaude_rest.execution_routes import EXECUTION_ROUTES
from teleclaude_rest.methods import methods
from teleclaude_rest.python_routes import PYTHON_ROUTES
from teleclaude_rest.route import Media, Route

SESSION = (Media(handlers.JSON, sessions.SessionView),)
SCREEN = (
    Media(handlers.JSON, sessions.ScreenView),
    Media("text/plain"),
    Media(handlers.PNG),
)
STREAM = (Media(sse.MEDIA),)

OFFSETS = ("Teleclaude-From", "Teleclaude-To", "Teleclaude-End")

_rpc = rpc.RpcHandler()

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/rpc",
        _rpc,
        "JSON-RPC 2.0 over WebSocket",
        (),
        status=101,
        websocket=True,
        details=texts.RPC,
    ),
    Route(
        "GET",
        "/health",
        handlers.health,
        "Is it up",
        (Media(handlers.JSON, handlers.HealthView),),
        bare=True,
        open=True,
    ),
    Route(
        "GET", "/ready", handlers.ready, "Does every part serve", (Media(handlers.JSON, handlers.ReadyView),), bare=True
    ),
    Route("GET", "/metrics", handlers.metrics, "Prometheus text", (Media("text/plain"),), bare=True),
    Route("GET", "/openapi.json", handlers.description, "This description", (Media(handlers.JSON),), bare=True),
    Route("GET", "/docs", docs.show, "This description to read", (Media("text/html"),), bare=True),
    Route("GET", "/whoami", handlers.whoami, "What this token may do", (Media(handlers.JSON, handlers.PrincipalView),)),
    Route(
        "POST",
        "/tokens",
        handlers.call,
        "Make a named token",
        (Media(handlers.JSON, tokens.NewTokenView),),
        command=tokens.CreateToken,
        status=201,
    ),
    Route(
        "GET",
        "/tokens",
        handlers.call,
        "All named tokens",
        (Media(handlers.JSON, tokens.TokenList),),
        command=tokens.ListTokens,
    ),
    Route(
        "DELETE",
        "/tokens/{id}",
        handlers.call,
        "Revoke a token and cut what came in by it",
        (Media(handlers.JSON, tokens.TokenView),),
        command=tokens.RevokeToken,
    ),
    Route(
        "GET",
        "/audit",
        handlers.call,
        "Who did or tried what",
        (Media(handlers.JSON, audit.AuditView),),
        command=audit.ReadAudit,
        query=("after", "limit"),
    ),
    Route(
        "GET",
        "/events",
        events.follow,
        "All events, as they happen",
        STREAM,
        options=events.EventOptions,
        details=texts.EVENTS,
        resumes=True,
    ),
    Route(
        "POST",
        "/sessions",
        handlers.create,
        "Start a session",
        SESSION,
        command=sessions.CreateSession,
        status=201,
    ),
    Route(
        "POST",
        "/sessions/adopt",
        handlers.create,
        "Take over a tmux session of the user's own",
        SESSION,
        command=sessions.AdoptSession,
        status=201,
    ),
    Route(
        "GET",
        "/sessions",
        handlers.call,
        "All sessions, or those that fit",
        (Media(handlers.JSON, sessions.SessionList),),
        command=sessions.ListSessions,
        query=("computer", "state", "kind", "tag"),
    ),
    Route("GET", "/sessions/{id}", handlers.call, "One session", SESSION, command=sessions.GetSession),
    Route("PATCH", "/sessions/{id}", handlers.call, "Rename or tag it", SESSION, command=sessions.UpdateSession),
    Route(
        "DELETE",
        "/sessions/{id}",
        handlers.call,
        "Close it",
        SESSION,
        command=sessions.CloseSession,
        query=("grace_ms", "purge"),
    ),
    Route(
        "POST",
        "/sessions/{id}/input",
        handlers.call,
        "Type text",
        (Media(handlers.JSON, sessions.InputReply),),
        command=sessions.SendInput,
    ),
    Route(
        "POST",
        "/sessions/{id}/keys",
        handlers.call,
        "Press keys",
        (Media(handlers.JSON, sessions.OffsetReply),),
        command=sessions.SendKeys,
    ),
    Route("POST", "/sessions/{id}/resize", handlers.call, "Resize it", SESSION, command=sessions.ResizeSession),
    Route(
        "GET",
        "/sessions/{id}/screen",
        handlers.screen,
        "What it shows now",
        SCREEN,
        command=sessions.ReadScreen,
        options=handlers.ScreenOptions,
    ),
    Route(
        "GET",
        "/sessions/{id}/output",
        handlers.output,
        "Recorded output from an offset",
        (Media(handlers.BYTES), Media("text/plain")),
        command=sessions.ReadOutput,
        query=("from", "limit", "wait_ms", "format"),
        details=texts.OUTPUT,
        headers=OFFSETS,
    ),
    Route(
        "GET",
        "/sessions/{id}/stream",
        stream.follow,
        "Output as it comes",
        STREAM,
        command=sessions.FollowOutput,
        query=("from", "format", "mode"),
        details=texts.STREAM,
        resumes=True,
    ),
    Route(
        "GET",
        "/sessions/{id}/tty",
        tty.attach,
        "The terminal itself, over WebSocket",
        (),
        command=sessions.FollowOutput,
        query=("from", "mode"),
        status=101,
        websocket=True,
        details=texts.TTY,
    ),
    Route(
        "POST",
        "/sessions/{id}/wait",
        handlers.call,
        "Wait for text, silence or the end",
        (Media(handlers.JSON, sessions.WaitReply),),
        command=sessions.WaitSession,
    ),
    Route(
        "POST",
        "/sessions/{id}/signal",
        handlers.call,
        "Signal its foreground processes",
        SESSION,
        command=sessions.SignalSession,
    ),
    Route(
        "POST",
        "/sessions/{id}/restart",
        handlers.call,
        "Start its command again",
        SESSION,
        command=sessions.RestartSession,
    ),
    Route(
        "GET",
        "/computers",
        handlers.call,
        "The computers that can be named",
        (Media(handlers.JSON, places.ComputerList),),
        command=places.ListComputers,
    ),
    Route(
        "GET",
        "/directories",
        handlers.call,
        "Where sessions may start",
        (Media(handlers.JSON, places.DirectoryList),),
        command=places.ListDirectories,
    ),
    Route(
        "GET",
        "/agents",
        handlers.call,
        "The agents' profiles",
        (Media(handlers.JSON, places.AgentList),),
        command=places.ListAgents,
    ),
    *EXECUTION_ROUTES,
    *PYTHON_ROUTES,
)

_rpc.table.update(methods(ROUTES))
