from __future__ import annotations

import pytest

from teleclaude.errors import ConflictError, DeadlineError, IndeterminateError, NotFoundError, UnavailableError
from teleclaude.tmux.failures import TmuxError, broken_off, refused, unanswered, unsent
from teleclaude.tmux.line import Flag, command, text

ASK = (command("list-panes", Flag("a")),)
ACT = (*ASK, command("set-option", text("@x")))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("duplicate session: a", ConflictError),
        ("can't find pane: %9", NotFoundError),
        ("can't find session: $9", NotFoundError),
        ("no current target", NotFoundError),
        ("no server running on /tmp/tmux-0/x", UnavailableError),
        ("error connecting to /tmp/tmux-0/x (No such file or directory)", UnavailableError),
        ("command too long", TmuxError),
        ("", TmuxError),
    ],
)
def test_words_of_tmux_have_a_class(words: str, error: type[Exception]) -> None:
    caught = refused("kill-session", words)
    assert type(caught) is error
    assert caught.operation == "tmux.kill-session"


def test_no_answer_is_indeterminate_only_where_an_effect_may_come() -> None:
    assert isinstance(unanswered(ACT, "late"), IndeterminateError)
    assert type(unanswered(ASK, "late")) is DeadlineError
    assert type(unsent(ACT, "down")) is UnavailableError


def test_a_server_that_went_away() -> None:
    assert broken_off("server exited unexpectedly")
    assert not broken_off("no server running")
