"""Sessions in a Telegram chat: one topic for each."""

from teleclaude_telegram.adapter import TelegramAdapter, adapter

__all__ = ["TelegramAdapter", "adapter"]
