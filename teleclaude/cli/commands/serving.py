"""``serve`` and ``version``."""

from __future__ import annotations

import argparse

import teleclaude
from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, ConnectionFailedError


def _configure_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="the config file (default: $TELECLAUDE_CONFIG, else the user's)"
    )


def _serve(context: Context) -> int:
    return context.serve(context.args.config)


def _configure_version(parser: argparse.ArgumentParser) -> None:
    del parser


def _version(context: Context) -> int:
    running, remark = _daemon_version(context)
    if context.args.json:
        context.out.json({"version": teleclaude.__version__, "daemon": running})
        return OK
    context.out.line(f"teleclaude {teleclaude.__version__}")
    context.out.line(f"daemon {running}" if running else f"daemon: {remark}")
    return OK


def _daemon_version(context: Context) -> tuple[str | None, str]:
    try:
        return str(context.client.call("GET", "/health").get("version")), ""
    except ConnectionFailedError as error:
        return None, str(error)


SERVE = Command("serve", "daemon", "run the daemon in the foreground", _configure_serve, _serve)
VERSION = Command(
    "version", "daemon", "show the version of this program and of the daemon", _configure_version, _version
)
