"""Sessions in a Telegram chat: one topic for each."""

from teleclaude_telegram.adapter import TelegramAdapter, Timing, adapter

__all__ = ["TelegramAdapter", "Timing", "adapter"]
