"""Two computers linked by a real Redis, each with its own bot in one group of the fake server."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

from teleclaude.clock import SystemClock
from teleclaude.testing.telegram import Chat, FakeBotApi, Message, Topic
from teleclaude.wire.handoff import HandoffReply, HandoffSession
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.places import ListComputers
from teleclaude.wire.sessions import ListSessions
from tests.integration.telegram.stage import OWNER, QUICK, Stage, end_terminals
from tests.support.fleet import HEARTBEAT_MS, TTL_MS, write_key
from tests.support.redis import redis_server
from tests.support.tmux import PrivateTmux
from tests.support.wait import eventually

SAYS_ALL = """
stty -echo; echo began
while read line; do
    echo "<$line> on $(basename $(dirname $PWD))"
    case $line in ask*) printf 'Overwrite notes.txt? [y/N] ';; esac
done
"""
"""Says each line it was sent, and on whose computer; asks a question when told to."""


class Pair:
    """``north`` publishes the commands, ``south`` does not."""

    def __init__(self, fake: FakeBotApi, group: Chat, north: Stage, south: Stage) -> None:
        self.fake = fake
        self.group = group
        self.north = north
        self.south = south

    @property
    def both(self) -> tuple[Stage, Stage]:
        return self.north, self.south

    def of(self, stage: Stage, text: str = "", topic: Topic | None = None) -> list[Message]:
        """What the bot of one of the two has said."""
        return self.fake.messages(text, topic=topic, sender=stage.bot)

    async def says(self, stage: Stage, text: str, topic: Topic | None = None, times: int = 1) -> None:
        """Wait until the bot of one of the two has said it."""
        await self.fake.until(lambda: len(self.of(stage, text, topic)) >= times, 15)

    async def hand(self, name: str, source: Stage, target: Stage) -> HandoffReply:
        command = HandoffSession(id=name, computer=target.name, timeout_ms=15_000)
        return await source.hub.call(OWNER, command)

    async def marked(self, stage: Stage, name: str, topic: Topic) -> None:
        """Wait until others can find the topic."""

        async def found() -> bool:
            marked = ListSessions(tag=f"telegram:{-self.group.id}:{topic.id}")
            return [one.name for one in (await stage.hub.call(OWNER, marked)).sessions] == [name]

        await eventually(found, timeout=10)

    def receipts(self, stage: Stage) -> list[int | None]:
        """At which offset each numbered text was typed, whichever of the two did it; None where that is not known."""
        with closing(sqlite3.connect(f"file:{stage.database}?mode=ro", uri=True)) as database:
            return [row[0] for row in database.execute("SELECT delivered_offset FROM input_receipts")]

    async def printed(self, stage: Stage, name: str) -> str:
        """All that a session has printed, wherever it was, asked of its owner."""
        request = ReadOutput.model_validate({"id": name, "from": 0, "limit": 1 << 20, "format": "text"})
        return (await stage.hub.call(OWNER, request)).data.decode()

    async def worked_off(self) -> None:
        for stage in self.both:
            await stage.worked_off()


@asynccontextmanager
async def two_computers(*, private: bool = False) -> AsyncIterator[Pair]:
    """With ``private`` each bot has its plain private chat with Ann."""
    async with FakeBotApi(budgets=None) as fake, AsyncExitStack() as stack:
        homes = {name: Path(tempfile.mkdtemp(prefix=f"tc-{name}-")) for name in ("north", "south")}
        terminals = {name: PrivateTmux(home / "run", "control") for name, home in homes.items()}
        for home in homes.values():
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.push_async_callback(end_terminals, *terminals.values())
        server = await stack.enter_async_context(redis_server())
        key = write_key(server.folder / "key")
        link = {
            "enabled": True,
            "url": server.url,
            "key_file": str(key),
            "heartbeat_ms": HEARTBEAT_MS,
            "peer_ttl_ms": TTL_MS,
        }
        bots = {"north": fake.bot, "south": fake.add_bot("south_bot")}
        stages: dict[str, Stage] = {}
        for name, home in homes.items():
            settings: dict[str, Any] = {"publish_commands": name == "north"}
            one = Stage(home, fake, SystemClock(), settings, QUICK, name=name, bot=bots[name], sections={"redis": link})
            one.tmux_socket = terminals[name].socket_name
            stages[name] = one
        north, south = stages.values()
        for one in stages.values():
            if private:
                one.group = fake.private(one.ann, one.bot)
        if not private:
            north.group = south.group = fake.add_forum("Work", members=[north.ann, north.bob])
        for one in stages.values():
            await one.begin(stack)
        pair = Pair(fake, north.group, north, south)
        for one in stages.values():
            await eventually(lambda one=one: _sees_both(one), timeout=10)  # type: ignore[misc]
            await fake.until(lambda one=one: fake.polling(one.bot), 10)  # type: ignore[misc]
        yield pair


async def _sees_both(stage: Stage) -> bool:
    found = (await stage.hub.call(OWNER, ListComputers())).computers
    return {one.name for one in found if one.state == "online"} == {"north", "south"}
