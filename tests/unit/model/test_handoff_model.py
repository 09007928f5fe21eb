"""Handing over, model-checked: whatever is lost, repeated, reordered and killed, at most one computer owns a session,
epochs only grow, and once all is well again there is exactly one owner. Wrong protocols are found out.

``TELECLAUDE_TEST_HANDOFF_EXAMPLES`` sets how many histories are tried (and makes them differ from run to run).
"""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.unit.model import handoff_world as worlds
from tests.unit.model.handoff_world import NAMES, Protocol, World

EXAMPLES = os.environ.get("TELECLAUDE_TEST_HANDOFF_EXAMPLES")
STEPS = 50

places = st.integers(0, worlds.MAX_MESSAGES - 1)


class Handing(RuleBasedStateMachine):
    """Two computers. A loss on the way and a restart, both at any moment, are all that can go wrong with them."""

    protocol: ClassVar[type[Protocol]] = Protocol
    names: ClassVar[tuple[str, ...]] = NAMES[:2]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.protocol(), self.names)
        self.seen = self.world.claims()

    def name(self, index: int) -> str:
        return self.names[index % len(self.names)]

    @rule(shift=places, flow=st.integers(0, 9))
    def begin(self, shift: int, flow: int) -> None:
        self.world.begin(shift)
        self.world.flow(flow)

    @rule(place=places)
    @precondition(lambda self: self.world.network)
    def deliver(self, place: int) -> None:
        self.world.deliver(place % len(self.world.network))

    @rule(place=places, count=st.integers(1, 4), flow=st.integers(0, 4))
    @precondition(lambda self: self.world.past)
    def repeat(self, place: int, count: int, flow: int) -> None:
        """Old messages arrive again, one after the other."""
        for offset in range(count):
            self.world.repeat((place + offset) % len(self.world.past))
            for name in self.names:
                self.world.settle(name)
        self.world.flow(flow)

    @rule(shift=places, count=st.integers(1, 9))
    def flow(self, shift: int, count: int) -> None:
        if not self.world.network:
            self.world.begin(shift)
        self.world.flow(count)

    @rule(index=places, acts=st.integers(1, 2), flow=st.integers(0, 2))
    def act(self, index: int, acts: int, flow: int) -> None:
        """One computer gets on slowly."""
        for _ in range(acts):
            self.world.act(self.name(index))
        self.world.flow(flow, slow=self.name(index))

    @rule(index=places, acts=st.integers(1, 2), flow=st.integers(1, 3))
    def stumble(self, index: int, acts: int, flow: int) -> None:
        """It stops amid its acts, while what it did already has its effect."""
        name = self.name(index)
        for _ in range(acts):
            self.world.act(name)
        self.world.flow(flow, slow=name)
        self.world.crash(name)
        self.world.restart(name)

    @rule(place=places)
    @precondition(lambda self: self.world.network)
    def lose(self, place: int) -> None:
        del self.world.network[place % len(self.world.network)]

    @rule(index=places)
    def crash_and_restart(self, index: int) -> None:
        self.world.crash(self.name(index))
        self.world.restart(self.name(index))

    @rule(index=places)
    def resend(self, index: int) -> None:
        self.world.resend(self.name(index))

    @rule(index=places)
    def time_passes(self, index: int) -> None:
        self.world.give_up(self.name(index))
        self.world.time_passed(self.name(index))

    @rule(index=places)
    def expire(self, index: int) -> None:
        self.world.expire(self.name(index))

    @rule(shift=places, flow=st.integers(0, 2))
    def lapse(self, shift: int, flow: int) -> None:
        """What was prepared is thrown away while the offer is on its way."""
        self.world.begin(shift)
        self.world.flow(2)
        for name in self.names:
            self.world.expire(name)
        self.world.flow(flow)

    @invariant()
    def epochs_only_grow(self) -> None:
        now = self.world.claims()
        assert all(now[name] >= self.seen[name] for name in self.names), (self.seen, now)
        self.seen = now

    @invariant()
    def at_most_one_owner(self) -> None:
        assert self.world.forced or len(self.world.owners()) <= 1, self.world.owners()

    def teardown(self) -> None:
        self.world.heal()
        self.epochs_only_grow()
        owners = self.world.owners()
        assert len(owners) == 1, owners
        assert {name for name in self.names if self.world.computers[name].has_process} == owners


class HandingAmongThree(Handing):
    """They may be down for a while, and cut off from each other."""

    names = NAMES

    @rule(index=places)
    def crash(self, index: int) -> None:
        self.world.crash(self.name(index))

    @rule(index=places)
    def restart(self, index: int) -> None:
        self.world.restart(self.name(index))

    @rule(index=places, other=places)
    def cut(self, index: int, other: int) -> None:
        self.world.cut.add(frozenset((self.name(index), self.name(other))))

    @rule()
    def mend(self) -> None:
        self.world.cut.clear()


class Forcing(HandingAmongThree):
    """With takeovers by force: a computer that is cut off goes on until it hears of it, then there is one owner."""

    @rule(index=places, flow=st.integers(0, 4))
    def force(self, index: int, flow: int) -> None:
        self.world.force(self.name(index))
        self.world.flow(flow)

    def teardown(self) -> None:
        super().teardown()
        (owner,) = self.world.owners()
        highest = max(self.world.claims().values())
        assert highest.computer == owner, (owner, highest)


def check(machine: type[Handing], protocol: type[Protocol], examples: int) -> None:
    fixed = EXAMPLES is None
    run_state_machine_as_test(
        type(f"{machine.__name__}{protocol.__name__}", (machine,), {"protocol": protocol}),
        settings=settings(
            max_examples=examples if EXAMPLES is None else int(EXAMPLES),
            stateful_step_count=STEPS,
            derandomize=fixed,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("machine", [Handing, HandingAmongThree, Forcing])
def test_the_protocol_holds(machine: type[Handing]) -> None:
    check(machine, Protocol, 60)


WRONG: list[tuple[type[Handing], type[Protocol]]] = [
    (Handing, worlds.ReleasesAfterTheAnswer),
    (Handing, worlds.ReclaimsAfterATime),
    (Handing, worlds.ChecksNoEpoch),
    (Handing, worlds.AcceptsBeforeWriting),
    (Handing, worlds.OffersBeforeWriting),
    (Handing, worlds.ForgetsWhatItDeclined),
    (Handing, worlds.BelievesEveryAnswer),
    (Handing, worlds.AcceptsWhatItHasLost),
    (Handing, worlds.OffersOnce),
    (Forcing, worlds.ForcesWithoutAsking),
    (Forcing, worlds.ForcesWithoutTelling),
    (Forcing, worlds.NeverYields),
]


@pytest.mark.parametrize(("machine", "protocol"), WRONG, ids=[protocol.__name__ for _, protocol in WRONG])
def test_a_wrong_protocol_is_found_out(machine: type[Handing], protocol: type[Protocol]) -> None:
    with pytest.raises(AssertionError):
        check(machine, protocol, 1500)
