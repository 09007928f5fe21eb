"""``init``: set up an adapter step by step."""

from __future__ import annotations

import argparse

from teleclaude.cli.become import become
from teleclaude.cli.command import Command, Context


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Set up the Telegram bot: asks for its token, finds the chat and you in it, waits until the bot may manage "
        "topics, and writes the config."
    )
    parser.add_argument("what", choices=("telegram",), help="what to set up")
    parser.add_argument("--config", metavar="FILE", help="the config file (default: as for serve)")
    parser.add_argument("--bot-token-file", metavar="FILE", help="a private file with the bot's token")
    parser.add_argument("--role", choices=("owner", "operator", "viewer"), default="owner", help="yours (owner)")
    parser.add_argument("--base-url", metavar="URL", help="a Bot API server of your own, ending in /bot")


def _init(context: Context) -> int:
    args = context.args
    given = (("--config", args.config), ("--token-file", args.bot_token_file), ("--base-url", args.base_url))
    words = [word for name, value in given if value for word in (name, value)]
    become(context.out, "init", args.what, "--role", args.role, *words)


INIT = Command("init", "daemon", "set up the Telegram bot", _configure, _init)
