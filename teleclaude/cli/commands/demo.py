"""``demo``: see an adapter at work without an account."""

from __future__ import annotations

import argparse

from teleclaude.cli.become import become
from teleclaude.cli.command import Command, Context


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a daemon with the Telegram adapter against a server of its own on this computer, with somebody who writes "
        "to it, and print the conversation. Nothing leaves the computer, and your own sessions are not touched."
    )
    parser.add_argument("what", choices=("telegram",), help="what to show")


def _demo(context: Context) -> int:
    become(context.out, "demo", context.args.what)


DEMO = Command("demo", "daemon", "show the Telegram adapter at work, offline", _configure, _demo)
