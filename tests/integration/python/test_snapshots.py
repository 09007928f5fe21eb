"""Variables written down and put back, in the same worker and in the next one."""

from __future__ import annotations

import pytest

from teleclaude.errors import BusyError, ConflictError, InvalidError, NotFoundError
from teleclaude.python import snapshots
from tests.support.python import Driven, Sessions

_CODE = """
import json, threading
x = [1, 2]
same = x
text = "é"
def f(): return x
lock = threading.Lock()
class A: pass
a = A()
"""


async def test_a_snapshot_says_what_it_could_not_carry(sessions: Sessions, python: Driven) -> None:
    await python.run(_CODE)
    snapshot = await snapshots.take(python.session, sessions.folder / "one")
    assert snapshot.carried == ("json", "same", "text", "threading", "x")
    assert {entry.name: entry.type for entry in snapshot.dropped} == {
        "f": "function",
        "lock": "lock",
        "A": "type",
        "a": "A",
    }
    assert all(entry.reason for entry in snapshot.dropped)
    assert snapshot.path.stat().st_mode & 0o777 == 0o600
    assert snapshot.size_bytes == snapshot.path.stat().st_size


async def test_d03_a_restore_puts_back_and_keeps_the_dict(sessions: Sessions, python: Driven) -> None:
    await python.run(_CODE + "\nspace = id(globals())")
    snapshot = await snapshots.take(python.session, sessions.folder / "one")
    await python.run("x.append(3); text = None; later = 1; del json, lock")
    restored = await snapshots.put_back(python.session, snapshot)
    assert restored.restored == ("json", "same", "space", "text", "threading", "x")
    assert (restored.removed, restored.missing) == (("later",), ("lock",))
    assert set(restored.kept) == {"f", "A", "a"}
    assert await python.value("[x, x is same, text, f(), json.dumps(1), id(globals()) == space]") == [
        [1, 2],
        True,
        "é",
        [1, 2],
        "1",
        True,
    ]
    assert (await python.error("later")).type == "NameError"


async def test_a_snapshot_survives_the_worker(sessions: Sessions, python: Driven) -> None:
    await python.run(_CODE)
    snapshot = await snapshots.take(python.session, sessions.folder / "one")
    await python.session.restart()
    restored = await snapshots.put_back(python.session, snapshot)
    assert set(restored.missing) == {"f", "lock", "A", "a"}
    assert restored.kept == ()
    assert await python.value("[x is same, json.dumps(text)]") == [True, '"\\u00e9"']


async def test_only_our_own_snapshot_is_read(sessions: Sessions, python: Driven) -> None:
    await python.run("x = 1")
    snapshot = await snapshots.take(python.session, sessions.folder / "one")
    with pytest.raises(ConflictError):
        await snapshots.take(python.session, sessions.folder / "one")
    snapshot.path.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(ConflictError, match="changed"):
        await snapshots.put_back(python.session, snapshot)
    assert not (sessions.folder / "hacked").exists()
    snapshot.path.unlink()
    with pytest.raises(NotFoundError):
        await snapshots.put_back(python.session, snapshot)


async def test_a_snapshot_that_fails_leaves_no_file(sessions: Sessions, python: Driven) -> None:
    cell = python.submit("import time; print('go'); time.sleep(60)")
    await cell.printed("go")
    with pytest.raises(BusyError):
        await snapshots.take(python.session, sessions.folder / "one")
    assert not (sessions.folder / "one").exists()
    await cell.running.cancel()
    await cell.outcome()


async def test_a_value_that_cannot_be_read_back_is_an_error(sessions: Sessions, python: Driven) -> None:
    await python.run("class Odd:\n  n = 0\n  def __reduce__(self): return int, ('x',)\nodd = Odd()")
    await python.run("odd = Odd()")
    snapshot = await snapshots.take(python.session, sessions.folder / "one")
    with pytest.raises(InvalidError):
        await snapshots.put_back(python.session, snapshot)
    assert await python.value("1+1") == 2
