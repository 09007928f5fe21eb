"""The HTTP side: requests to calls, results to answers, faults between them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from teleclaude.clock import Clock
from teleclaude.testing.telegram.faults import Fault, Faults
from teleclaude.testing.telegram.limits import UPLOAD_BYTES
from teleclaude.testing.telegram.methods import BY_LOWER, COUNTED, METHODS, Request
from teleclaude.testing.telegram.params import Params, Upload
from teleclaude.testing.telegram.polling import Polls
from teleclaude.testing.telegram.recorder import Call, Recorder, chat_of
from teleclaude.testing.telegram.refusal import ApiError, bad_request, too_many
from teleclaude.testing.telegram.world import Bot, World

MAX_TOLD = 10_000
GRACE_SECONDS = 0.25
"""A call this soon after the order to wait may have been on its way before it."""


_OF_THE_PROXY = frozenset({502, 504})
"""These come from before the server itself, as a page and not as JSON."""


class _CutError(Exception):
    """The connection ends here, without an answer."""


class Door:
    """Serves ``world`` on a loopback port of its own. Use it as an async context manager."""

    def __init__(self, world: World, polls: Polls, faults: Faults, recorder: Recorder, clock: Clock) -> None:
        self._world = world
        self._polls = polls
        self._faults = faults
        self._recorder = recorder
        self._clock = clock
        self._told: dict[tuple[str, int], tuple[float, float]] = {}
        """By bot and chat: when it was last told to wait, and until when."""
        self._runner: web.AppRunner | None = None
        self.busy = 0
        """Calls that are being answered, long polls apart."""
        self.port = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=2 * UPLOAD_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def aclose(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if self._faults.outage:
            return _cut(request)
        if path.startswith("/file/bot"):
            return self._download(path.removeprefix("/file/bot"))
        try:
            bot, method = self._find(path)
            params = await _read(request)
            status, answer = await self._call(bot, method, params)
        except _CutError:
            return _cut(request)
        except ApiError as error:
            status, answer = error.code, error.body()
        if status in _OF_THE_PROXY:
            page = f"<html><head><title>{status} {answer['description']}</title></head></html>\r\n"
            return web.Response(text=page, status=status, content_type="text/html")
        headers = {"Retry-After": str(answer["parameters"]["retry_after"])} if status == 429 else {}
        return web.json_response(answer, status=status, headers=headers)

    def _find(self, path: str) -> tuple[Bot, str]:
        token, _, method = path.removeprefix("/bot").partition("/")
        bot = self._world.bots.get(token)
        if bot is None or not path.startswith("/bot"):
            raise ApiError(401, "Unauthorized") if ":" in token else ApiError(404, "Not Found")
        return bot, BY_LOWER.get(method.lower(), method)

    async def _call(self, bot: Bot, method: str, params: Params) -> tuple[int, dict[str, Any]]:
        poll = method == "getUpdates"
        self.busy += not poll
        plain = params.plain()
        early = self._early(bot, method, chat_of(plain))
        status, answer = 0, dict[str, Any]()
        try:
            fault = self._faults.next(method, chat_of(plain))
            await self._meet(fault)
            if fault is not None and fault.kind == "misplace":
                params = params.without("message_thread_id")
            result = await self._polls.poll(bot, params) if poll else self._run(bot, method, params)
            if fault is not None and fault.kind == "cut_after":
                raise _CutError
            status, answer = 200, {"ok": True, "result": result}
        except ApiError as error:
            status, answer = error.code, error.body()
            self._remember(bot, plain, error)
        finally:
            self.busy -= not poll
            self._record(Call(self._now_ms(), bot.user.id, method, plain, status, answer, early))
        return status, answer

    async def _meet(self, fault: Fault | None) -> None:
        match fault:
            case Fault(kind="status"):
                raise fault.refusal()
            case Fault(kind="cut_before"):
                raise _CutError
            case Fault(kind="delay"):
                await self._clock.sleep(fault.seconds)

    def _run(self, bot: Bot, method: str, params: Params) -> Any:
        function = METHODS.get(method)
        if function is None:
            raise ApiError(404, "Not Found")
        request = Request(self._world, bot, params)
        if method in COUNTED:
            self._charge(request)
        return function(request)

    def _charge(self, request: Request) -> None:
        chat = request.chat()
        media = request.params.value("media", "media")
        seconds = request.bot.ledger.charge(
            chat.id,
            group=chat.is_group,
            now=self._world.monotonic(),
            messages=len(media) if isinstance(media, list) and media else 1,
        )
        if seconds:
            raise too_many(seconds)

    def _remember(self, bot: Bot, plain: dict[str, Any], error: ApiError) -> None:
        chat = chat_of(plain)
        if chat is not None and error.code == 429:
            now = self._world.monotonic()
            self._told[bot.token, chat] = (now, now + error.parameters["retry_after"])
            while len(self._told) > MAX_TOLD:
                del self._told[next(iter(self._told))]

    def _early(self, bot: Bot, method: str, chat: int | None) -> bool:
        if method not in COUNTED or chat is None:
            return False
        now = self._world.monotonic()
        told, until = self._told.get((bot.token, chat), (now, now))
        return told + GRACE_SECONDS < now < until

    def _record(self, call: Call) -> None:
        if call.method == "getUpdates" and call.ok and not call.result:
            self._recorder.empty_polls += 1
        else:
            self._recorder.add(call)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _download(self, rest: str) -> web.Response:
        token, _, path = rest.partition("/")
        file = next((file for file in self._world.files.values() if file.path == path), None)
        if token not in self._world.bots or file is None:
            answer = ApiError(404, "Not Found")
            return web.json_response(answer.body(), status=404)
        return web.Response(body=file.data, content_type="application/octet-stream")


async def _read(request: web.Request) -> Params:
    """Raises ``ApiError`` for a body that cannot be read."""
    if request.content_length is not None and request.content_length > UPLOAD_BYTES + (1 << 20):
        raise ApiError(413, "Request Entity Too Large")
    fields: dict[str, Any] = dict(request.query)
    files: dict[str, Upload] = {}
    if request.content_type == "application/json":
        try:
            fields |= await request.json()
        except ValueError:
            raise bad_request("can't parse request body as JSON") from None
    elif request.can_read_body:
        try:
            await _read_form(await request.post(), fields, files)
        except UnicodeDecodeError:
            raise bad_request("strings must be encoded in UTF-8") from None
    return Params(fields, files)


async def _read_form(form: Mapping[str, Any], fields: dict[str, Any], files: dict[str, Upload]) -> None:
    for name, value in form.items():
        if not isinstance(value, web.FileField):
            fields[name] = value
            continue
        data = await asyncio.to_thread(value.file.read)
        value.file.close()
        if len(data) > UPLOAD_BYTES:
            raise ApiError(413, "Request Entity Too Large")
        files[name] = Upload(value.filename, value.content_type, data)


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection with a reset."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500, body=json.dumps({"ok": False}))
