"""``doctor``: is everything as it should be."""

from __future__ import annotations

import argparse

from teleclaude.cli.become import become
from teleclaude.cli.command import Command, Context


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Look at the config, tmux, the modes of files, who could come in, the daemon's parts and the Telegram bot, and "
        "say what is to be done. Exit code 1 when something fails."
    )
    parser.add_argument("--config", metavar="FILE", help="the config file (default: as for serve)")
    parser.add_argument(
        "--echo", action="store_true", help="also send a word from Telegram to a terminal and back, with your help"
    )


def _doctor(context: Context) -> int:
    args = context.args
    words = [*(["--config", args.config] if args.config else []), *(["--echo"] if args.echo else [])]
    become(context.out, "doctor", *words, *(["--json"] if args.json else []))


DOCTOR = Command("doctor", "daemon", "check the set-up and say what is wrong", _configure, _doctor)
