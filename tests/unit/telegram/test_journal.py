"""What survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from teleclaude_telegram import journal as journal_module
from teleclaude_telegram.intake import safe_name
from teleclaude_telegram.journal import FORGET_EVERY, Journal, Place
from teleclaude_telegram.keyboards import Button, mint


async def test_updates_are_known_again_and_worked_off_once(tmp_path: Path) -> None:
    async with Journal(tmp_path / "t" / "journal.db") as journal:
        assert await journal.offset(2.0) is None
        await journal.take([(10, {"a": 1}), (12, {"b": 2})], 1.0)
        assert await journal.offset(2.0) == 13
        await journal.worked_off(10)
        await journal.take([(10, {"a": 1}), (13, {"c": 3})], 2.0)
        assert [number for number, _ in await journal.waiting()] == [12, 13]
    async with Journal(tmp_path / "t" / "journal.db") as journal:
        assert [number for number, _ in await journal.waiting()] == [12, 13]


async def test_only_so_many_updates_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "KEPT_UPDATES", 5)
    async with Journal(tmp_path / "journal.db") as journal:
        for number in range(1, 2 * FORGET_EVERY + 1):
            await journal.take([(number, {})], float(number))
            await journal.worked_off(number)
        await journal.take([(number, {}) for number in range(1, 2 * FORGET_EVERY + 1)], 1000.0)
        again = [number for number, _ in await journal.waiting()]
    assert again == list(range(1, 2 * FORGET_EVERY - 5))


async def test_x36_updates_out_of_order_are_worked_off_in_the_order_of_their_ids(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.db") as journal:
        await journal.take([(12, {"b": 2}), (10, {"a": 1})], 1.0)
        assert await journal.offset(2.0) == 13
        assert [number for number, _ in await journal.waiting()] == [10, 12]


async def test_what_is_to_be_said_and_where(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.db") as journal:
        row = await journal.queue("S1", 2, {"do": "final", "end": 5}, key="final:S1", last=False)
        await journal.requeue(row, {"do": "final", "end": 9})
        await journal.keep(Place("S1", "one", thread=4, tidy=[1]))
        (unsaid,) = await journal.unsaid()
        assert unsaid.doc["end"] == 9
        assert await journal.places() == [Place("S1", "one", thread=4, tidy=[1])]
        await journal.drop("S1")
        assert await journal.unsaid() == []
        assert await journal.places() == []


def test_an_open_question_stays_when_other_messages_have_served() -> None:
    place = Place("S1", "one", live=5, tidy=[3], question=4, asked="open")
    assert place.served() == [3, 5]
    assert place.served() == []
    place.asked = ""
    assert place.served() == [4]
    assert place.question is None


async def test_buttons_work_once_expire_and_go_with_their_keyboard(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.db") as journal:
        rows = [[Button("Yes", {"do": "answer", "n": 1}), Button("No", {"do": "answer", "n": 2})]]
        shown = await mint(journal, rows, now=100.0, keyboard="question:S1", ttl=60)
        yes, no = (button["callback_data"] for button in shown[0])
        assert 1 <= len(yes.encode()) <= 64
        assert await journal.look_up(yes, 161.0) is None
        assert (await journal.look_up(yes, 159.0) or {})["n"] == 1
        assert await journal.burn(yes, keyboard=True, by=1)
        assert not await journal.burn(yes, keyboard=True, by=1)
        assert await journal.look_up(no, 101.0) is None
        again = await mint(journal, rows, now=100.0, keyboard="question:S1")
        await mint(journal, rows, now=100.0, keyboard="question:S1")
        assert await journal.look_up(again[0][0]["callback_data"], 101.0) is None


async def test_the_budget_that_was_used_is_remembered(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.db") as journal:
        for at in (10.0, 50.0, 80.0):
            await journal.spend(at, 60.0)
        assert await journal.spent(20.0) == [50.0, 80.0]


async def test_how_long_to_wait_is_remembered_and_a_clock_that_was_set_back_makes_it_no_longer(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.db") as journal:
        assert await journal.told_to_wait(100.0) == 0
        await journal.wait(100.0, 30.0)
        assert await journal.told_to_wait(110.0) == 20
        assert await journal.told_to_wait(200.0) == 0
        assert await journal.told_to_wait(10.0) == 30


def test_names_of_files() -> None:
    assert safe_name("../../x") == "x"
    assert safe_name("-rf") == "rf"
    assert safe_name(".bashrc") == "bashrc"
    assert safe_name("..") == "file"
    assert safe_name("a b.tar.gz") == "a_b.tar.gz"
    assert len(safe_name("n" * 300 + ".pdf")) <= 80
