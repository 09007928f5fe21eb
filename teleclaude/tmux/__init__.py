"""The bridge to tmux. Nothing outside of this package starts tmux, formats for it or parses it."""

from teleclaude.tmux.capture import CapturedScreen
from teleclaude.tmux.creation import CreatePane
from teleclaude.tmux.failures import TmuxError
from teleclaude.tmux.foreign import ForeignServer
from teleclaude.tmux.info import DeadStatus, PaneInfo
from teleclaude.tmux.inventory import ForeignPane
from teleclaude.tmux.keys import check_keys
from teleclaude.tmux.panes import Panes
from teleclaude.tmux.server import TmuxServer
from teleclaude.tmux.transport import ServerIdentity

__all__ = [
    "CapturedScreen",
    "CreatePane",
    "DeadStatus",
    "ForeignPane",
    "ForeignServer",
    "PaneInfo",
    "Panes",
    "ServerIdentity",
    "TmuxError",
    "TmuxServer",
    "check_keys",
]
