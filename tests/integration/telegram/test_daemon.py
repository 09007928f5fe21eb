"""The adapter inside a real daemon process, which is killed."""

from __future__ import annotations

import json
import signal

from teleclaude.testing.telegram import FakeBotApi
from tests.support.daemon import Client, daemon_process
from tests.support.wait import eventually


async def test_killed_and_started_again_it_goes_on_where_it_was() -> None:
    async with FakeBotApi() as fake, daemon_process(start=False) as daemon:
        ann = fake.user(7, "Ann")
        group = fake.add_forum("Work", members=[ann])
        token = daemon.home / "token"
        token.touch(mode=0o600)
        token.write_text(fake.token)
        settings = {
            "ENABLED": "true",
            "TOKEN_FILE": str(token),
            "CHAT_ID": str(group.id),
            "USERS": json.dumps({"7": "owner"}),
            "BASE_URL": fake.base_url,
            "BASE_FILE_URL": fake.base_file_url,
        }
        daemon.environ |= {f"TELECLAUDE_TELEGRAM__{key}": value for key, value in settings.items()}
        await daemon.start()
        await ann.says("/new build", chat=group)
        topic = await fake.until(lambda: fake.topic("build"), 20)
        await ann.says("echo before $((40+2))", topic=topic)
        await fake.until(lambda: fake.messages("before 42", topic=topic), 20)
        await daemon.kill()
        await ann.says("echo after $((40+3))", topic=topic)
        await daemon.start()
        await fake.until(lambda: fake.messages("after 43", topic=topic), 20)
        async with Client(daemon.socket) as client:
            assert "last poll" in await eventually(lambda: _telegram(client), timeout=10)
            data = await client.all_output("build")
            await client.delete("/sessions/build")
        assert data.count(b"after 43") == 1
        assert len(fake.topics()) == 1
        assert not fake.recorder.early
        assert not [call for call in fake.calls() if call.status == 429]


async def test_who_is_taken_out_of_the_config_is_nobody_after_a_reload() -> None:
    async with FakeBotApi() as fake, daemon_process(start=False) as daemon:
        ann, bob = fake.user(7, "Ann"), fake.user(8, "Bob")
        group = fake.add_forum("Work", members=[ann, bob])
        token = daemon.home / "token"
        token.touch(mode=0o600)
        token.write_text(fake.token)
        config = daemon.home / "config/teleclaude/config.yml"
        config.parent.mkdir(parents=True)
        section = {
            "enabled": True,
            "token_file": str(token),
            "chat_id": group.id,
            "users": {"7": "owner", "8": "owner"},
            "base_url": fake.base_url,
            "base_file_url": fake.base_file_url,
        }
        config.write_text(json.dumps({"telegram": section}))
        await daemon.start()
        await bob.says("/who", chat=group)
        await fake.until(lambda: fake.messages("8: owner"), 20)
        config.write_text(json.dumps({"telegram": section | {"users": {"7": "owner"}}}))
        daemon.signal(signal.SIGHUP)
        await eventually(lambda: '"reloaded"' in daemon.log, timeout=10)
        await bob.says("/run echo mine", chat=group)
        await ann.says("/who", chat=group)
        await fake.until(lambda: len(fake.messages("tg:7")) == 1, 20)
        assert not fake.messages("mine")
        assert "telegram_turned_away" in daemon.log


async def _telegram(client: Client) -> str:
    """What readiness says of the adapter, once everything is ready."""
    async with client.http.get(client.url("/ready")) as response:
        found = await response.json()
        return str(found["checks"]["telegram"]["detail"]) if response.status == 200 else ""
