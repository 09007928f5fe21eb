"""Other computers: presence, commands, output and events through Redis."""

from teleclaude_redis.adapter import RedisAdapter, adapter

__all__ = ["RedisAdapter", "adapter"]
