"""``teleclaude doctor``: is everything as it should be, and if not, what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from teleclaude.assist.bot_check import look_at_bot
from teleclaude.assist.echo import echo_through_telegram
from teleclaude.assist.findings import Finding, Level, failure, line, ok, summary, unknown, warning
from teleclaude.assist.places import look_at_config, look_at_directories, look_at_exposure, look_at_tmux
from teleclaude.assist.redis_check import look_at_redis
from teleclaude.cli.client import Client
from teleclaude.cli.endpoint import find_endpoint
from teleclaude.cli.failure import OK, REFUSED, CliError, ConnectionFailedError, RefusedError
from teleclaude.cli.output import Output
from teleclaude.config import Config
from teleclaude.paths import find_paths


def doctor(out: Output, environ: Mapping[str, str], *, config: Path | None, echo: bool, as_json: bool) -> int:
    """Print each finding as it is made; answers 0 when none is a failure."""
    findings: list[Finding] = []
    for finding in examine(out, environ, config, echo=echo):
        findings.append(finding)
        if not as_json:
            out.line(line(finding))
    failed = any(finding.level is Level.FAILURE for finding in findings)
    if as_json:
        out.json({"ok": not failed, "findings": [finding.row() for finding in findings]})
    else:
        out.note(summary(findings))
    return REFUSED if failed else OK


def examine(out: Output, environ: Mapping[str, str], path: Path | None, *, echo: bool) -> Iterator[Finding]:
    config, findings = look_at_config(path, environ)
    yield from findings
    yield from look_at_directories(find_paths(environ))
    if config is None:
        return
    yield look_at_tmux(config)
    yield from look_at_exposure(config)
    client = Client(find_endpoint(None, None, environ))
    runs = False
    for finding in look_at_daemon(client, config):
        runs = runs or (finding.about == "daemon" and finding.level is Level.OK)
        yield finding
    if config.redis.enabled and config.redis.url is not None:
        yield look_at_redis(config.redis.url.get_secret_value())
    if not config.telegram.enabled:
        if echo:
            yield failure("telegram echo", "telegram is off; run: teleclaude init telegram")
        return
    yield from look_at_bot(config)
    if echo:
        yield _rehearsal(environ)
    if echo and runs:
        yield echo_through_telegram(out, client)
    elif echo:
        yield unknown("telegram echo", "needs a running daemon")


def _rehearsal(environ: Mapping[str, str]) -> Finding:
    try:
        # The stage needs what only some installations have; all else is looked at without it.
        from teleclaude.assist.rehearsal import rehearse  # noqa: PLC0415
    except ModuleNotFoundError as error:
        return unknown("telegram rehearsal", f"{error.name} is not installed; pip install '.[all]' brings it")
    return rehearse(environ)


def look_at_daemon(client: Client, config: Config) -> Iterator[Finding]:
    """What the daemon says of itself: each of its parts, the adapters among them."""
    if not config.rest.enabled:
        yield unknown("daemon", "rest is off, so it cannot be asked")
        return
    try:
        health = client.call("GET", "/health")
    except ConnectionFailedError as error:
        yield warning("daemon", f"does not run: {error}")
        return
    except CliError as error:
        yield failure("daemon", str(error))
        return
    yield ok("daemon", f"version {health.get('version')}, computer {health.get('computer')}")
    checks = _checks(client)
    for name, check in checks.items():
        yield (ok if check.get("ok") else failure)(f"daemon's {name}", str(check.get("detail")))
    for name, enabled in (("redis", config.redis.enabled), ("telegram", config.telegram.enabled)):
        if enabled and name not in checks:
            yield failure(f"daemon's {name}", "enabled in the config, but the daemon runs without it; restart it")


def _checks(client: Client) -> dict[str, dict[str, Any]]:
    try:
        return dict(client.call("GET", "/ready")["checks"])
    except RefusedError as error:
        found = error.fields.get("checks")
        return found if isinstance(found, dict) else {}
