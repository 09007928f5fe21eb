"""Idempotency keys over a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.api import KeyUse
from teleclaude.errors import BusyError, ConflictError, IndeterminateError, KeyReusedError
from teleclaude.service.once import Journal
from teleclaude.store import Database
from teleclaude.testing.clock import ManualClock
from teleclaude.wire.sessions import OffsetReply, SendBytes, SendKeys

COMMAND = SendKeys(id="x", keys=["a"])


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "db", clock=ManualClock()) as opened:
        yield opened


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, ManualClock())


class Effect:
    def __init__(self, *outcomes: object) -> None:
        self.calls = 0
        self.outcomes = list(outcomes)

    async def __call__(self) -> OffsetReply:
        self.calls += 1
        await asyncio.sleep(0)
        outcome = self.outcomes.pop(0) if self.outcomes else OffsetReply(offset=self.calls)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, OffsetReply)
        return outcome


async def test_twenty_at_once_are_one(journal: Journal) -> None:
    effect = Effect()
    replies = await asyncio.gather(*(journal.once("p", "k", COMMAND, effect) for _ in range(20)))
    assert effect.calls == 1
    assert {reply.offset for reply in replies} == {1}


async def test_the_reply_outlives_the_daemon(database: Database, journal: Journal) -> None:
    effect = Effect()
    first = await journal.once("p", "k", COMMAND, effect)
    assert await Journal(database, ManualClock()).once("p", "k", COMMAND, effect) == first
    assert effect.calls == 1
    await journal.once("other", "k", COMMAND, effect)
    assert effect.calls == 2


async def test_another_body_is_refused(journal: Journal) -> None:
    effect = Effect()
    await journal.once("p", "k", COMMAND, effect)
    with pytest.raises(KeyReusedError):
        await journal.once("p", "k", SendKeys(id="x", keys=["b"]), effect)
    assert effect.calls == 1


async def test_an_error_is_an_answer_too(journal: Journal) -> None:
    effect = Effect(ConflictError("taken", operation="o"))
    for _ in range(2):
        with pytest.raises(ConflictError, match="taken"):
            await journal.once("p", "k", COMMAND, effect)
    assert effect.calls == 1


async def test_a_refusal_that_did_nothing_leaves_the_key_free(journal: Journal) -> None:
    effect = Effect(BusyError("later"))
    with pytest.raises(BusyError):
        await journal.once("p", "k", COMMAND, effect)
    assert (await journal.once("p", "k", COMMAND, effect)).offset == 2


async def test_what_was_begun_and_never_answered_is_indeterminate(database: Database, journal: Journal) -> None:
    class PowerCutError(BaseException):
        pass

    async def dies() -> OffsetReply:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        await journal.once("p", "k", COMMAND, dies)
    effect = Effect()
    with pytest.raises(IndeterminateError):
        await Journal(database, ManualClock()).once("p", "k", COMMAND, effect)
    assert effect.calls == 0


async def test_a_new_key_waits_for_nobody_and_is_on_record_all_the_same(database: Database, journal: Journal) -> None:
    effect = Effect()
    assert (await journal.once("p", "k", COMMAND, effect, use=KeyUse.FRESH)).offset == 1
    assert (await journal.once("p", "k", COMMAND, effect, use=KeyUse.SEEN)).offset == 1
    later = Journal(database, ManualClock())
    assert (await later.once("p", "k", COMMAND, effect, use=KeyUse.OLD)).offset == 1
    assert effect.calls == 1


async def test_an_old_key_without_a_record_is_never_begun(journal: Journal) -> None:
    effect = Effect()
    with pytest.raises(IndeterminateError):
        await journal.once("p", "k", COMMAND, effect, use=KeyUse.OLD)
    assert effect.calls == 0


async def test_an_old_key_that_was_begun_is_indeterminate(database: Database) -> None:
    async def dies() -> OffsetReply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Journal(database, ManualClock()).once("p", "k", COMMAND, dies, use=KeyUse.FRESH)
    effect = Effect()
    for use in (KeyUse.SEEN, KeyUse.OLD):
        with pytest.raises(IndeterminateError):
            await Journal(database, ManualClock()).once("p", "k", COMMAND, effect, use=use)
    assert effect.calls == 0


async def test_a_record_that_the_disk_never_took_lets_nothing_run_twice(tmp_path: Path) -> None:
    async with Database(tmp_path / "db", clock=ManualClock()) as database:
        journal = Journal(database, ManualClock())
        await database.write(lambda connection: connection.execute("DROP TABLE idempotency_keys"))
        effect = Effect()
        await journal.once("p", "k", COMMAND, effect, use=KeyUse.FRESH)
        for use in (KeyUse.SEEN, KeyUse.OLD):
            with pytest.raises(IndeterminateError):
                await journal.once("p", "k", COMMAND, effect, use=use)
        assert effect.calls == 1


async def test_what_happens_elsewhere_is_asked_for_again_until_it_is_known(
    database: Database, journal: Journal
) -> None:
    effect = Effect(IndeterminateError("no answer"), IndeterminateError("still none"), OffsetReply(offset=9))
    for _ in range(2):
        with pytest.raises(IndeterminateError):
            await journal.once("p", "k", COMMAND, effect, elsewhere=True)
    assert (await Journal(database, ManualClock()).once("p", "k", COMMAND, effect, elsewhere=True)).offset == 9
    assert (await journal.once("p", "k", COMMAND, effect, elsewhere=True)).offset == 9
    assert effect.calls == 3


async def test_bytes_are_a_part_of_the_request(journal: Journal) -> None:
    effect = Effect()
    await journal.once("p", "k", SendBytes(id="x", data=b"\xff"), effect)
    await journal.once("p", "k", SendBytes(id="x", data=b"\xff"), effect)
    with pytest.raises(KeyReusedError):
        await journal.once("p", "k", SendBytes(id="x", data=b"\xfe"), effect)
    assert effect.calls == 1
