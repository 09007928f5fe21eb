"""kill -9 at each step of what comes in and of what goes out, with a real daemon."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from teleclaude.testing.telegram import Call, Chat, FakeBotApi, Person, Topic
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

SECOND_TIME = "perhaps for the second time"
QUIET_SHELL = "stty -echo; PS1= exec sh"
"""Shows only what its programs print."""


@dataclass(slots=True)
class Theatre:
    fake: FakeBotApi
    chat: Chat
    ann: Person
    daemon: DaemonProcess
    marks: Path
    topic: Topic = field(init=False)

    async def says(self, text: str) -> None:
        await self.ann.says(text, topic=self.topic, chat=self.chat)

    async def leaves(self, mark: str, then: str = "true") -> None:
        """Type a line that leaves a mark each time it is run."""
        await self.says(f"echo {mark} >> {self.marks}; {then}")

    def count(self, mark: str) -> int:
        """How often a line with this mark was run."""
        return self.marks.read_text().split().count(mark) if self.marks.exists() else 0

    def has_run(self, mark: str) -> bool:
        return self.count(mark) > 0

    def said(self, mark: str, times: int) -> bool:
        return len(self.fake.messages(mark)) >= times

    def waits(self, words: str) -> bool:
        """Whether something with these words is still to be said."""
        return self.in_journal("outbox", words)

    def in_journal(self, table: str, words: str) -> bool:
        with closing(sqlite3.connect(self.daemon.state / "telegram" / "journal.db")) as journal:
            return any(words in doc for (doc,) in journal.execute(f"SELECT doc FROM {table}"))

    def kill_when(self, moment: Callable[[Call], bool]) -> None:
        """Kill the daemon when a call has been done, before it hears of that."""

        def heard(entry: object) -> None:
            if isinstance(entry, Call) and moment(entry):
                self.fake.listeners.remove(heard)
                self.daemon.signal(signal.SIGKILL)

        self.fake.listeners.append(heard)


async def on_its_way(this: Theatre, mark: str) -> None:
    this.kill_when(lambda call: call.method == "getUpdates" and mark in str(call.result))
    await this.leaves(mark)


async def committed(this: Theatre, mark: str) -> None:
    """What came before it in its topic, a file, is still being fetched."""
    held = this.fake.delay(60, method="getFile")
    await this.ann.uploads("notes.txt", b"notes", topic=this.topic, chat=this.chat)
    await this.leaves(mark)
    last = this.fake.bot.updates.waiting[-1]["update_id"]
    await eventually(lambda: held.met > 0 and this.fake.bot.updates.confirmed >= last, timeout=20)
    await this.daemon.kill()


async def running(this: Theatre, mark: str) -> None:
    await this.leaves(mark, f"kill -9 {this.daemon.pid}")


async def run_beside(this: Theatre, mark: str) -> None:
    await this.says(f"/run echo {mark} >> {this.marks}; sleep 0.5; kill -9 {this.daemon.pid}; sleep 5")


async def stopping(this: Theatre, mark: str) -> None:
    """Told to end, and not yet at its end."""
    this.daemon.signal(signal.SIGTERM)
    await this.leaves(mark)


INCOMING = (on_its_way, committed, running, run_beside, stopping)


async def planned(this: Theatre, mark: str) -> None:
    """It was tried, and there it was told to wait."""
    this.fake.flood(1, method="sendMessage")
    await this.says(f"/run echo {mark}")
    await this.fake.until(lambda: this.fake.calls(ok=False), 20)
    await eventually(lambda: this.waits(mark) and not this.waits('"sent"'), timeout=20)
    await this.daemon.kill()


async def sending(this: Theatre, mark: str) -> None:
    held = this.fake.delay(60, method="sendMessage")
    await this.says(f"/run echo {mark}")
    await eventually(lambda: held.met > 0, timeout=20)
    await this.daemon.kill()


async def sent(this: Theatre, mark: str) -> None:
    this.kill_when(lambda call: call.method == "sendMessage" and call.ok and mark in str(call.params))
    await this.says(f"/run echo {mark}")


OUTGOING = ((planned, [False]), (sending, [True]), (sent, [False, True]))
"""With which of the messages that come of it are marked as perhaps the second."""


async def test_x36_killed_at_each_step_of_what_comes_in_it_runs_once() -> None:
    async with theatre() as this:
        for step in INCOMING:
            mark = f"in-{step.__name__}"
            await step(this, mark)
            await this.daemon.wait()
            await this.daemon.start()
            await this.leaves(f"after-{mark}")
            await eventually(partial(this.has_run, f"after-{mark}"), timeout=20)
            assert this.count(mark) == 1, step.__name__
        await this.fake.until(lambda: this.fake.messages("lost"), 20)
        await this.fake.until(lambda: this.fake.messages("notes.txt"), 20)


async def test_x34_killed_at_each_step_of_what_goes_out_it_is_said() -> None:
    async with theatre() as this:
        for step, marked in OUTGOING:
            await step(this, f"out-{step.__name__}")
            await this.daemon.wait()
            await this.daemon.start()
            await this.fake.until(partial(this.said, f"out-{step.__name__}", len(marked)), 20)
        for step, marked in OUTGOING:
            found = this.fake.messages(f"out-{step.__name__}")
            assert [SECOND_TIME in message.shown for message in found] == marked, step.__name__


@asynccontextmanager
async def theatre() -> AsyncIterator[Theatre]:
    """A daemon whose bot has a private chat with topics, in which there is more room than in a group."""
    async with FakeBotApi() as fake, daemon_process(start=False) as daemon:
        fake.bot.topics = True
        ann = fake.user(7, "Ann")
        chat = fake.private(ann)
        token = daemon.home / "token"
        token.touch(mode=0o600)
        token.write_text(fake.token)
        settings = {
            "ENABLED": "true",
            "TOKEN_FILE": str(token),
            "CHAT_ID": str(chat.id),
            "USERS": json.dumps({"7": "owner"}),
            "BASE_URL": fake.base_url,
            "BASE_FILE_URL": fake.base_file_url,
        }
        daemon.environ |= {f"TELECLAUDE_TELEGRAM__{key}": value for key, value in settings.items()}
        await daemon.start()
        this = Theatre(fake, chat, ann, daemon, daemon.home / "marks")
        async with Client(daemon.socket) as client:
            await client.new(QUIET_SHELL, name="stage")
            this.topic = await fake.until(lambda: fake.topic("stage"), 20)
            await eventually(lambda: this.in_journal("places", f'"thread": {this.topic.id}'), timeout=20)
        try:
            yield this
        finally:
            async with Client(daemon.socket) as client:
                await client.delete("/sessions/stage")
