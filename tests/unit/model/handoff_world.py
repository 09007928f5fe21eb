"""Three computers, a network that loses, repeats and reorders, and crashes between any two acts: for model checking.

A protocol is an object here, so that broken ones can be tried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from teleclaude.model import handoff
from teleclaude.model.handoff import (
    Answer,
    Cancel,
    Claim,
    Effect,
    Message,
    NotPossibleError,
    Offer,
    Prepare,
    Ready,
    Row,
    Sent,
    Step,
    Supersede,
)

NAMES = ("anvil", "barn", "crane")
MAX_MESSAGES = 30


class Protocol:
    """The real thing. A broken one overrides what it breaks."""

    asks_before_force = True

    def owns(self, row: Row) -> bool:
        return row.owns

    def release(self, row: Row, id_: str, target: str) -> Step:
        return handoff.release(row, id_, target)

    def receive(self, row: Row, sender: str, message: Message) -> Step:
        return handoff.receive(row, sender, message)

    def due(self, row: Row) -> tuple[Sent, ...]:
        return handoff.due(row)

    def force(self, row: Row) -> Step:
        return handoff.force(row)

    def writes_first(self, _cause: object) -> bool:
        return True

    def time_passed(self, row: Row) -> Step | None:
        """The real one does nothing because of time."""
        return None


@dataclass
class Computer:
    """``row`` is what the running daemon believes, ``durable`` what a crash leaves. ``acts`` are still to be done, one
    at a time. ``takes_input`` can be true of a running daemon only; the process itself outlives it.
    """

    name: str
    row: Row
    durable: Row
    is_up: bool = True
    acts: deque[Callable[[], None]] = field(default_factory=deque)
    intent: tuple[str, str] | None = None
    has_process: bool = False
    takes_input: bool = False


class World:
    def __init__(self, protocol: Protocol, names: tuple[str, ...] = NAMES) -> None:
        self.protocol = protocol
        self.names = names
        self.computers = {name: Computer(name, Row(name), Row(name)) for name in names}
        owner = self.computers[names[0]]
        owner.row = owner.durable = Row(owner.name, claim=Claim(1, owner.name))
        owner.has_process = owner.takes_input = True
        self.network: list[tuple[str, Sent]] = []
        self.past: list[tuple[str, Sent]] = []
        self.cut: set[frozenset[str]] = set()
        self.number = 0
        self.forced = False

    # What people and the weather do

    def begin(self, shift: int) -> None:
        """Somebody asks whoever owns it to hand it to another one."""
        for place, name in enumerate(self.names):
            computer = self.computers[name]
            if self.free(computer) and computer.row.owns:
                assert computer.row.claim is not None
                target = self.names[(place + 1 + shift % (len(self.names) - 1)) % len(self.names)]
                self.number += 1
                computer.intent = (f"H{self.number}", target)
                self.send(name, Sent(target, Prepare(computer.intent[0], computer.row.claim.epoch)))

    def give_up(self, name: str) -> None:
        """Before anything was released."""
        computer = self.computers[name]
        if self.free(computer) and computer.intent is not None:
            id_, target = computer.intent
            computer.intent = None
            self.send(name, Sent(target, Cancel(id_)))

    def expire(self, name: str) -> None:
        """What was prepared is thrown away after a while."""
        computer = self.computers[name]
        if self.free(computer) and computer.row.prepared is not None:
            self.do(computer, Step(replace(computer.row, prepared=None)), "expire")

    def time_passed(self, name: str) -> None:
        computer = self.computers[name]
        if self.free(computer):
            step = self.protocol.time_passed(computer.row)
            if step is not None:
                self.do(computer, step, "time")

    def resend(self, name: str) -> None:
        computer = self.computers[name]
        if self.free(computer):
            for sent in self.protocol.due(computer.row):
                self.send(name, sent)

    def force(self, name: str) -> None:
        """A person says that the other computer is dead; it is refused while that one, or an owner, answers."""
        computer = self.computers[name]
        if not self.free(computer):
            return
        try:
            silent = handoff.silent_peer(computer.row)
        except NotPossibleError:
            return
        others = [other for other in self.computers.values() if self.reachable(name, other.name)]
        if self.protocol.asks_before_force and any(
            other.name == silent or other.row.owns or other.durable.owns for other in others
        ):
            return
        assert not any(other.takes_input for other in others), "taken from a computer that answers"
        self.forced = True
        self.do(computer, self.protocol.force(computer.row), "force")

    def deliver(self, index: int) -> None:
        """One of the messages under way arrives, or is lost where the way is cut."""
        sender, sent = self.network[index]
        if self.free(self.computers[sent.to]):
            del self.network[index]
            self.arrive(sender, sent)

    def repeat(self, index: int) -> None:
        """A message from any time arrives again."""
        sender, sent = self.past[index]
        if self.free(self.computers[sent.to]):
            self.arrive(sender, sent)

    def arrive(self, sender: str, sent: Sent) -> None:
        if frozenset((sender, sent.to)) not in self.cut:
            self.received(self.computers[sent.to], sender, sent.message)

    def flow(self, count: int, slow: str | None = None) -> None:
        """For a while all goes as it should, but for one computer that is ``slow``."""
        for _ in range(count):
            for name in self.names:
                if name != slow:
                    self.settle(name)
            if self.network:
                self.deliver(0)

    def crash(self, name: str) -> None:
        """Everything that is not durable is gone. The process lives on in its terminal."""
        computer = self.computers[name]
        computer.is_up = computer.takes_input = False
        computer.acts.clear()
        computer.intent = None
        computer.row = computer.durable

    def restart(self, name: str) -> None:
        computer = self.computers[name]
        if computer.is_up:
            return
        computer.is_up = True
        row = computer.row
        if self.protocol.owns(row):
            computer.has_process = computer.takes_input = True
        elif row.released is None:
            computer.has_process = False

    def heal(self) -> None:
        """Everything works again, and goes on until nothing changes any more."""
        self.cut.clear()
        for name in self.names:
            self.restart(name)
            self.computers[name].intent = None
        for _ in range(60):
            before = {name: computer.durable for name, computer in self.computers.items()}
            for name in self.names:
                self.settle(name)
                self.resend(name)
            while self.network:
                self.settle(self.network[0][1].to)
                self.deliver(0)
                for name in self.names:
                    self.settle(name)
            if before == {name: computer.durable for name, computer in self.computers.items()}:
                return
        raise AssertionError("it does not come to rest")

    # How computers work

    def free(self, computer: Computer) -> bool:
        return computer.is_up and not computer.acts

    def reachable(self, name: str, other: str) -> bool:
        return name != other and self.computers[other].is_up and frozenset((name, other)) not in self.cut

    def settle(self, name: str) -> None:
        while self.computers[name].acts:
            self.act(name)

    def act(self, name: str) -> None:
        acts = self.computers[name].acts
        if acts:
            acts.popleft()()

    def received(self, computer: Computer, sender: str, message: Message) -> None:
        if isinstance(message, Ready):
            if computer.intent == (message.id, sender) and computer.row.owns:
                computer.intent = None
                if not self.protocol.owns(handoff.release(computer.row, message.id, sender).row):
                    computer.takes_input = False
                self.do(computer, self.protocol.release(computer.row, message.id, sender), "release")
            return
        self.do(computer, self.protocol.receive(computer.row, sender, message), message)

    def do(self, computer: Computer, step: Step, cause: object) -> None:
        computer.row = step.row
        acts: list[Callable[[], None]] = [lambda sent=sent: self.send(computer.name, sent) for sent in step.messages]  # type: ignore[misc]
        acts += [lambda effect=effect: self.effect(computer, effect) for effect in step.effects]  # type: ignore[misc]

        def write() -> None:
            computer.durable = step.row

        if step.row != computer.durable:
            acts.insert(0 if self.protocol.writes_first(cause) else len(acts), write)
        computer.acts.extend(acts)

    def send(self, sender: str, sent: Sent) -> None:
        if len(self.network) < MAX_MESSAGES:
            self.network.append((sender, sent))
        if (sender, sent) not in self.past[-MAX_MESSAGES:]:
            self.past.append((sender, sent))

    def effect(self, computer: Computer, effect: Effect) -> None:
        if effect is Effect.CLOSE:
            computer.has_process = computer.takes_input = False
        else:
            assert effect is not Effect.RESUME or computer.has_process, "there is no process to go on with"
            computer.has_process = computer.takes_input = True

    # What must hold

    def owners(self) -> set[str]:
        """Who acts as the owner, or would after a crash right now."""
        return {
            computer.name
            for computer in self.computers.values()
            if computer.takes_input or self.protocol.owns(computer.durable)
        }

    def claims(self) -> dict[str, Claim]:
        return {name: computer.durable.claim or Claim(0, "") for name, computer in self.computers.items()}


class ReleasesAfterTheAnswer(Protocol):
    """Goes on as the owner until the target has accepted."""

    def owns(self, row: Row) -> bool:
        return row.claim is not None and row.claim.computer == row.me


class ReclaimsAfterATime(Protocol):
    def time_passed(self, row: Row) -> Step | None:
        if row.released is None:
            return None
        back = replace(row, released=None, claim=Claim(row.released.epoch, row.me))
        return Step(back, (), (Effect.RESUME,))


class ChecksNoEpoch(Protocol):
    """Takes every offer for a new one."""

    def receive(self, row: Row, sender: str, message: Message) -> Step:
        if isinstance(message, Offer):
            claim = Claim(message.epoch, row.me)
            answer = Sent(sender, Answer(message.id, message.epoch, True))
            return Step(replace(row, claim=claim, prepared=None), (answer,), (Effect.START,))
        return super().receive(row, sender, message)


class AcceptsBeforeWriting(Protocol):
    def writes_first(self, cause: object) -> bool:
        return not isinstance(cause, Offer)


class OffersBeforeWriting(Protocol):
    def writes_first(self, cause: object) -> bool:
        return cause != "release"


class ForgetsWhatItDeclined(Protocol):
    def receive(self, row: Row, sender: str, message: Message) -> Step:
        step = super().receive(row, sender, message)
        if isinstance(message, Offer) and not any(effect is Effect.START for effect in step.effects):
            return replace(step, row=replace(step.row, verdicts=row.verdicts))
        return step


class BelievesEveryAnswer(Protocol):
    """Does not look which handoff an answer is about."""

    def receive(self, row: Row, sender: str, message: Message) -> Step:
        if isinstance(message, Answer) and row.released is None and message.accepted:
            return Step(replace(row, claim=Claim(message.epoch, sender)), (), (Effect.CLOSE,))
        return super().receive(row, sender, message)


class AcceptsWhatItHasLost(Protocol):
    """Says yes although what was prepared is gone."""

    def receive(self, row: Row, sender: str, message: Message) -> Step:
        if isinstance(message, Offer) and row.verdict(message.id) is None and row.prepared is None:
            return Step(row, (Sent(sender, Answer(message.id, message.epoch, True)),))
        return super().receive(row, sender, message)


class OffersOnce(Protocol):
    def due(self, row: Row) -> tuple[Sent, ...]:
        return ()


class ForcesWithoutAsking(Protocol):
    asks_before_force = False


class ForcesWithoutTelling(Protocol):
    def force(self, row: Row) -> Step:
        step = super().force(row)
        return Step(replace(step.row, tell=frozenset()), (), step.effects)


class NeverYields(Protocol):
    def receive(self, row: Row, sender: str, message: Message) -> Step:
        if isinstance(message, Supersede) and row.owns:
            return Step(row)
        return super().receive(row, sender, message)
