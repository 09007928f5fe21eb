"""``teleclaude`` and ``python -m teleclaude``: the command line, which starts the daemon when it says ``serve``."""

from __future__ import annotations

import gc
import sys

from teleclaude.cli.main import main as command_line


def main() -> int:
    """Answers the exit code."""
    return command_line(sys.argv[1:], _serve)


def _serve(config: str | None) -> int:
    # What a start makes is kept: looking for garbage in it only takes time. It is turned on again when all is ready.
    gc.disable()
    # The daemon's imports would cost every other command its speed.
    from teleclaude.daemon import main as daemon  # noqa: PLC0415

    return daemon(config)


if __name__ == "__main__":
    sys.exit(main())
