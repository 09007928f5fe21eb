"""Any session that can exist."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from teleclaude.model import (
    Agent,
    Exit,
    Exited,
    HandedOff,
    HandingOff,
    Kind,
    Lost,
    PaneIdentity,
    Running,
    Session,
    SessionSpec,
    Starting,
)

numbers = st.integers(min_value=0, max_value=2**53)
words = st.text(max_size=20)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
panes = st.none() | st.builds(
    PaneIdentity,
    server_pid=numbers,
    server_start=numbers,
    session_id=words,
    pane_id=words,
    pid=numbers,
    pid_start=numbers,
)
exits = st.builds(
    Exit, code=st.none() | st.integers(0, 255), signal=st.none() | words, at=st.none() | moments, reason=words
)
states = st.one_of(
    st.builds(Starting),
    st.builds(Running, pane=panes),
    st.builds(Exited, exit=exits),
    st.builds(Lost, exit=exits),
    st.builds(HandingOff, computer=names, epoch=numbers, pane=panes),
    st.builds(HandedOff, computer=names, session_id=words, epoch=numbers),
)
specs = st.builds(
    SessionSpec,
    command=st.none() | st.text() | st.lists(st.text(), max_size=4).map(tuple),
    cwd=st.text(),
    env=st.dictionaries(words, st.text(), max_size=3),
    cols=numbers,
    rows=numbers,
    agent=st.none() | st.builds(Agent, name=names, conversation_id=st.none() | words),
)
sessions = st.builds(
    Session,
    id=st.uuids().map(str),
    name=names,
    kind=st.sampled_from(Kind),
    computer=names,
    spec=specs,
    state=states,
    created_at=moments,
    owner=words,
    tags=st.lists(words, max_size=3).map(tuple),
    epoch=numbers,
    title=st.text(),
    input_offset=st.none() | numbers,
    tmux_socket=st.none() | words,
)
