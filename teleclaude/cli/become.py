"""Programs that take the command line's place, because what they need would slow every other command down."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from teleclaude.cli.output import Output


def become(out: Output, *words: str) -> NoReturn:
    """Go on as ``python -m teleclaude.assist WORD …``, with this terminal and environment."""
    out.flush()
    os.execv(sys.executable, [sys.executable, "-m", "teleclaude.assist", *words])
