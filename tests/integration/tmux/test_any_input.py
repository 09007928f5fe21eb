"""Random text, keys, names and words against real tmux: each arrives as it is or is refused; nothing else happens."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleclaude.errors import InvalidError
from teleclaude.model import is_name
from teleclaude.tmux import Panes, TmuxServer
from teleclaude.tmux.keys import VOCABULARY
from teleclaude.tmux.text import sanitise
from tests.support.tmux import PrivateTmux, Recorded, start, start_raw

pytestmark = pytest.mark.parametrize("transport", ["control", "subprocess"])

REAL = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
AWKWARD = st.sampled_from(
    [
        *";#{}$%'\"\\~-=:.,*?!@&|()<>`^[]\n\r\t\x1b\x03\x7f ",
        *("#(touch P)", "#{S:", "%%", "\\;", " ; ", "$(touch P)", "-t", "%end 1 1 1", "é", "😀"),
    ]
)
TEXT = st.lists(AWKWARD | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=12).map("".join)
WORD = TEXT.map(lambda text: text.replace("\0", ""))
SHOW = "import json,os,sys;print(json.dumps([*sys.argv[1:],os.environ['V']]),'END',sep='');sys.stdin.read()"


@pytest.fixture
async def raw(panes: Panes, private_tmux: PrivateTmux) -> Recorded:
    """Gives back every byte it gets."""
    return await start_raw(panes, private_tmux.directory)


async def echoed(panes: Panes, raw: Recorded, before: int) -> bytes:
    """What was typed since the output was ``before`` long; it must not hold the end mark."""
    await panes.send_bytes(raw.id, b"\0\0END\0\0")
    return (await raw.shows_after(before, b"\0\0END\0\0")).removesuffix(b"\0\0END\0\0")


@REAL
@given(text=TEXT)
async def test_any_text_is_typed_as_it_is(
    panes: Panes, tmux_server: TmuxServer, private_tmux: PrivateTmux, raw: Recorded, text: str
) -> None:
    identity, before = tmux_server.identity, len(raw.output)
    await panes.send_text(raw.id, text, submit=False)
    expected = sanitise(text).replace("\n", "\r") if "\n" in text else text
    assert await echoed(panes, raw, before) == expected.encode()
    assert tmux_server.identity == identity
    assert private_tmux.tmux("list-buffers") == ""


@REAL
@given(data=st.binary(max_size=300))
async def test_any_bytes_are_typed_as_they_are(panes: Panes, raw: Recorded, data: bytes) -> None:
    before = len(raw.output)
    await panes.send_bytes(raw.id, data)
    assert await echoed(panes, raw, before) == data


@REAL
@given(keys=st.lists(st.sampled_from(sorted(VOCABULARY)) | st.characters(exclude_categories=["Cs"]) | WORD, min_size=1))
async def test_any_keys_are_pressed_or_refused_as_a_whole(
    panes: Panes, tmux_server: TmuxServer, raw: Recorded, keys: list[str]
) -> None:
    identity, before = tmux_server.identity, len(raw.output)
    try:
        await panes.send_keys(raw.id, keys)
    except InvalidError:
        assert await echoed(panes, raw, before) == b""
    else:
        typed = await echoed(panes, raw, before)
        assert len(typed) >= len(keys)
        assert "".join(key for key in keys if len(key) == 1).encode() in typed or any(len(key) > 1 for key in keys)
    assert tmux_server.identity == identity


@REAL
@given(words=st.lists(WORD, max_size=5), value=WORD)
async def test_any_words_and_variables_reach_the_program(
    panes: Panes, private_tmux: PrivateTmux, words: list[str], value: str
) -> None:
    folder = private_tmux.directory
    program = (sys.executable, "-c", SHOW, *words)
    recorded = await start(panes, folder, *program, env={"V": value}, cols=2000)
    try:
        shown = (await recorded.shows(b"END")).partition(b"END")[0]
        assert json.loads(shown) == [*words, value]
        assert not (folder / "P").exists()
    finally:
        await panes.kill(recorded.identity.session_id)


@REAL
@given(name=WORD)
async def test_any_name_is_plain_or_refused(panes: Panes, private_tmux: PrivateTmux, raw: Recorded, name: str) -> None:
    if is_name(name):
        return
    with pytest.raises(InvalidError):
        await panes.rename(raw.identity.session_id, name)
    with pytest.raises(InvalidError):
        await start(panes, private_tmux.directory, "cat", name=name)
    assert [info.name for info in await panes.list_panes()] == ["raw"]
