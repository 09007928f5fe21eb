"""Fixtures of the tests against real tmux."""

from __future__ import annotations

from tests.support.tmux import panes, private_tmux, tmux_server, transport

__all__ = ["panes", "private_tmux", "tmux_server", "transport"]
