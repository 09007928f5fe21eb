"""A word's way from the phone to a terminal and back, which only a person at both ends can walk."""

from __future__ import annotations

import secrets
import sys

from teleclaude.assist.findings import Finding, failure, ok
from teleclaude.cli.client import Client
from teleclaude.cli.failure import CliError, RefusedError
from teleclaude.cli.output import Output

PATIENCE_MS = 300_000
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def word() -> str:
    """Easily typed on a phone, and not guessed."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(6))


def echo_through_telegram(out: Output, client: Client) -> Finding:
    """Ask for a word in a session's topic, and here for the word that the session answers there."""
    name, there, back = f"doctor-{word()}", word(), word()
    asks = f"printf 'Send me: {there}\\n'; read -r got"
    script = f"{asks}; [ \"$got\" = {there} ] && echo 'The answer is {back}'; exec sleep 600"
    try:
        client.call("POST", "/sessions", body={"name": name, "command": ["/bin/sh", "-c", script]})
    except CliError as error:
        return failure("telegram echo", f"no session could be made: {error}")
    try:
        return _walk(out, client, name, there, back)
    except CliError as error:
        return failure("telegram echo", str(error))
    finally:
        _forget(client, name)


def _walk(out: Output, client: Client, name: str, there: str, back: str) -> Finding:
    out.line(f"In Telegram, open the topic {name} and send: {there}")
    until = {"until": {"text": "The answer is"}, "from": 0, "timeout_ms": PATIENCE_MS}
    reply = client.call("POST", f"/sessions/{name}/wait", body=until, patience=PATIENCE_MS / 1000, changes=False)
    if reply["outcome"] != "matched":
        return failure("telegram echo", f"{there!r} did not reach the terminal within {PATIENCE_MS // 60_000} minutes")
    out.line("It has arrived. Which word does the topic answer with? Type it here:")
    if sys.stdin.readline().strip().lower() != back:
        return failure("telegram echo", "the word reached the terminal, but the answer did not come back to the topic")
    return ok("telegram echo", "from the phone to the terminal and back")


def _forget(client: Client, name: str) -> None:
    try:
        client.call("DELETE", f"/sessions/{name}", query={"purge": "true"})
    except RefusedError:
        return
