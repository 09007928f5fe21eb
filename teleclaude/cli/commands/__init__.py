"""The commands, in the order of the help. A new one is a module here and a line in ``COMMANDS``."""

from __future__ import annotations

from teleclaude.cli.command import Command
from teleclaude.cli.commands import (
    attach,
    completion,
    computers,
    create,
    demo,
    doctor,
    end,
    handoff,
    init,
    keyboard,
    listing,
    logs,
    py,
    run,
    screen,
    service,
    serving,
    token,
    wait,
)

GROUPS = ("daemon", "sessions", "input", "output", "commands")

COMMANDS: tuple[Command, ...] = (
    serving.SERVE,
    service.SERVICE,
    init.INIT,
    doctor.DOCTOR,
    demo.DEMO,
    serving.VERSION,
    completion.COMPLETION,
    token.TOKEN,
    computers.COMPUTERS,
    create.NEW,
    create.ADOPT,
    listing.LS,
    attach.ATTACH,
    end.RESTART,
    end.KILL,
    handoff.HANDOFF,
    keyboard.SEND,
    keyboard.KEYS,
    keyboard.SIGNAL,
    screen.SCREEN,
    logs.LOGS,
    wait.WAIT,
    run.RUN,
    py.PY,
)
