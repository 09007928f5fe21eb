"""What goes wrong on demand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from teleclaude.clock import Clock
from teleclaude.testing.telegram.actor import ANONYMOUS
from teleclaude.testing.telegram.faults import Fault, Faults
from teleclaude.testing.telegram.methods.chats import member_view
from teleclaude.testing.telegram.polling import Polls
from teleclaude.testing.telegram.recorder import Deed, Recorder
from teleclaude.testing.telegram.world import Bot, Chat, World


class Troubles:
    """The part of ``FakeBotApi`` that a test makes trouble with, on record like everything else."""

    clock: Clock
    world: World
    faults: Faults
    recorder: Recorder
    bot: Bot
    _polls: Polls

    def kick_bot(self, chat: Chat, bot: Bot | None = None) -> None:
        """The bot is told, and hears nothing more of the chat."""
        bot = bot or self.bot
        before = member_view(chat, bot.user)
        chat.members[bot.user.id] = "kicked"
        self._stands(bot, chat, before)
        self._note_world("kick_bot", {"chat": chat.id})

    def demote_bot(self, chat: Chat, rights: Iterable[str] = (), bot: Bot | None = None) -> None:
        """Leave the bot only ``rights``, of which it is told."""
        bot = bot or self.bot
        before = member_view(chat, bot.user)
        chat.rights[bot.user.id] = frozenset(rights)
        self._stands(bot, chat, before)
        self._note_world("demote_bot", {"chat": chat.id, "rights": sorted(rights)})

    def _stands(self, bot: Bot, chat: Chat, before: dict[str, Any]) -> None:
        after = {"old_chat_member": before, "new_chat_member": member_view(chat, bot.user)}
        content = {"chat": chat.view(), "from": ANONYMOUS.view(), "date": self.world.date()}
        self.world.announce(bot, "my_chat_member", content | after)

    def fail(
        self,
        code: int = 502,
        description: str = "",
        *,
        method: str | None = None,
        chat: Chat | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Answer the next ``times`` calls with this status, undone."""
        return self._fault(Fault("status", method, chat_id_of(chat), times, code, description))

    def flood(
        self, seconds: int, *, method: str | None = None, chat: Chat | None = None, times: int | None = 1
    ) -> Fault:
        """Answer the next ``times`` calls with 429 and this ``retry_after``."""
        return self._fault(Fault("status", method, chat_id_of(chat), times, 429, retry_after=seconds))

    def ban(self, chat: Chat, seconds: float, bot: Bot | None = None) -> None:
        """Refuse every send and edit in ``chat`` with 429 until ``seconds`` have passed."""
        (bot or self.bot).ledger.ban(chat.id, seconds, self.clock.monotonic())
        self._note_world("ban", {"chat": chat.id, "seconds": seconds})

    def cut(
        self, *, method: str | None = None, chat: Chat | None = None, times: int | None = 1, done: bool = True
    ) -> Fault:
        """Reset the connection of the next ``times`` calls, after they are ``done`` or before."""
        return self._fault(Fault("cut_after" if done else "cut_before", method, chat_id_of(chat), times))

    def delay(
        self, seconds: float, *, method: str | None = None, chat: Chat | None = None, times: int | None = 1
    ) -> Fault:
        """Let the next ``times`` calls wait so long before they are done."""
        return self._fault(Fault("delay", method, chat_id_of(chat), times, seconds=seconds))

    def misplace(self, *, method: str | None = "sendMessage", chat: Chat | None = None, times: int | None = 1) -> Fault:
        """Put the next ``times`` messages into the general topic, whichever they were meant for, without a word."""
        return self._fault(Fault("misplace", method, chat_id_of(chat), times))

    def second_poller(self, times: int | None = None) -> Fault:
        """Another program polls with the same token: 409 for every poll until the fault's ``end``."""
        return self.fail(409, method="getUpdates", times=times)

    def outage(self, *, on: bool) -> None:
        """While on, every connection is reset."""
        self.faults.outage = on
        self._note_world("outage", {"on": on})

    def inject(self, update: dict[str, Any], bot: Bot | None = None) -> None:
        """Queue an update as it is, whatever its id or shape."""
        bot = bot or self.bot
        bot.updates.inject(update, self.clock.now().timestamp())
        self._polls.wake(bot)
        self.recorder.add(Deed(self._now_ms(), "update", "inject", args={"update": update}))

    def _fault(self, fault: Fault) -> Fault:
        self.faults.add(fault)
        self.recorder.add(Deed(self._now_ms(), "fault", fault.kind, args=fault.row()))
        return fault

    def _note_world(self, action: str, args: dict[str, Any]) -> None:
        self.recorder.add(Deed(self._now_ms(), "world", action, args=args))

    def _now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)


def chat_id_of(chat: Chat | None) -> int | None:
    return None if chat is None else chat.id
