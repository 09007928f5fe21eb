"""``service``: the daemon and its terminals as services of systemd."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, REFUSED, UsageError

if TYPE_CHECKING:
    from teleclaude.cli.systemd import Service


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the daemon as a systemd service, and the terminals as another one, which a restart of the daemon does "
        "not touch. Without --system they belong to your own service manager."
    )
    parser.add_argument(
        "action",
        choices=("install", "uninstall", "status", "print"),
        help="write and start them; stop the daemon and remove them; say how they are; show the files",
    )
    parser.add_argument("--system", action="store_true", help="the system's service manager, as templates")
    parser.add_argument("--user", metavar="NAME", help="with --system: the user whose daemon it is")


def _service(context: Context) -> int:
    args = context.args
    if args.user and not args.system:
        raise UsageError("--user goes with --system; without it the service is your own")
    if args.system and not args.user and args.action != "print":
        raise UsageError("--system needs --user NAME, the user whose daemon it is")
    # Only this command needs subprocess.
    from teleclaude.cli.systemd import find_service  # noqa: PLC0415

    service = find_service(system=args.system, user=args.user, environ=context.environ)
    actions = {"install": _install, "uninstall": _uninstall, "status": _status, "print": _print}
    return actions[args.action](context, service)


def _install(context: Context, service: Service) -> int:
    written = [str(path) for path in service.write()]
    start = ("enable", "--now", service.daemon)
    if service.is_managed:
        service.call("daemon-reload")
        service.call(*start)
    if context.args.json:
        context.out.json({"written": written, "started": service.is_managed, "lingering": service.lingers})
    else:
        for path in written:
            context.out.line(f"wrote {path}")
        context.out.line(f"started {service.daemon}" if service.is_managed else "nothing started")
    if not service.is_managed:
        line = shlex.join([*service.systemctl, *start])
        context.out.note(f"no service manager answers here; when it runs, type: {line}")
    if not service.lingers:
        context.out.note("your services end when you log out; to keep them, type: loginctl enable-linger")
    return OK


def _uninstall(context: Context, service: Service) -> int:
    if service.is_managed and service.ask("is-enabled", service.daemon) in ("enabled", "disabled"):
        service.call("disable", "--now", service.daemon)
    removed = [str(path) for path in service.remove()]
    if service.is_managed:
        service.call("daemon-reload")
    if context.args.json:
        context.out.json({"removed": removed})
    else:
        for path in removed:
            context.out.line(f"removed {path}")
    if service.ask("is-active", service.terminals) == "active":
        line = shlex.join([*service.systemctl, "stop", service.terminals])
        context.out.note(f"the terminals go on; to end every one of them, type: {line}")
    return OK


def _status(context: Context, service: Service) -> int:
    units = [
        {
            "name": name,
            "file": service.state_of(file),
            "active": service.ask("is-active", name),
            "enabled": service.ask("is-enabled", name),
        }
        for name, file in _names(service)
    ]
    if context.args.json:
        context.out.json({"units": units, "lingering": service.lingers})
    else:
        for unit in units:
            context.out.line(f"{unit['name']}: file {unit['file']}, {unit['active']}, {unit['enabled']}")
        context.out.line(f"goes on after logout: {'yes' if service.lingers else 'no (loginctl enable-linger)'}")
    return OK if units[0]["active"] == "active" else REFUSED


def _print(context: Context, service: Service) -> int:
    from teleclaude.cli.units import render  # noqa: PLC0415

    units = render(service.install)
    if context.args.json:
        context.out.json(units)
    else:
        context.out.text("\n".join(f"# {service.folder / name}\n{text}" for name, text in units.items()))
    return OK


def _names(service: Service) -> list[tuple[str, str]]:
    at = "@" if service.user else ""
    return [(service.daemon, f"teleclaude{at}.service"), (service.terminals, f"teleclaude-tmux{at}.service")]


SERVICE = Command("service", "daemon", "run the daemon as a systemd service", _configure, _service)
