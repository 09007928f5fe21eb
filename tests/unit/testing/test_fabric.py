"""Computers without a network: what is said arrives as bytes would, and goes wrong as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from teleclaude.api import Fabric, Hub
from teleclaude.errors import (
    ConflictError,
    DeadlineError,
    IndeterminateError,
    NotFoundError,
    UnavailableError,
)
from teleclaude.model import Chunk, Principal, Role
from teleclaude.testing.fabric import Fault, Network, Said
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.sessions import InputReply, SendInput

ME = Principal("local", Role.OWNER)
TYPE = SendInput(id="work", text="x")
READ = ReadOutput(id="work")


class Core:
    """A hub that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Principal, Any, str | None]] = []
        self.error: ConflictError | None = None
        self.fabric: Fabric

    def attach_fabric(self, fabric: Fabric) -> Callable[[], None]:
        self.fabric = fabric
        return lambda: None

    async def call(self, principal: Principal, command: Any, *, key: str | None = None) -> Any:
        self.asked.append((principal, command, key))
        if self.error is not None:
            raise self.error
        if isinstance(command, ReadOutput):
            return Chunk(0, 3, 3, b"\xff\x00a")
        return InputReply(offset=len(self.asked))


@pytest.fixture
def here() -> Core:
    return Core()


@pytest.fixture
def there() -> Core:
    return Core()


@pytest.fixture
def network(here: Core, there: Core) -> Network:
    network = Network()
    network.join("anvil", cast(Hub, here))
    network.join("barn", cast(Hub, there))
    return network


async def test_commands_and_answers_arrive(network: Network, here: Core, there: Core) -> None:
    assert await here.fabric.call("barn", ME, TYPE) == InputReply(offset=1)
    assert (await here.fabric.call("barn", ME, READ)).data == b"\xff\x00a"
    (typed, read) = there.asked
    assert (typed[0], typed[1]) == (Principal("node:anvil", Role.OPERATOR), TYPE)
    assert typed[2] is not None
    assert read[2] is None
    assert network.said == [Said("anvil", "barn", "session.input"), Said("anvil", "barn", "output.read")]


async def test_errors_arrive_with_their_fields(network: Network, here: Core, there: Core) -> None:
    there.error = ConflictError("elsewhere", computer="crane")
    with pytest.raises(ConflictError, match="elsewhere") as caught:
        await here.fabric.call("barn", ME, TYPE)
    assert caught.value.fields["computer"] == "crane"


async def test_a_message_is_lost_or_repeated(network: Network, here: Core, there: Core) -> None:
    network.fail(TYPE.operation, Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.REPEAT)
    with pytest.raises(IndeterminateError):
        await here.fabric.call("barn", ME, TYPE)
    assert there.asked == []
    with pytest.raises(IndeterminateError):
        await here.fabric.call("barn", ME, TYPE)
    assert len(there.asked) == 1
    assert await here.fabric.call("barn", ME, TYPE) == InputReply(offset=3)
    assert len({key for _, _, key in there.asked}) == 3
    network.fail(READ.operation, Fault.LOSE_REPLY)
    with pytest.raises(DeadlineError):
        await here.fabric.call("barn", ME, READ)


async def test_computers_are_cut_off(network: Network, here: Core, there: Core) -> None:
    async def cut() -> None:
        network.cut.add(frozenset(("anvil", "barn")))

    network.before(TYPE.operation, cut)
    with pytest.raises(UnavailableError):
        await here.fabric.call("barn", ME, TYPE)
    assert [(peer.name, peer.is_online) for peer in there.fabric.peers()] == [("anvil", False)]
    network.cut.clear()
    await here.fabric.call("barn", ME, TYPE)
    with pytest.raises(NotFoundError):
        await here.fabric.call("crane", ME, TYPE)
