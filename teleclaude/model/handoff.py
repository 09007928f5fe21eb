"""Handing a session from one computer to another: who owns it, as a state machine. Pure.

Each computer keeps one durable ``Row`` per session that was ever handed over. A function here takes the row and what
happened and answers a ``Step``: the row to write down, and what may be done only once it is durable, messages and
effects alike. Messages may be lost, repeated and reordered, and a computer may stop between any two of these acts.

The owner of epoch e *prepares* the target, then *releases* (its row says e+1) and only then *offers*. The target
writes down that it owns e+1, or that it never will, before it *answers*. Offers are repeated until there is an answer;
nothing is taken back because time passed. A person may *force* a takeover from a computer that is dead, which makes
e+2; whoever else takes himself for the owner yields as soon as he hears of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

MAX_VERDICTS = 32
"""How many handoffs of one session are remembered for repeats of their offers; the oldest falls first."""


class Effect(StrEnum):
    """What the computer has to do with the session's process, once the row is durable."""

    START = "start"
    """Start its command here: this computer owns it now."""
    RESUME = "resume"
    """Take input again: the process was kept, and this computer owns it again."""
    CLOSE = "close"
    """End the process that was kept here: another computer owns the session."""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """Who owns a session. Of two claims the higher one holds: the epoch decides, then, for two that were forced at the
    same time, the computer's name.
    """

    epoch: int
    computer: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything for handoff ``id`` is here; its source owned the session under ``epoch``."""

    id: str
    source: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Release:
    """Offered to ``target`` under ``epoch``, and no answer yet."""

    id: str
    target: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of handoff ``id`` here, for good. ``epoch`` is the one that was accepted or declined."""

    id: str
    accepted: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Row:
    """What computer ``me`` durably knows of one session. ``claim`` is the highest it heard of, None for nothing;
    ``tell`` are the computers that may still believe a lower one.
    """

    me: str
    claim: Claim | None = None
    released: Release | None = None
    prepared: Prepared | None = None
    verdicts: tuple[Verdict, ...] = ()
    tell: frozenset[str] = frozenset()

    @property
    def owns(self) -> bool:
        """Whether this computer may act as the owner."""
        return self.claim is not None and self.claim.computer == self.me and self.released is None

    def verdict(self, handoff: str) -> Verdict | None:
        return next((verdict for verdict in self.verdicts if verdict.id == handoff), None)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Take in what is needed. ``epoch`` is the one of the sender's ownership."""

    id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Ready:
    id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The target will not take it; nothing was released."""

    id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The source gave it up without having released anything."""

    id: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Released: the target may own it under ``epoch``."""

    id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The target's durable word on an offer. ``epoch`` is its own epoch of ownership where it accepted."""

    id: str
    epoch: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Supersede:
    """Somebody owns it by this claim."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Noted:
    """The claim is known here."""

    claim: Claim


Message = Prepare | Ready | Refused | Cancel | Offer | Answer | Supersede | Noted


@dataclass(frozen=True, slots=True)
class Sent:
    to: str
    message: Message


@dataclass(frozen=True, slots=True)
class Step:
    """``row`` has to be durable before the first message goes out and before any effect begins."""

    row: Row
    messages: tuple[Sent, ...] = ()
    effects: tuple[Effect, ...] = ()


class NotPossibleError(Exception):
    """The row does not allow this; the text says why."""


def release(row: Row, handoff: str, target: str) -> Step:
    """Let go of the session, whose target is prepared. Raises ``NotPossibleError`` for who does not own it."""
    if not row.owns or row.claim is None:
        raise NotPossibleError("it is not owned here")
    if row.me == target:
        raise NotPossibleError("it is here already")
    after = replace(row, released=Release(handoff, target, row.claim.epoch + 1), prepared=None)
    return Step(after, due(after))


def due(row: Row) -> tuple[Sent, ...]:
    """What has to be sent, again and again, until it is answered; also after a restart."""
    offers: tuple[Sent, ...] = ()
    if row.released is not None:
        offers = (Sent(row.released.target, Offer(row.released.id, row.released.epoch)),)
    if row.claim is None:
        return offers
    return (*offers, *(Sent(computer, Supersede(row.claim)) for computer in sorted(row.tell)))


def receive(row: Row, sender: str, message: Message) -> Step:
    """``message`` came from ``sender``."""
    match message:
        case Prepare():
            return _prepare(row, sender, message)
        case Cancel():
            is_it = row.prepared is not None and row.prepared.id == message.id
            return Step(replace(row, prepared=None) if is_it else row)
        case Offer():
            return _offer(row, sender, message)
        case Answer():
            return _answer(row, sender, message)
        case Supersede():
            return _supersede(row, sender, message.claim)
        case Noted():
            known = message.claim == row.claim
            return Step(replace(row, tell=row.tell - {sender}) if known else row)
        case Ready() | Refused():
            return Step(row)  # for whoever asked; nothing durable hangs on it


def silent_peer(row: Row) -> str:
    """The computer that a person says is dead when he forces a takeover here: it must not answer.

    Raises ``NotPossibleError`` when there is nobody to take it from.
    """
    if row.released is not None:
        return row.released.target
    if row.owns:
        raise NotPossibleError("it is owned here already")
    if row.claim is not None and (row.prepared is None or row.prepared.epoch < row.claim.epoch):
        return row.claim.computer
    if row.prepared is not None:
        return row.prepared.source
    raise NotPossibleError("nothing is known of it here")


def force(row: Row) -> Step:
    """Own it by a person's word that the other computer is dead. Raises ``NotPossibleError``."""
    silent = silent_peer(row)
    tell = (row.tell | _believed(row) | {silent}) - {row.me}
    if row.released is not None:
        claim = Claim(row.released.epoch + 1, row.me)
        return _telling(replace(row, claim=claim, released=None, prepared=None, tell=tell), Effect.RESUME)
    prepared, known = row.prepared, row.claim
    epoch = max(prepared.epoch if prepared is not None else 0, known.epoch if known is not None else 0) + 2
    after = replace(row, claim=Claim(epoch, row.me), prepared=None, tell=tell)
    if prepared is not None and prepared.source == silent:
        after = _judged(after, Verdict(prepared.id, True, epoch))
    return _telling(after, Effect.START)


def _telling(row: Row, effect: Effect) -> Step:
    return Step(row, due(row), (effect,))


def _prepare(row: Row, sender: str, message: Prepare) -> Step:
    theirs = Claim(message.epoch, sender)
    if row.claim is not None and row.claim > theirs:
        return Step(row, (Sent(sender, Supersede(row.claim)), Sent(sender, Refused(message.id))))
    if row.verdict(message.id) is not None or row.released is not None or row.owns:
        return Step(row, (Sent(sender, Refused(message.id)),))
    after = replace(row, prepared=Prepared(message.id, sender, message.epoch))
    return Step(after, (Sent(sender, Ready(message.id)),))


def _offer(row: Row, sender: str, message: Offer) -> Step:
    """The target's decision, made once per handoff and remembered."""
    verdict = row.verdict(message.id)
    if verdict is None:
        acceptable = row.prepared == Prepared(message.id, sender, message.epoch - 1) and row.released is None
        fresh = row.claim is None or (row.claim.epoch < message.epoch and row.claim.computer != row.me)
        verdict = Verdict(message.id, acceptable and fresh, message.epoch)
        row = _judged(row, verdict)
        if verdict.accepted:
            # Whoever was believed to own it, unless he offers it, has lost it without knowing.
            tell = (row.tell | _believed(row)) - {row.me, sender}
            row = replace(row, claim=Claim(message.epoch, row.me), prepared=None, tell=tell)
            return Step(row, (_answered(sender, verdict), *due(row)), (Effect.START,))
    if not verdict.accepted and row.claim is not None and row.claim > Claim(message.epoch, sender):
        # Declining would give it back to a computer that has lost it.
        return Step(row, (Sent(sender, Supersede(row.claim)),))
    return Step(row, (_answered(sender, verdict),))


def _believed(row: Row) -> frozenset[str]:
    """Who may take himself for the owner, as far as is known here."""
    owner = {row.claim.computer} if row.claim is not None else set()
    return frozenset(owner | ({row.released.target} if row.released is not None else set()))


def _answered(sender: str, verdict: Verdict) -> Sent:
    return Sent(sender, Answer(verdict.id, verdict.epoch, verdict.accepted))


def _judged(row: Row, verdict: Verdict) -> Row:
    return replace(row, verdicts=(*row.verdicts, verdict)[-MAX_VERDICTS:])


def _answer(row: Row, sender: str, message: Answer) -> Step:
    released = row.released
    if released is None or (released.id, released.target) != (message.id, sender):
        if message.accepted and row.claim is not None and Claim(message.epoch, sender) < row.claim:
            return Step(replace(row, tell=row.tell | {sender}), (Sent(sender, Supersede(row.claim)),))
        return Step(row)
    if message.accepted:
        return Step(replace(row, released=None, claim=Claim(message.epoch, sender)), (), (Effect.CLOSE,))
    return Step(replace(row, released=None, claim=Claim(released.epoch, row.me)), (), (Effect.RESUME,))


def _supersede(row: Row, sender: str, claim: Claim) -> Step:
    mine = row.claim
    if mine is not None and mine > claim:
        tell = (row.tell | {claim.computer, sender}) - {row.me}
        return Step(replace(row, tell=tell), (Sent(sender, Supersede(mine)),))
    noted = (Sent(sender, Noted(claim)),)
    if mine == claim:
        return Step(row, noted)
    if claim.computer == row.me and row.owns:
        # The others remember more than this computer, whose records were lost.
        return Step(replace(row, claim=claim), noted)
    was_here = mine is not None and mine.computer == row.me
    tell = (row.tell | _believed(row)) - {row.me, sender, claim.computer}
    after = replace(row, claim=claim, released=None, tell=tell)
    return Step(after, (*noted, *due(after)), (Effect.CLOSE,) if was_here else ())
