from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from teleclaude.errors import LimitError
from teleclaude.process.queue import Slot, SlotQueue


async def test_c15_the_rest_waits_in_order() -> None:
    slots = SlotQueue(2)
    first, second, third, fourth = (slots.reserve() for _ in range(4))
    assert [slot.is_granted for slot in (first, second, third, fourth)] == [True, True, False, False]
    second.release()
    assert await third.wait()
    assert not fourth.is_granted
    first.release()
    assert await fourth.wait()
    assert (slots.running, slots.waiting) == (2, 0)


async def test_c15_who_does_not_want_to_wait_is_told() -> None:
    slots = SlotQueue(1)
    with slots.reserve():
        with pytest.raises(LimitError) as caught:
            slots.reserve(queue=False)
        assert caught.value.code == "limit"
    assert slots.reserve(queue=False).is_granted


def test_the_queue_has_an_end() -> None:
    slots = SlotQueue(1, max_waiting=2)
    for _ in range(3):
        slots.reserve()
    with pytest.raises(LimitError):
        slots.reserve()


async def test_c19_who_leaves_the_queue_never_gets_a_slot() -> None:
    slots = SlotQueue(1)
    running, waiting = slots.reserve(), slots.reserve()

    async def give_up() -> None:
        waiting.release()

    answer, _ = await asyncio.gather(waiting.wait(), give_up())
    assert answer is False
    running.release()
    assert (slots.running, slots.waiting) == (0, 0)


async def test_who_leaves_at_the_moment_of_the_grant_does_not_run() -> None:
    slots = SlotQueue(1)
    running, next_one, last = slots.reserve(), slots.reserve(), slots.reserve()
    running.release()
    next_one.release()
    assert await next_one.wait() is False
    assert await last.wait() is True
    last.release()
    assert (slots.running, slots.waiting) == (0, 0)


def test_more_slots_are_granted_at_once_and_fewer_as_they_come_back() -> None:
    slots = SlotQueue(1)
    many = [slots.reserve() for _ in range(4)]
    slots.resize(3)
    assert [slot.is_granted for slot in many] == [True, True, True, False]
    slots.resize(1)
    many[0].release()
    many[1].release()
    assert not many[3].is_granted
    many[2].release()
    assert many[3].is_granted
    many[3].release()
    assert (slots.running, slots.waiting) == (0, 0)


def test_a_slot_comes_back_once() -> None:
    slots = SlotQueue(1)
    slot = slots.reserve()
    slot.release()
    slot.release()
    assert slots.running == 0


def test_no_slots_at_all_is_a_defect() -> None:
    with pytest.raises(ValueError, match="max_concurrent"):
        SlotQueue(0)


class Queueing(RuleBasedStateMachine):
    """Against a list: the first ``size`` of what was reserved and not released have slots, and nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 3
        self.slots = SlotQueue(self.size, max_waiting=5)
        self.held: list[Slot] = []

    @rule(queue=st.booleans())
    def reserve(self, queue: bool) -> None:
        room = len(self.held) < self.size or (queue and len(self.held) < self.size + 5)
        if room:
            self.held.append(self.slots.reserve(queue=queue))
        else:
            with pytest.raises(LimitError):
                self.slots.reserve(queue=queue)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.held:
            self.held.pop(data.draw(st.integers(0, len(self.held) - 1))).release()

    @invariant()
    def first_come_first_served(self) -> None:
        granted = [slot.is_granted for slot in self.held]
        assert granted == [place < self.size for place in range(len(self.held))]
        assert self.slots.running == sum(granted)
        assert self.slots.waiting == len(granted) - sum(granted)


TestQueueing = Queueing.TestCase
