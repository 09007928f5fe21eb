"""The settings in force, replaced as a whole when the config is reloaded."""

from __future__ import annotations

from collections.abc import Callable

from teleclaude.config import Config


class Settings:
    """Holds the current config. Read it through ``current`` each time: a reload swaps it.

    ``reload_error`` says why the last reload was refused, None after a good one.
    """

    def __init__(self, config: Config) -> None:
        self.current = config
        self.reload_error: str | None = None
        self._listeners: list[Callable[[Config], None]] = []

    def on_change(self, listener: Callable[[Config], None]) -> None:
        """Call ``listener`` with each new config. For the service's own parts, which live as long as this."""
        self._listeners.append(listener)

    def replace(self, config: Config) -> None:
        self.current = config
        self.reload_error = None
        for listener in self._listeners:
            listener(config)
