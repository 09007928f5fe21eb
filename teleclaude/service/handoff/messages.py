"""What the protocol says, as commands to another computer and as the answers to them."""

from __future__ import annotations

from teleclaude.api import Fabric
from teleclaude.errors import UnavailableError
from teleclaude.model import Principal, Role
from teleclaude.model.handoff import Answer, Cancel, Claim, Message, Noted, Offer, Sent, Supersede
from teleclaude.wire.handoff import (
    AnswerReply,
    CancelHandoff,
    ClaimReply,
    OfferHandoff,
    SupersedeHandoff,
)

MESSAGE_SECONDS = 5.0
OFFER_SECONDS = 4.0
"""An offer that needs longer is repeated; the answer is ready then."""

HANDOFF = Principal("handoff", Role.OPERATOR)
"""In whose name the computers speak to each other."""


async def ask(fabric: Fabric | None, session_id: str, sent: Sent) -> tuple[Message | None, str]:
    """Send one message and answer what came back, None for nothing, and a reason in words where one was given.

    Raises as ``Fabric.call`` does.
    """
    if fabric is None:
        raise UnavailableError("there is no link to other computers", operation="session.handoff")
    match sent.message:
        case Offer(id=id_, epoch=epoch):
            offer = OfferHandoff(handoff=id_, session=session_id, epoch=epoch)
            reply = await fabric.call(sent.to, HANDOFF, offer, timeout=OFFER_SECONDS)
            return answered(id_, reply), reply.reason
        case Supersede(claim=claim):
            told = SupersedeHandoff(session=session_id, epoch=claim.epoch, computer=claim.computer)
            return noted(claim, await fabric.call(sent.to, HANDOFF, told, timeout=MESSAGE_SECONDS)), ""
        case Cancel(id=id_):
            cancel = CancelHandoff(handoff=id_, session=session_id)
            await fabric.call(sent.to, HANDOFF, cancel, timeout=MESSAGE_SECONDS)
        case _:
            raise TypeError(f"{type(sent.message).__name__} is an answer")
    return None, ""


def answered(id_: str, reply: AnswerReply) -> Message:
    if reply.computer is not None:
        return Supersede(Claim(reply.epoch, reply.computer))
    return Answer(id_, reply.epoch, reply.accepted)


def noted(claim: Claim, reply: ClaimReply) -> Message | None:
    if reply.computer is None:
        return None
    known = Claim(reply.epoch, reply.computer)
    return Noted(claim) if known == claim else Supersede(known)


def answer_reply(sender: str, messages: tuple[Sent, ...], reason: str) -> AnswerReply:
    """The reply to an offer out of what the protocol wants to say to its sender."""
    for sent in messages:
        match sent.message:
            case Answer(epoch=epoch, accepted=accepted) if sent.to == sender:
                return AnswerReply(accepted=accepted, epoch=epoch, reason=reason)
            case Supersede(claim=claim) if sent.to == sender:
                return AnswerReply(accepted=False, epoch=claim.epoch, computer=claim.computer)
            case _:
                pass
    raise TypeError("an offer is always answered")


def claim_reply(claim: Claim | None, *, owns: bool) -> ClaimReply:
    if claim is None:
        return ClaimReply(epoch=0, computer=None, owns=False)
    return ClaimReply(epoch=claim.epoch, computer=claim.computer, owns=owns)
