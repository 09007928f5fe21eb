"""The page in a real browser against a running daemon."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.integration.web.visitor import NAMELESS, Visitor, visit
from tests.support.daemon import Client
from tests.support.outside import Outside
from tests.support.wait import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWS_KEYS = ["bash", "-c", "stty raw -echo; echo ready; exec cat -vT"]


async def end_of(client: Client, name: str) -> int:
    """Where the output of a session ends."""
    return int((await client.get(f"/sessions/{name}"))["output"]["end"])


async def test_a_session_from_beginning_to_end(owner: Visitor, client: Client) -> None:
    page = owner.page
    await page.click("#new")
    await page.fill("#create-name", "build")
    await page.select_option("#create-what", "command")
    await page.fill("#create-command", "bash --norc")
    await page.click("#create-yes")
    await owner.sees("#list a[aria-current]", "build")
    await owner.sees("#tty[data-word=live]")
    await owner.types("echo $((6*7))-said; ls --color=always -d /usr/*")
    await owner.reads("42-said")
    await owner.picture("desktop-dark")
    await page.click("#terminal")
    await page.keyboard.type("echo typed-$((40+2))\n")
    await owner.reads("typed-42")
    await owner.types("exit 7")
    await owner.sees("#state", "exited 7")
    await owner.sees("#list .badge", "exited 7")
    await owner.sees(".notice", "Ended with code 7.")
    await owner.misses("#controls")
    await page.click("#restart")
    await owner.sees("#state:not(.bad)")
    await owner.types("echo again-$((1+1))")
    await owner.reads("again-2")
    await page.click("#close")
    await page.click("#ask-no")
    assert (await client.get("/sessions/build"))["state"] == "running"
    await page.click("#close")
    await owner.sees("#ask-title", "Close build?")
    await page.click("#ask-yes")
    await owner.sees("#close", "Delete")
    await page.click("#close")
    await page.click("#ask-yes")
    await owner.misses("#list li")
    assert (await client.get("/sessions"))["sessions"] == []


async def test_keys_and_modifiers(owner: Visitor, client: Client) -> None:
    await client.new(SHOWS_KEYS, name="keys")
    await owner.choose("keys")
    await owner.reads("ready")
    await owner.presses("Escape", "Tab", "S-Tab", "Up", "Down", "Left", "Right", "Enter", "C-c", "C-d", "1", "0")
    await owner.reads("^[^I^[[Z^[[A^[[B^[[D^[[C^M^C^D10")
    await owner.page.click("#keys .modifier >> nth=0")
    await owner.presses("Up")
    await owner.reads("10^[[1;5A")
    await owner.page.click("#keys .modifier >> nth=0")
    await owner.page.press("#text", "z")
    await owner.reads("^[[1;5A^Z")
    assert await owner.page.input_value("#text") == ""
    await owner.page.click("#keys .modifier >> nth=1")
    await owner.page.click("#terminal")
    await owner.page.keyboard.press("x")
    await owner.reads("^Z^[x")
    assert await owner.page.locator("#keys [aria-pressed=true]").count() == 0
    await owner.page.keyboard.press("Tab")
    await owner.reads("^Z^[x^I")
    await owner.page.keyboard.press("Shift+Escape")
    await owner.sees("#text:focus")


async def test_a_token_for_one_session(visitor: Visitor, client: Client, outside: Outside) -> None:
    await client.new(["cat"], name="mine")
    await client.new(["cat"], name="other")
    token = await outside.new_token("narrow", role="operator", sessions=["mine"])
    await visitor.sign_in(token)
    await visitor.choose("mine")
    await visitor.types("allowed")
    await visitor.reads("allowed")
    assert await visitor.page.locator("#list li").count() == 1
    assert not await visitor.page.is_visible("#new")
    await outside.revoke("narrow")
    await visitor.sees("#signin-reason", "expired or was revoked")


async def test_several_lines_go_in_one_piece(owner: Visitor, client: Client) -> None:
    await client.new(["cat", "-A"], name="lines")
    await owner.choose("lines")
    await owner.page.fill("#text", "one")
    await owner.page.press("#text", "Shift+Enter")
    await owner.page.keyboard.type("two")
    await owner.page.press("#text", "Enter")
    await owner.reads("one$")
    await owner.reads("two$")
    await owner.page.check("#multi")
    await owner.page.press("#text", "Enter")
    assert await owner.page.input_value("#text") == "\n"
    await owner.page.fill("#text", "three")
    await owner.page.press("#text", "Control+Enter")
    await owner.reads("three$")


async def test_the_list_is_live(owner: Visitor, client: Client) -> None:
    await owner.sees("#empty")
    made = await client.new(["bash", "-c", "read; exit 3"], name="first")
    await owner.sees("#list li", "first")
    await client.call("PATCH", "/sessions/first", {"name": "renamed"})
    await owner.sees("#list li", "renamed")
    await client.text("renamed", "")
    await owner.sees("#list .badge.bad", "exited 3")
    await owner.page.uncheck("#ended")
    await owner.sees("#empty")
    await owner.page.check("#ended")
    await client.delete(f"/sessions/{made['id']}", params={"purge": "true"})
    await owner.sees("#empty")


async def test_a_session_takes_the_size_of_the_window(owner: Visitor, client: Client) -> None:
    await client.new(["bash", "--norc"], name="size", cols=190, rows=50)
    await owner.choose("size")
    assert await owner.page.evaluate("document.querySelector('.xterm-rows').children.length") == 50
    await owner.page.click("#fit")

    async def fits() -> int:
        session = await client.get("/sessions/size")
        rows: int = await owner.page.evaluate("document.querySelector('.xterm-rows').children.length")
        return rows if session["rows"] == rows and 60 < session["cols"] < 150 else 0

    rows = await eventually(fits)
    await owner.types("stty size")
    await owner.reads(f"{rows} 1")
    await client.post("/sessions/size/resize", {"cols": 100, "rows": 25})

    async def resized() -> bool:
        return bool(await owner.page.evaluate("document.querySelector('.xterm-rows').children.length") == 25)

    await eventually(resized)


async def test_search_finds_shows_and_jumps(owner: Visitor, client: Client) -> None:
    script = "for i in $(seq 3000); do echo line $i of the build; done; echo '<b>(end'; exec cat"
    await client.new(["bash", "-c", script], name="search")
    await owner.choose("search")
    await owner.reads("line 2999 of")
    await owner.page.click("#find")
    await owner.page.keyboard.type("line 14")
    await owner.page.keyboard.press("Enter")
    await owner.sees("#search [role=status]", "100 lines found so far")
    await owner.page.click("#search >> text=Search on")
    await owner.sees("#search [role=status]", "111 lines found.")
    hit = await owner.sees(".hit", "line 1467 of the build")
    offset = int(await hit.get_attribute("data-offset") or "")
    assert (await client.output("search", offset, 22))[1] == b"line 1467 of the build"
    await hit.click()
    await owner.sees(".place mark", "line 1467 of the build")
    await owner.sees(".place pre", "line 1466 of the build\nline 1467 of the build\nline 1468 of the build")
    await owner.reads("line 1467 of the build")
    await owner.picture("desktop-search")
    for _ in range(8):
        if await owner.page.is_disabled(".place >> text=Earlier"):
            break
        await _show_earlier(owner)
    text = await owner.page.inner_text(".place pre")
    lines = text.splitlines()
    assert lines[:1500] == [f"line {number} of the build" for number in range(1, 1501)]
    await owner.page.keyboard.press("Escape")
    await owner.page.fill("#search input[type=search]", "<b>(")
    await owner.page.press("#search input[type=search]", "Enter")
    await owner.sees(".hit mark", "<b>(")
    await owner.page.check("#search input[type=checkbox]")
    await owner.page.press("#search input[type=search]", "Enter")
    await owner.sees("#search [role=status]", "missing")
    await owner.page.press("#search input[type=search]", "Escape")
    await owner.misses("#search")


async def _show_earlier(visitor: Visitor) -> None:
    before = len(await visitor.page.inner_text(".place pre"))
    await visitor.page.click(".place >> text=Earlier")

    async def grown() -> bool:
        return len(await visitor.page.inner_text(".place pre")) > before

    await eventually(grown)


async def test_a_long_past_is_cut_and_the_screen_is_right(owner: Visitor, client: Client) -> None:
    script = "seq -f 'number %07.0f' 60000; printf '\\033[?1049h\\033[2J\\033[5;9Hfull screen\\033[3;3H'; exec cat"
    await client.new(["bash", "-c", script], name="long")
    await client.wait("long", text="full screen")
    await owner.choose("long")
    await owner.reads("full screen")
    await owner.sees(".notice", "Shown from offset")
    found = await owner.received()
    assert (found["from"] > 0, found["holes"]) == (True, 0)
    await client.text("long", "typed at the cursor")
    await owner.reads("  typed at the cursor")


async def test_a_viewer_reads_only(visitor: Visitor, client: Client, outside: Outside) -> None:
    token = await outside.new_token("guest", role="viewer")
    await client.new(["bash", "-c", "echo to be seen; exec cat"], name="seen")
    await visitor.sign_in(token)
    await visitor.choose("seen")
    await visitor.reads("to be seen")
    await visitor.sees("#readonly", "the token guest may watch, and not type")
    for control in ("#new", "#controls", "#fit", "#restart", "#close"):
        assert not await visitor.page.is_visible(control), control
    end = await end_of(client, "seen")
    await visitor.page.click("#terminal")
    await visitor.page.keyboard.type("not typed\n")
    await visitor.page.click("#find")
    await visitor.page.keyboard.type("seen")
    await visitor.page.keyboard.press("Enter")
    await visitor.sees(".hit", "to be seen")
    assert await end_of(client, "seen") == end
    await visitor.picture("viewer")
    visitor.check(token)
    await outside.revoke("guest")


async def test_a_token_that_ends_leads_back(visitor: Visitor, client: Client, outside: Outside) -> None:
    token = await outside.new_token("short", role="operator")
    await client.new(["cat"], name="cat")
    await visitor.load()
    await visitor.show_token("tc_wrong")
    await visitor.sees("#signin-reason", "This token is not accepted")
    await visitor.picture("sign-in")
    await visitor.show_token(token)
    await visitor.choose("cat")
    await outside.revoke("short")
    await visitor.sees("#signin-reason", "expired or was revoked")
    assert not await visitor.page.is_visible("#app")
    assert await visitor.page.evaluate(
        "[sessionStorage.length, document.cookie, localStorage['teleclaude.token']]"
    ) == [
        0,
        "",
        None,
    ]
    visitor.check(token)


async def test_a_token_is_kept_as_long_as_asked(visitor: Visitor, outside: Outside) -> None:
    await visitor.sign_in(outside.token)
    await visitor.page.reload()
    await visitor.sees("#app")
    other = Visitor(visitor.context, await visitor.context.new_page(), visitor.base)
    await other.load()
    await other.sees("#signin")
    await other.show_token(outside.token, remember=True)
    await other.sees("#app")
    third = Visitor(visitor.context, await visitor.context.new_page(), visitor.base)
    await third.load()
    await third.sees("#app")
    await third.page.click("#signout")
    await third.sees("#signin")
    await third.page.reload()
    await third.sees("#signin")


async def test_what_sessions_say_is_text(owner: Visitor, client: Client, outside: Outside) -> None:
    evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    place = outside.daemon.home / "<img src=x onerror=window.hacked=1>"
    place.mkdir()
    script = f"printf '\\033]0;{evil}\\007'; echo '{evil}'; exec cat"
    await client.new(["bash", "-c", script, evil], name="evil", cwd=str(place))
    await owner.sees("#list small", evil)
    await owner.choose("evil")
    await owner.sees("#about", evil)
    await owner.reads(evil)
    await owner.page.click("#find")
    await owner.page.keyboard.type("<script>")
    await owner.page.keyboard.press("Enter")
    await (await owner.sees(".hit", evil)).click()
    await owner.sees(".place mark", evil)
    await owner.types(evil)
    await owner.page.click("#close")
    await owner.page.click("#ask-yes")
    await owner.sees("#close", "Delete")
    assert await owner.page.evaluate("window.hacked") is None
    assert await owner.page.locator("img, script:not([src]), iframe").count() == 0


async def test_the_page_answers_no_questions_of_programs(owner: Visitor, client: Client) -> None:
    questions = r"\033[c\033[>c\033[=c\033[5n\033[6n\033[?6n\033[?25$p\033[4$p\033P$qm\033\\\033]10;?\007\033]4;1;?\007"
    await client.new(["bash", "-c", f"stty raw -echo; printf '{questions}'; echo asked; exec cat -v"], name="asks")
    await client.wait("asks", text="asked")
    await client.wait("asks", idle_ms=300)
    end = await end_of(client, "asks")
    await owner.choose("asks")
    await owner.reads("asked")
    await owner.page.click("#terminal")
    await client.text("asks", "after")
    await owner.reads("after^M")
    assert await end_of(client, "asks") == end + len("after^M")


async def test_python_takes_cells(owner: Visitor, client: Client) -> None:
    await client.new(kind="python", name="calc")
    await owner.choose("calc")
    await owner.types("print('sum', 40 + 2)")
    await owner.reads("sum 42")
    assert not await owner.page.is_visible("#keys")


async def test_a_phone(browser: Browser, client: Client, outside: Outside) -> None:
    await client.new(["bash", "--norc"], name="pocket", cols=40, rows=20)
    async with visit(browser, outside.base, width=360, height=740, scheme="light", phone=True) as visitor:
        await visitor.sign_in(outside.token)
        await visitor.sees("#list li", "pocket")
        await visitor.picture("phone-list")
        await (await visitor.sees("#list a", "pocket")).tap()
        await visitor.sees("#tty[data-word=live]")
        assert not await visitor.page.is_visible("#list")
        await visitor.page.locator("#fit").tap()
        await visitor.types("echo from a $((1+1))-handed phone")
        await visitor.reads("2-handed phone")
        await visitor.picture("phone-session")
        assert await visitor.page.evaluate("document.documentElement.scrollWidth") == 360
        assert await visitor.page.evaluate(NAMELESS) == []
        await visitor.page.locator("#find").tap()
        await visitor.sees("#search")
        assert await visitor.page.evaluate(NAMELESS) == []
        await visitor.page.locator("#search [aria-label='Close the search']").tap()
        await visitor.page.go_back()
        await visitor.sees("#list li", "pocket")
        await visitor.page.locator("#new").tap()
        await visitor.sees("#create")
        assert await visitor.page.evaluate(NAMELESS) == []
        assert await visitor.page.evaluate("document.documentElement.scrollWidth") == 360
