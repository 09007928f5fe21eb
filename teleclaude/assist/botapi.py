"""A few calls of the Bot API for set-up and checks; blocking, each with a deadline. The token is in no message."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

CALL_SECONDS = 15.0
MAX_ANSWER_BYTES = 8 << 20


class BotApiError(Exception):
    """``code`` is the status of the refusal; 0 when nobody answered."""

    def __init__(self, description: str, code: int = 0) -> None:
        super().__init__(description)
        self.description = description
        self.code = code


class BotApi:
    """``base_url`` ends in ``/bot``; the token is put behind it."""

    def __init__(self, token: str, base_url: str) -> None:
        self._url = f"{base_url}{token}"

    def call(self, method: str, *, patience: float = 0.0, **params: Any) -> Any:
        """The ``result``. ``patience`` is how many seconds the server was asked to wait. Raises ``BotApiError``."""
        given = {name: value for name, value in params.items() if value is not None}
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        request = urllib.request.Request(f"{self._url}/{method}", data=urlencode(fields).encode())
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS + patience) as reply:
                answer = json.loads(reply.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise BotApiError(f"no answer: {reason}") from None
        return answer["result"]


def _refusal(error: urllib.error.HTTPError) -> BotApiError:
    with error:
        try:
            description = str(json.loads(error.read(MAX_ANSWER_BYTES))["description"])
        except (ValueError, KeyError, TypeError, OSError):
            description = f"HTTP {error.code}"
    return BotApiError(description, error.code)
