"""For the service manager, once the daemon has ended in whatever way: ``python -m teleclaude.process.afterwards``.

Commands end with the daemon, also with one that was killed. And a control group that passes controllers on takes no
process in: with one of them left below it, no daemon could be started there any more.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from teleclaude.process.cgroup import CgroupRoot, find_own
from teleclaude.process.leftovers import end_left_groups

CONTROL = ".control"
"""Where systemd puts what it runs beside the main process of a unit whose group is delegated."""


async def clear(root: CgroupRoot) -> None:
    """End what is left in the groups of commands, and make ``root`` one that a process can enter. Raises ``OSError``.

    A tmux server that the daemon had to start is in the daemon's own group and goes on.
    """
    await end_left_groups(root)
    root.disable_all()


def main(proc: Path = Path("/proc/self")) -> int:
    """0 when there is nothing to do any more, or was not."""
    own = find_own(proc)
    if own is None or own.name != CONTROL:
        return 0
    try:
        asyncio.run(clear(CgroupRoot(own.parent)))
    except OSError as error:
        sys.stderr.write(f"teleclaude: the control group {own.parent} cannot be cleared: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
