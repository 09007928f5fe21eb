"""A question that a program asks on its screen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PromptKind(StrEnum):
    MENU = "menu"
    """One of several lines is to be chosen."""
    CONFIRM = "confirm"
    """A question with a few short answers, such as yes and no."""
    TEXT = "text"
    """Something is to be typed; an option, where there is one, takes what the program suggests."""
    SECRET = "secret"  # noqa: S105 (the name of a kind)
    """A password or passphrase is to be typed, which is not shown."""


@dataclass(frozen=True, slots=True)
class PromptOption:
    """``keys`` choose it, as the keys of a session's input; ``selected`` says that Enter would."""

    label: str
    keys: tuple[str, ...]
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """``context`` are the lines above the question that belong to it, such as the command to be allowed.

    ``fingerprint`` is the same as long as the same thing is asked with the same answers, whichever of them is selected.
    """

    kind: PromptKind
    question: str
    context: tuple[str, ...]
    options: tuple[PromptOption, ...]
    fingerprint: str
