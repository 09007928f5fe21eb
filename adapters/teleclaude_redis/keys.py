"""The names of everything in Redis. Braces keep what belongs to one computer in one slot of a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Below the namespace ``ns``."""

    ns: str

    @property
    def computers(self) -> str:
        """Sorted set: names by their last heartbeat (Unix time in ms)."""
        return f"{self.ns}:computers"

    def presence(self, computer: str) -> str:
        """String with a TTL: what the computer says of itself."""
        return f"{self.ns}:computer:{{{computer}}}"

    def inbox(self, computer: str) -> str:
        """Stream with one group: commands for the computer."""
        return f"{self.ns}:inbox:{{{computer}}}"

    def reply(self, computer: str, request: str) -> str:
        """List with a TTL: the answer for the computer that asked."""
        return f"{self.ns}:reply:{{{computer}}}:{request}"

    def events(self, computer: str) -> str:
        """Bounded stream: the computer's events; an entry's id is the event's number."""
        return f"{self.ns}:events:{{{computer}}}"

    def output(self, computer: str, stream: str) -> str:
        """Bounded stream with a TTL: output on its way to watchers."""
        return f"{self.ns}:output:{{{computer}}}:{stream}"

    def owner(self, session: str) -> str:
        """Hash with a TTL: who owns a session, as a hint; the computers' own records decide."""
        return f"{self.ns}:owner:{session}"

    def dead(self, computer: str) -> str:
        """Bounded stream: what the computer could not accept or could not handle, with the reason."""
        return f"{self.ns}:dead:{{{computer}}}"
