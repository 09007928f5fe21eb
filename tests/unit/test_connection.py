from __future__ import annotations

from teleclaude.api import Connection, current_connection


def test_a_lost_connection_tells_each_once() -> None:
    connection, heard = Connection(), []
    connection.on_lost(lambda: heard.append("first"))
    forget = connection.on_lost(lambda: heard.append("forgotten"))
    connection.on_lost(lambda: heard.append("second"))
    forget()
    connection.lose()
    connection.lose()
    forget()
    assert heard == ["first", "second"]
    connection.on_lost(lambda: heard.append("late"))
    assert heard == ["first", "second", "late"]


def test_the_current_one_is_known_inside_only() -> None:
    outer, inner = Connection(), Connection()
    assert current_connection() is None
    with outer.current():
        with inner.current():
            assert current_connection() is inner
        assert current_connection() is outer
    assert current_connection() is None
