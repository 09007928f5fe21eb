"""``teleclaude demo telegram``: the whole adapter, offline."""

from __future__ import annotations

import json
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from teleclaude.testing.telegram import FakeBotApi
from tests.integration.assist.conftest import dialog
from tests.support.daemon import daemon_process


async def test_the_conversation_goes_as_announced() -> None:
    async with dialog({}, "demo", "telegram") as demo:
        code = await demo.end()
    assert code == 0, demo.text
    for line in ("Ann → General: /new build", "Ann presses [Yes]", "Eve → General: /run id"):
        assert line in demo.text
    for line in ("42 apples", "you said y", "[document] notes.txt", "closes the topic"):
        assert line in demo.text
    assert "did not happen" not in demo.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_demonstration_that_is_ended_leaves_nothing(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="tc-") as folder:
        async with dialog({"TMPDIR": folder}, "demo", "telegram") as demo:
            await demo.until("/new build")
            assert list(Path(folder).iterdir())
            assert _processes_of(folder)
            demo.process.send_signal(number)
            assert await demo.end() == -number
        assert not list(Path(folder).iterdir())
        assert not _processes_of(folder)


def _processes_of(folder: str) -> list[str]:
    """Whose state is in this folder: a daemon and its tmux server."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TELECLAUDE_STATE_DIR", "").startswith(folder):
                found.append(process.name())
    return found


async def test_the_doctor_walks_from_an_update_to_a_terminal_and_back(fake: FakeBotApi) -> None:
    """First by itself on a stage of its own, then with the user's daemon and a person at both ends."""
    ann = fake.user(7, "Ann")
    group = fake.add_forum("Work", members=[ann])
    async with daemon_process(start=False) as daemon:
        token = daemon.home / "bot-token"
        token.write_text(fake.token)
        token.chmod(0o600)
        section = {"enabled": True, "token_file": str(token), "chat_id": group.id, "users": {"7": "owner"}}
        urls = {"base_url": fake.base_url, "base_file_url": fake.base_file_url}
        config = daemon.home / "config/teleclaude/config.yml"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"telegram": section | urls}))
        await daemon.start()
        async with dialog(daemon.environ, "doctor", "--echo") as doctor:
            await doctor.until("ok    telegram rehearsal")
            asked = await doctor.until("In Telegram, open the topic")
            name, there = asked.split()[5], asked.split()[-1]
            topic = await fake.until(lambda: fake.topic(name), 10)
            await ann.says(there, topic=topic)
            await doctor.until("It has arrived")
            answers = await fake.until(lambda: fake.messages("The answer is", topic=topic), 10)
            await doctor.type(answers[-1].shown.partition("The answer is ")[2].split()[0])
            await doctor.until("ok    telegram echo")
            assert await doctor.end() == 0, doctor.text
