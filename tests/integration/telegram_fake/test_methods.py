"""The fake's methods are the client library's, by name."""

from __future__ import annotations

import telegram

from teleclaude.testing.telegram.methods import COUNTED, METHODS


def test_every_method_is_one_of_the_client_library() -> None:
    known = {name.lower().replace("_", "") for name in dir(telegram.Bot)}
    assert not {name for name in METHODS if name.lower() not in known}
    assert set(METHODS) >= COUNTED
