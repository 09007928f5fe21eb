"""Handing sessions to other computers: the protocol of ``teleclaude.model.handoff`` with real sessions behind it."""

from teleclaude.service.handoff.part import HandoffPart

__all__ = ["HandoffPart"]
