"""How a session that a command answered with is shown."""

from __future__ import annotations

from typing import Any

from teleclaude.cli.command import Context
from teleclaude.cli.failure import OK
from teleclaude.cli.table import state_text


def show_session(context: Context, session: dict[str, Any]) -> int:
    """Its name and state on one line, or all of it as JSON."""
    if context.args.json:
        context.out.json(session)
    else:
        context.out.line(f"{session['name']} {state_text(session)}")
    return OK
