"""One section of a config file, written without touching a line of the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_TOP = re.compile(r"^[A-Za-z_][\w-]*\s*:")


def with_section(text: str, name: str, values: Mapping[str, Any]) -> str:
    """``text`` with the section ``name`` replaced, or added at its end.

    What stands between the section and the next one, comments at the margin included, stays.
    """
    block = yaml.safe_dump({name: dict(values)}, sort_keys=False, allow_unicode=True, default_flow_style=False)
    lines = text.splitlines(keepends=True)
    start = next((at for at, line in enumerate(lines) if re.match(rf"{re.escape(name)}\s*:", line)), None)
    if start is None:
        if text and not text.endswith("\n"):
            text += "\n"
        return text + ("\n" if text.strip() else "") + block
    end = start + 1
    while end < len(lines) and not _TOP.match(lines[end]) and (lines[end][:1] in " \t" or not lines[end].strip()):
        end += 1
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return "".join(lines[:start]) + block + "".join(lines[end:])
