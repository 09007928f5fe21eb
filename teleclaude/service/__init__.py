"""The use cases: every call from anywhere is authorised, limited, routed and carried out here."""

from teleclaude.service.composition import build_core
from teleclaude.service.core import Core, Parts
from teleclaude.service.settings import Settings

__all__ = ["Core", "Parts", "Settings", "build_core"]
