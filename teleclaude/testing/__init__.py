"""What tests of the core and of adapters share; nothing here runs in the daemon."""

from teleclaude.testing.clock import ManualClock

__all__ = ["ManualClock"]
