"""The planner as data in and out: never over budget, nothing that must be said is lost, the newest edit replaces."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleclaude_telegram.plan import GROUP, Detail, Job, Plan, Rank


def job(topic: str, rank: Rank = Rank.FINAL, **fields: object) -> Job:
    return Job(topic, rank, {"do": "say"}, **fields)  # type: ignore[arg-type]


@dataclass
class Chat:
    """Sends what the plan lets go, the moment it does."""

    plan: Plan = field(default_factory=Plan)
    now: float = 0.0
    sent: list[tuple[float, Job]] = field(default_factory=list)

    def run(self, seconds: float, step: float = 0.05) -> None:
        until = self.now + seconds
        while self.now < until:
            found = self.plan.next(self.now)
            if found is None:
                self.now += step
                continue
            self.plan.spent(self.now, found.messages)
            self.plan.remove(found)
            self.plan.served(found.topic, self.now)
            self.sent.append((self.now, found))


def busiest(times: list[float], seconds: float) -> int:
    return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)


def test_a_group_hears_twenty_a_minute_and_one_a_second() -> None:
    chat = Chat()
    for number in range(100):
        chat.plan.add(job(f"t{number % 7}", Rank.URGENT, id=number), chat.now)
    chat.run(180)
    times = [at for at, _ in chat.sent]
    assert busiest(times, 60) == 20
    assert busiest(times, 1) == 1
    chat.run(600)
    assert len(chat.sent) == 100


def test_there_is_always_room_for_a_question() -> None:
    chat = Chat()
    for number in range(60):
        chat.plan.add(job(f"t{number}", Rank.FINAL, id=number), chat.now)
        chat.plan.add(job(f"t{number}", Rank.LIVE, key=f"live:{number}"), chat.now)
    for _ in range(20):
        chat.run(15)
        asked = job("q", Rank.URGENT)
        at = chat.now
        chat.plan.add(asked, at)
        chat.run(3)
        assert any(found is asked for _, found in chat.sent), f"asked at {at}"


def test_topics_share_fairly() -> None:
    chat = Chat()
    for number in range(30):
        chat.plan.add(job("loud", id=number), chat.now)
    chat.plan.add(job("meek", id=99), chat.now)
    chat.run(5)
    assert [found.topic for _, found in chat.sent][:2] == ["loud", "meek"]


def test_the_newest_edit_replaces_and_keeps_its_turn() -> None:
    plan = Plan()
    old = job("t", Rank.LIVE, key="live:t", ready=1.0)
    new = job("t", Rank.LIVE, key="live:t", ready=2.0)
    assert plan.add(old, 0) is None
    assert plan.add(new, 0.5) is old
    assert len(plan) == 1
    assert plan.next(0.9) is None
    assert plan.next(1.0) is new


def test_a_wish_of_higher_rank_is_not_lowered_by_a_later_one() -> None:
    plan = Plan()
    plan.add(Job("t", Rank.REPLY, {"do": "picture", "keys": True}, key="picture:t"), 0)
    plan.add(Job("t", Rank.LIVE, {"do": "picture"}, key="picture:t"), 0)
    (left,) = plan.jobs
    assert left.rank is Rank.REPLY
    assert left.doc["keys"]


def test_what_is_being_sent_is_not_replaced() -> None:
    """It may be refused, and has to be said again then."""
    plan = Plan()
    old = job("t", Rank.FINAL, key="final:t", id=1)
    plan.add(old, 0)
    old.busy = True
    assert plan.find("final:t") is None
    plan.add(job("t", Rank.FINAL, key="final:t", id=2), 0)
    assert plan.next(0) is None
    old.busy = False
    assert plan.next(0) is old
    assert len(plan) == 2


def test_one_upload_at_a_time_and_nothing_else_waits_for_it() -> None:
    plan = Plan()
    first, second = (Job(topic, Rank.REPLY, {"do": "file"}, id=number) for number, topic in enumerate("ab"))
    plan.add(first, 0)
    plan.add(second, 0)
    first.busy = True
    assert plan.next(0) is None
    question = job("a", Rank.URGENT)
    plan.add(question, 0)
    assert plan.next(0) is question
    first.busy = False
    assert plan.next(0) is question


def test_a_pause_holds_everything() -> None:
    plan = Plan()
    plan.add(job("t", Rank.URGENT), 0)
    plan.pause(30)
    assert plan.next(29.9) is None
    assert plan.delay(10) == 20
    assert plan.next(30) is not None


def test_the_end_of_a_topic_waits_for_the_rest_of_it() -> None:
    plan = Plan()
    close = job("t", last=True, id=1)
    plan.add(close, 0)
    final = job("t", id=2)
    plan.add(final, 0)
    assert plan.next(0) is final
    plan.remove(final)
    assert plan.next(0) is close


def test_order_stays_within_a_topic() -> None:
    plan = Plan()
    jobs = [job("t", id=number) for number in range(3)]
    for one in jobs:
        plan.add(one, 0)
    assert plan.next(0) is jobs[0]
    plan.remove(jobs[0])
    assert plan.next(0) is jobs[1]


def test_many_lively_topics_go_from_edits_to_digests_to_silence() -> None:
    plan, seen = Plan(), []
    for number in range(20):
        plan.add(job(f"t{number}", Rank.LIVE, key=f"live:{number}"), 0)
        seen.append(plan.detail(0))
    assert seen[0] is Detail.LIVE
    assert seen[9] is Detail.DIGEST
    assert seen[-1] is Detail.SILENT
    assert plan.detail(100) is Detail.LIVE


def test_what_need_not_be_said_can_be_forgotten_and_the_rest_not() -> None:
    plan = Plan()
    plan.add(job("t", Rank.LIVE, key="k"), 0)
    plan.add(job("u", Rank.FINAL, key="m", id=5), 0)
    plan.forget("k")
    plan.forget("m")
    assert [left.id for left in plan.jobs] == [5]


EVENTS = st.lists(
    st.tuples(st.floats(0, 20), st.integers(0, 6), st.sampled_from(list(Rank)), st.booleans()), max_size=60
)


@settings(max_examples=60)
@given(EVENTS, st.lists(st.tuples(st.floats(0, 200), st.floats(1, 60)), max_size=3))
def test_never_over_budget_and_nothing_that_must_be_said_is_lost(
    events: list[tuple[float, int, Rank, bool]], floods: list[tuple[float, float]]
) -> None:
    chat, must = Chat(), []
    for number, (gap, topic, rank, last) in enumerate(events):
        chat.run(gap, step=0.5)
        for at, seconds in floods:
            if chat.now - 20 <= at <= chat.now:
                chat.plan.pause(at + seconds)
        if rank is Rank.LIVE:
            chat.plan.add(job(f"t{topic}", rank, key=f"live:{topic}"), chat.now)
        else:
            one = job(f"t{topic}", rank, id=number, last=last and rank is Rank.FINAL)
            must.append(one)
            chat.plan.add(one, chat.now)
    chat.run(900, step=0.5)
    times = [at for at, _ in chat.sent]
    assert busiest(times, 60) <= GROUP.per_window
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))
    said = [id(one) for _, one in chat.sent]
    assert all(id(one) in said for one in must)
    assert len(chat.plan) == 0


def test_who_presses_keys_all_the_time_keeps_nobody_from_being_said() -> None:
    chat = Chat()
    final = job("quiet", Rank.FINAL, id=1)
    chat.plan.add(final, chat.now)
    for number in range(240):
        chat.plan.add(job("loud", Rank.REPLY, key=f"picture:{number}"), chat.now)
        chat.plan.add(job("loud", Rank.LIVE, key="live:loud"), chat.now)
        chat.run(1)
    said = {id(found): at for at, found in chat.sent}
    assert said[id(final)] < 65
    replies = [at for at, found in chat.sent if found.rank is Rank.REPLY]
    assert len(replies) > 40


def test_signs_come_last_and_yet_come() -> None:
    chat = Chat()
    for number in range(20):
        chat.plan.add(job(f"t{number}", Rank.SIGN, key=f"title:t{number}"), chat.now)
        chat.plan.add(job(f"t{number}", Rank.FINAL, id=number), chat.now)
    for _ in range(600):
        for number in range(20):
            chat.plan.add(job(f"t{number}", Rank.LIVE, key=f"live:t{number}"), chat.now)
        chat.run(1)
    first = [found.rank for _, found in chat.sent[:13]]
    assert first == [Rank.FINAL] * 13
    assert sum(found.rank is Rank.SIGN for _, found in chat.sent) == 20


def test_five_questions_in_a_minute_of_a_chat_that_is_busy_with_replies() -> None:
    chat = Chat()
    for number in range(200):
        chat.plan.add(job("loud", Rank.REPLY, id=number), chat.now)
    for _ in range(4):
        for number in range(5):
            chat.run(12)
            asked = job(f"q{number}", Rank.URGENT)
            chat.plan.add(asked, chat.now)
            chat.run(3)
            assert any(found is asked for _, found in chat.sent)


def test_an_album_counts_as_many_as_it_has_pictures() -> None:
    chat = Chat()
    for number in range(8):
        chat.plan.add(job("t", Rank.REPLY, id=number), chat.now)
    album = Job("t", Rank.REPLY, {"do": "album", "files": [{}] * 10}, id=99)
    chat.plan.add(album, chat.now)
    chat.run(50)
    assert len(chat.sent) == 8
    chat.run(20)
    assert chat.sent[-1][1] is album
    chat.plan.add(job("t", Rank.REPLY, id=100), chat.now)
    chat.run(5)
    assert len(chat.sent) == 10


def test_a_call_counts_from_when_it_was_answered() -> None:
    plan = Plan()
    plan.spent(0.0)
    plan.spent(2.0, 3)
    plan.answered(5.0)
    assert plan.wait(Rank.URGENT, 5.0) == pytest.approx(GROUP.spacing)
    assert plan.used(64.0) == 3
    assert plan.used(66.0) == 0


def test_an_answer_waits_for_one_at_most_of_those_that_have_waited_long() -> None:
    chat = Chat()
    for number in range(60):
        chat.plan.add(job(f"t{number}", Rank.FINAL, id=number), chat.now)
    chat.run(62)
    for number in range(5):
        reply = job("asks", Rank.REPLY, id=100 + number)
        before = len(chat.sent)
        chat.plan.add(reply, chat.now)
        while reply not in [found for _, found in chat.sent]:
            chat.run(1)
        assert len(chat.sent) - before <= 3
