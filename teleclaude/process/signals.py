"""Signal names as clients write them and as they are reported. Pure."""

from __future__ import annotations

import difflib
import signal

from teleclaude.errors import InvalidError


def parse_signal(text: str, *, operation: str) -> signal.Signals:
    """The signal called ``text``, with or without SIG, in any case; raises ``InvalidError`` for any other text."""
    name = text.upper().removeprefix("SIG")
    known = {sig.name.removeprefix("SIG"): sig for sig in signal.Signals}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise InvalidError(f"{text[:20]!r} is not the name of a signal{hint}", operation=operation)


def signal_name(number: int) -> str:
    """``KILL`` for 9. A real-time signal without a name of its own is ``RTMIN+n``."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RTMIN+{number - signal.SIGRTMIN}"
