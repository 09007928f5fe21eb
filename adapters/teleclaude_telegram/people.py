"""Who may use the bot. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from teleclaude.model import Principal, Role


class People:
    """The configured numeric ids and their roles; nobody else exists. An empty list means nobody.

    ``users`` answers those in force: who is taken out of the config is nobody from then on.
    """

    def __init__(self, users: Callable[[], Mapping[int, Role]]) -> None:
        self._users = users

    def __len__(self) -> int:
        return len(self._users())

    def principal(self, user_id: int | None) -> Principal | None:
        """Who this is to the daemon, None for a stranger and for senders without an id of a person."""
        role = None if user_id is None else self._users().get(user_id)
        return None if role is None else Principal(name=f"tg:{user_id}", role=role)
