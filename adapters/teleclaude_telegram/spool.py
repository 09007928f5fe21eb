"""Files that wait to be sent: a folder in which each belongs to something that is still to be said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)


def held(doc: Mapping[str, Any]) -> list[str]:
    """The paths of what waits here for one thing that is to be said."""
    own = [doc["path"]] if doc.get("spooled") else []
    return own + [file["path"] for file in doc.get("files", ())]


def sweep(folder: Path, kept: Iterable[str]) -> int:
    """Delete what nobody will send any more; ``kept`` are the paths of the rest. Answers how many went."""
    wanted = set(kept)
    swept = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if str(path) not in wanted and path.is_file():
            path.unlink(missing_ok=True)
            swept += 1
    if swept:
        log.info("telegram_spool_swept", files=swept)
    return swept
