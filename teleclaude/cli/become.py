"""Programs that take the command line's place, because what they need would slow every other command down."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from teleclaude.cli.output import Output


def become(out: Output, *words: str) -> NoReturn:
    """Go on as ``python -m teleclaude.assist WORD …``, with this terminal and environment.

    A folder called teleclaude where the user happens to be is not taken for the program (``-P``).
    """
    out.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "teleclaude.assist", *words])
