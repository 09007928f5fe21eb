"""The composition root: settings, directories, locks, then every part in order."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from teleclaude.config import ConfigError, load_config
from teleclaude.daemon.directories import DirectoryError, ensure_token, prepare
from teleclaude.daemon.lock import AlreadyRunningError, single_instance
from teleclaude.daemon.notify import Notifier
from teleclaude.errors import TeleclaudeError
from teleclaude.log import configure_logging
from teleclaude.paths import find_paths

EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_CANTCREAT = 73
EX_TEMPFAIL = 75
EX_CONFIG = 78


def main(config_path: str | None = None) -> int:
    """Run the daemon until it is told to stop; answers the exit status (sysexits.h).

    0 after an ordered stop, 69 when a part that it cannot do without is missing,
    70 when a vital task failed, 73 when a directory of ours cannot be used, 75 when another
    daemon holds the state, 78 for an invalid config.
    """
    path = Path(config_path) if config_path else None
    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        return _fail(EX_CONFIG, str(error))
    configure_logging(config.log.level, config.log.format)
    paths = find_paths(os.environ)
    notifier = Notifier(os.environ)
    try:
        prepare(paths)
        with single_instance(paths.lock, paths.state / "daemon.lock"):
            ensure_token(paths.token)
            # Only now: a start that is refused is refused at once.
            from teleclaude.daemon.run import Startup, run  # noqa: PLC0415

            return asyncio.run(run(Startup(config=config, config_path=path, paths=paths, notifier=notifier)))
    except DirectoryError as error:
        return _fail(EX_CANTCREAT, str(error))
    except AlreadyRunningError as error:
        return _fail(EX_TEMPFAIL, str(error))
    except TeleclaudeError as error:
        return _fail(EX_UNAVAILABLE, str(error))


def _fail(status: int, message: str) -> int:
    sys.stderr.write(f"teleclaude: {message}\n")
    return status
