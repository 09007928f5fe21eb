"""Events to any number of followers, each at its own pace."""

from teleclaude.bus.bus import Bus, EventPage, EventSource, Subscription

__all__ = ["Bus", "EventPage", "EventSource", "Subscription"]
