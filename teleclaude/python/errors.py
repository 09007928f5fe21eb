"""What can go wrong between us and a worker, besides its death."""

from __future__ import annotations


class ProtocolError(Exception):
    """The worker said something that no worker of ours says. It is ended."""
