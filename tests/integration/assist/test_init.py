"""``teleclaude init telegram`` against the fake Bot API, from the token to a config that the daemon can read."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from teleclaude.config import load_config
from teleclaude.model import Role
from teleclaude.testing.telegram import FakeBotApi
from tests.integration.assist.conftest import Dialog, dialog


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "teleclaude.yml"


def words(fake: FakeBotApi, config: Path) -> tuple[str, ...]:
    return ("init", "telegram", "--base-url", fake.base_url, "--config", str(config))


async def start_word(init: Dialog, fake: FakeBotApi) -> str:
    await init.until("1. The bot")
    await init.type(fake.token)
    return (await init.until("/start ")).removeprefix("/start ")


async def test_a_group_with_topics(fake: FakeBotApi, config: Path) -> None:
    ann, eve = fake.user(7, "Ann"), fake.user(8, "Eve")
    group = fake.add_forum("Work", members=[ann, eve], rights=[])
    async with dialog({}, *words(fake, config)) as init:
        word = await start_word(init, fake)
        await eve.says("/start 000000", chat=group)
        await ann.says(f"/start {word}", chat=group, anonymous=True)
        await init.until("remain anonymous")
        await ann.says(f"/start {word}", chat=group)
        await init.until("may not manage topics")
        fake.demote_bot(group, ["can_manage_topics", "can_delete_messages", "can_pin_messages"])
        await init.until("may manage them")
        assert await init.end() == 0, init.text
    telegram = load_config(config, {}).telegram
    assert (telegram.enabled, telegram.chat_id, telegram.users) == (True, group.id, {7: Role.OWNER})
    assert telegram.base_url == fake.base_url
    assert telegram.base_file_url == fake.base_file_url
    assert telegram.token_file is not None
    for path in (config, telegram.token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert telegram.token_file.read_text() == f"{fake.token}\n"
    assert fake.token not in init.text
    assert not fake.bot.updates.waiting


async def test_a_private_chat_and_a_config_that_is_there(fake: FakeBotApi, config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    config.write_text(
        "# mine\nlog:\n  level: debug  # loud\ntelegram:\n  publish_commands: false\n"
        "  chat_id: 7\n  users: {9: viewer}\n"
    )
    config.chmod(0o640)
    token_file = tmp_path / "token"
    token_file.write_text(fake.token)
    ann = fake.user(7, "Ann")
    private = fake.private(ann)
    given = ("--bot-token-file", str(token_file), "--role", "operator")
    async with dialog({}, *words(fake, config), *given) as init:
        word = (await init.until("/start ")).removeprefix("/start ")
        await ann.says(f"/start {word}", chat=private)
        await init.until("without topics")
        assert await init.end() == 0, init.text
    written = load_config(config, {})
    assert (written.log.level, written.telegram.publish_commands) == ("debug", False)
    assert (written.telegram.chat_id, written.telegram.users) == (7, {7: Role.OPERATOR, 9: Role.VIEWER})
    assert config.read_text().startswith("# mine\nlog:\n  level: debug  # loud\ntelegram:\n")
    assert stat.S_IMODE(config.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("token", "said"),
    [("nonsense", "this is no bot token"), ("123456:AAAAAAAAAAAAAAAAAAAAAAAA", "Telegram does not know this token")],
)
async def test_wrong_tokens(fake: FakeBotApi, config: Path, token: str, said: str) -> None:
    async with dialog({}, *words(fake, config)) as init:
        await init.until("1. The bot")
        await init.type(token)
        assert await init.end() in {1, 2}
        assert said in init.text
    assert not config.exists()


async def test_another_program_fetches_the_messages(fake: FakeBotApi, config: Path) -> None:
    fake.second_poller()
    async with dialog({}, *words(fake, config)) as init:
        await start_word(init, fake)
        assert await init.end() == 1
        assert "another program fetches this bot's messages" in init.text


async def test_a_webhook_is_in_the_way(fake: FakeBotApi, config: Path) -> None:
    fake.bot.webhook = "https://a.example"
    async with dialog({}, *words(fake, config)) as init:
        await init.until("1. The bot")
        await init.type(fake.token)
        assert await init.end() == 1
        assert "has a webhook" in init.text


async def test_a_broken_config_stays_as_it_is(fake: FakeBotApi, config: Path) -> None:
    config.parent.mkdir()
    config.write_text("log:\n  level: loud\n")
    ann = fake.user(7, "Ann")
    private = fake.private(ann)
    async with dialog({}, *words(fake, config)) as init:
        word = await start_word(init, fake)
        await ann.says(f"/start {word}", chat=private)
        assert await init.end() == 78, init.text
    assert await asyncio.to_thread(config.read_text) == "log:\n  level: loud\n"
