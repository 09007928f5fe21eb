"""A person in front of the page, in a real browser."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright

from tests.support.wait import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--no-zygote"),
)
PATIENCE_MS = 10_000

PICTURES = Path(__file__).parents[3] / "test-artifacts" / "web"
"""Where the tests keep what they saw; git ignores it."""

RECORD = """
  window.record = [];
  document.addEventListener("teleclaude:output", (event) => window.record.push(event.detail));
  document.addEventListener("teleclaude:gap", (event) => window.record.push(event.detail));
"""
BYTES = """() => {
  const pieces = window.record.filter((piece) => piece.data);
  const holes = pieces.slice(1).filter((piece, place) => piece.from !== pieces[place].from + pieces[place].data.length);
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.data.length, 0));
  let at = 0;
  for (const {data} of pieces) { all.set(data, at); at += data.length; }
  let text = "";
  for (let start = 0; start < all.length; start += 32768) {
    text += String.fromCharCode(...all.subarray(start, start + 32768));
  }
  return {from: pieces[0]?.from ?? 0, holes: holes.length, text: btoa(text)};
}"""
DIGEST = """async () => {
  const pieces = window.record.filter((piece) => piece.data);
  const bytes = await new Blob(pieces.map((piece) => piece.data)).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [bytes.byteLength, Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")];
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, a")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length))
  .map((one) => one.outerHTML)"""


def chromium() -> str | None:
    """The system's browser; None: playwright's own, which ``./run test`` installs where the system has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Visitor:
    """One tab. Everything it asked for and every complaint of the browser is noted."""

    def __init__(self, context: BrowserContext, page: Page, base: str) -> None:
        self.context = context
        self.page = page
        self.base = base
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        expected = "Failed to load resource", "WebSocket connection to", "Failed to fetch"
        if message.type == "error" and not message.text.startswith(expected):
            self.complaints.append(message.text)

    async def load(self, fragment: str = "") -> None:
        await self.page.goto(f"{self.base}/{fragment}")

    async def show_token(self, token: str, *, remember: bool = False) -> None:
        await self.page.fill("#token", token)
        if remember:
            await self.page.check("#remember")
        await self.page.press("#token", "Enter")

    async def sign_in(self, token: str) -> None:
        await self.load()
        await self.show_token(token)
        await self.sees("#app")

    async def sees(self, selector: str, text: str | None = None) -> Locator:
        """The first that shows, with ``text`` in it."""
        found = self.page.locator(selector)
        if text is not None:
            found = found.filter(has_text=text)
        await found.first.wait_for()
        return found.first

    async def misses(self, selector: str) -> None:
        await self.page.locator(selector).first.wait_for(state="hidden")

    async def choose(self, name: str) -> None:
        """Open a session of the list and wait for its terminal."""
        await (await self.sees("#list a", name)).click()
        await self.sees("#name", name)
        await self.sees("#tty[data-word=live], #tty[data-word=ended]")

    async def reads(self, text: str) -> None:
        """The terminal shows this."""
        await self.sees("#terminal .xterm-rows", text)

    async def types(self, text: str) -> None:
        """Into the box, and Enter."""
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def presses(self, *keys: str) -> None:
        for key in keys:
            await self.page.click(f'#keys button[data-key="{key}"]')

    async def received(self) -> dict[str, Any]:
        """``{from, holes, text}``: the page's own record of the bytes it got, as base64."""
        found: dict[str, Any] = await self.page.evaluate(BYTES)
        return found

    async def received_all(self, data: bytes) -> None:
        """The record becomes exactly ``data``."""
        wanted = [len(data), hashlib.sha256(data).hexdigest()]

        async def same() -> bool:
            return bool(await self.page.evaluate(DIGEST) == wanted)

        await eventually(same, timeout=10)

    async def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    def check(self, *secrets: str) -> None:
        """Nothing went elsewhere, nothing failed, and no address holds a secret."""
        assert not self.complaints, self.complaints
        own = (self.base, self.base.replace("http:", "ws:"), "data:", "blob:")
        elsewhere = [address for address in self.addresses if not address.startswith(own)]
        assert not elsewhere, elsewhere
        telling = [address for address in self.addresses if any(secret in address for secret in secrets)]
        assert not telling, telling


@asynccontextmanager
async def visit(
    browser: Browser,
    base: str,
    *,
    width: int = 1280,
    height: int = 800,
    scheme: Literal["dark", "light"] = "dark",
    phone: bool = False,
) -> AsyncIterator[Visitor]:
    """A visitor of their own, with nothing remembered from others."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        has_touch=phone,
        device_scale_factor=2 if phone else 1,
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        await context.add_init_script(RECORD)
        visitor = Visitor(context, await context.new_page(), base)
        yield visitor
        visitor.check()
    finally:
        await context.close()
