"""The log is the truth: recorded streams, their offsets and holes, followers, retention."""

from teleclaude.streams.follow import Ended, Follower, Mode
from teleclaude.streams.match import Match, Matcher, make_finder, make_matcher
from teleclaude.streams.recorder import RecorderProcess
from teleclaude.streams.recorder import wake as wake_recorder
from teleclaude.streams.search import FoundLine, find_lines
from teleclaude.streams.store import PTY, Dropped, StreamStore
from teleclaude.streams.stream import Stream
from teleclaude.streams.text import TextDecoder, decode_page
from teleclaude.streams.transplant import Transplant
from teleclaude.streams.watch import Watcher, make_watcher
from teleclaude.streams.writer import StreamWriter

__all__ = [
    "PTY",
    "Dropped",
    "Ended",
    "Follower",
    "FoundLine",
    "Match",
    "Matcher",
    "Mode",
    "RecorderProcess",
    "Stream",
    "StreamStore",
    "StreamWriter",
    "TextDecoder",
    "Transplant",
    "Watcher",
    "decode_page",
    "find_lines",
    "make_finder",
    "make_matcher",
    "make_watcher",
    "wake_recorder",
]
