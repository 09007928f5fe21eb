"""What the page is made of: the same for everybody, no secret in it, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

import teleclaude_rest
from teleclaude_rest.pages import FILES
from tests.support.daemon import Client
from tests.support.outside import Outside, shared_outside_daemon

WEB = Path(teleclaude_rest.__file__).parent / "web"


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as running:
        yield running


def test_every_file_is_served_and_every_served_file_is_there() -> None:
    kept = {str(path.relative_to(WEB)) for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".html")}
    assert kept == {name for name, _ in FILES.values()}


def test_what_is_vendored_comes_with_its_licence() -> None:
    assert "Permission is hereby granted" in (WEB / "xterm" / "LICENSE.txt").read_text()
    assert "Permission is hereby granted" in (WEB / "xterm" / "LICENSE-addon-fit.txt").read_text()


def test_our_files_name_no_other_place_and_make_no_markup() -> None:
    own = [path for path in WEB.iterdir() if path.is_file()]
    assert len(own) > 20
    for path in own:
        text = path.read_text()
        assert not re.search(r"https?://(?!\$)", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|style=", (WEB / "index.html").read_text())


@pytest.mark.parametrize("path", FILES)
async def test_a_file_as_it_is_served(outside: Outside, path: str) -> None:
    name, media = FILES[path]
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        async with http.get(outside.base + path, headers={"Accept-Encoding": "identity"}) as reply:
            assert (reply.status, reply.headers["Content-Type"]) == (200, media)
            assert await reply.read() == (WEB / name).read_bytes()
            policy, tag = reply.headers["Content-Security-Policy"], reply.headers["ETag"]
            assert reply.headers["Cache-Control"] == "no-cache"
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe-eval" not in policy
        assert ("require-trusted-types-for 'script'" in policy) == (path == "/")
        async with http.get(outside.base + path, headers={"Accept-Encoding": "gzip"}) as reply:
            assert (reply.headers["Content-Encoding"], reply.headers["Vary"]) == ("gzip", "Accept-Encoding")
            packed = reply.headers["ETag"]
        for shown, status in ((f'"other", {packed}', 304), (f"W/{packed}", 304), (tag, 200)):
            asked = {"Accept-Encoding": "gzip", "If-None-Match": shown}
            async with http.get(outside.base + path, headers=asked) as reply:
                assert (reply.status, reply.headers["ETag"]) == (status, packed)
                assert (await reply.read() == b"") == (status == 304)


async def test_the_page_comes_by_the_unix_socket_too(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as client, client.http.get("http://localhost/") as reply:
        assert (reply.status, reply.content_type) == (200, "text/html")


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"Host": "evil.example"}, (421, "misdirected")),
        ({"Origin": "http://evil.example"}, (403, "forbidden")),
    ],
)
async def test_strangers_do_not_get_the_page(
    outside: Outside, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    assert await outside.code("GET", "/", token="", headers=headers) == refusal


async def test_it_takes_nothing_but_get_and_no_parameters(outside: Outside) -> None:
    assert await outside.code("POST", "/", json={}) == (405, "method")
    assert await outside.code("GET", f"/?token={outside.token}") == (422, "invalid")
