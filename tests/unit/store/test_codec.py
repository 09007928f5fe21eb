from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import Session
from teleclaude.store.codec import decode_session, encode_session, microseconds
from tests.unit.store.strategies import moments, sessions


@given(sessions)
def test_every_session_comes_back_as_it_was(session: Session) -> None:
    text = encode_session(session)
    assert text.isascii()
    assert decode_session(text) == session


@given(moments, st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=1)))
def test_microseconds_are_exact_and_in_order(moment: datetime, later: timedelta) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(moment)) == moment
    assert microseconds(moment + later) > microseconds(moment)
