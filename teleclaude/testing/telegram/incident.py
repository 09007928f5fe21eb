"""A recorded incident, played again: what people did and what went wrong, at the same distances in time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teleclaude.clock import Clock
from teleclaude.testing.telegram.fake import FakeBotApi
from teleclaude.testing.telegram.faults import Fault
from teleclaude.testing.telegram.people import Person
from teleclaude.testing.telegram.world import GENERAL, Chat

APPEAR_SECONDS = 30.0
"""So long a topic or button that the bot has still to make is waited for."""


@dataclass(frozen=True, slots=True)
class Incident:
    """The rows of an incident file. ``calls`` are what the bots did then."""

    rows: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, path: Path) -> Incident:
        """Raises ``OSError``, and ``ValueError`` for a line that is no JSON object with a kind and a time."""
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            if not isinstance(row, dict) or "kind" not in row or "at_ms" not in row:
                raise ValueError(f"{path}:{number}: not a row of an incident file")
            rows.append(row)
        return cls(tuple(rows))

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["kind"] == "call"]

    @property
    def deeds(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["kind"] != "call"]

    async def play(self, fake: FakeBotApi, *, clock: Clock | None = None, hurry: bool = False) -> None:
        """Do again what was done. Between two deeds as much time of ``clock`` passes as then, or none in a ``hurry``.

        A button that is not there yet is waited for. Raises ``ValueError`` for a deed that the fake does not know.
        """
        before: int | None = None
        for row in self.deeds:
            pause = 0.0 if before is None or hurry else max(row["at_ms"] - before, 0) / 1000
            before = row["at_ms"]
            if pause:
                await (clock or fake.clock).sleep(pause)
            await self._do(fake, row)

    async def _do(self, fake: FakeBotApi, row: dict[str, Any]) -> None:
        if row["kind"] == "user":
            await _person(fake, row, self._topic_names())
        else:
            _other(fake, row)

    def _topic_names(self) -> dict[int, str]:
        """What the bots called their topics, by id."""
        made = [call for call in self.calls if call["method"] == "createForumTopic" and call["status"] == 200]
        return {call["answer"]["result"]["message_thread_id"]: call["params"]["name"] for call in made}


def _other(fake: FakeBotApi, row: dict[str, Any]) -> None:
    match row["kind"]:
        case "world":
            _world(fake, row["action"], dict(row["args"]))
        case "fault":
            fake.faults.add(Fault.from_row(row["args"]))
        case "update":
            fake.inject(row["args"]["update"])
        case other:
            raise ValueError(f"an incident has no {other!r}")


async def _person(fake: FakeBotApi, row: dict[str, Any], names: dict[int, str]) -> None:
    person = fake.user(**row["actor"])
    action, args = row["action"], dict(row["args"])
    if action.startswith("_") or not hasattr(person, action):
        raise ValueError(f"people do not know how to {action!r}")
    if args.get("topic", GENERAL) != GENERAL:
        args["topic"] = await _topic(fake, args["topic"], names)
    if action == "presses":
        await _press(fake, person, args)
    else:
        await getattr(person, action)(**args)


async def _topic(fake: FakeBotApi, topic_id: int, names: dict[int, str]) -> int:
    """Ids need not be the same again: a topic of the bot's is found by its name."""
    if topic_id not in names:
        return topic_id
    return (await fake.until(lambda: fake.topic(names[topic_id]), APPEAR_SECONDS)).id


async def _press(fake: FakeBotApi, person: Person, args: dict[str, Any]) -> None:
    """Message ids need not be the same again, so the button itself is looked for when they are not."""
    button, message_id = args["button"], args.pop("message")
    if args.get("data") is None:
        await fake.until(lambda: fake.messages(button=button), APPEAR_SECONDS)
        same = [message for message in fake.messages(button=button) if message.id == message_id]
        await person.presses(**args, message=same[0] if same else fake.messages(button=button)[-1])
    else:
        await person.presses(**args, message=message_id)


def _world(fake: FakeBotApi, action: str, args: dict[str, Any]) -> None:
    match action:
        case "add_forum" | "add_group":
            args["members"] = [fake.user(**member) for member in args["members"]]
            getattr(fake, action)(**args)
        case "add_bot":
            fake.add_bot(**args)
        case "private":
            bot = next((bot for bot in fake.world.bots.values() if bot.user.username == args["bot"]), None)
            fake.private(fake.user(args["person"]), bot)
        case "outage":
            fake.outage(on=args["on"])
        case "kick_bot" | "migrate" | "demote_bot" | "ban":
            chat = _chat(fake, args.pop("chat"))
            getattr(fake, action)(chat, **args)
        case other:
            raise ValueError(f"the world has no {other!r}")


def _chat(fake: FakeBotApi, chat_id: int) -> Chat:
    return fake.world.groups[chat_id] if chat_id < 0 else fake.bot.private[chat_id]
