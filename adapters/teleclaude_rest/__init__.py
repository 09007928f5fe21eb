"""HTTP, server-sent events and WebSocket in front of the core, on a unix socket."""

from teleclaude_rest.adapter import RestAdapter, adapter

__all__ = ["RestAdapter", "adapter"]
